// References of a proof, kept and given up: a process may have only so many mappings, and proofs at hundreds of sizes
// once ran out of them.
#include "tuning_db/proof/fixture.h"

#include <doctest/doctest.h>

#include <cstring>
#include <string>

#include "compiler/library.h"

using namespace bittern;
using namespace bittern::tuning;

namespace {

const compiler::KernelSpec &spec() { return compiler::builtin_kernel("absmax_quant"); }

compiler::Sizes sizes(int64_t m, int64_t k) { return {{"M", m}, {"K", k}}; }

// Every buffer that a proof would ask for; adds them up, so that they are read.
int64_t touch(Fixture &fixture) {
  int64_t sum = 0;
  for (const Placement placement : {Placement::FlushEnd, Placement::FlushStart, Placement::Shifted})
    for (const compiler::Tensor *tensor : spec().arguments())
      if (tensor->role == compiler::Role::In)
        sum += *static_cast<const uint8_t *>(fixture.input(*tensor, placement, nullptr).data);
  return sum;
}

}  // namespace

TEST_CASE("buffers are limited in number, and made again with the same contents") {
  FixtureCache fixtures(int64_t{1} << 30, 1, "");
  const InputSet &set = input_sets()[0];
  Fixture &first = fixtures.get(spec(), "hash", sizes(1, 8), set);
  const int64_t sum = touch(first);
  const std::string hash = first.reference_hash();
  REQUIRE(first.buffers() >= 3);
  const int64_t each = first.buffers();
  for (int64_t k = 1; k * each < 2 * FixtureCache::kMostBuffers; ++k) {
    touch(fixtures.get(spec(), "hash", sizes(2, k), set));
    REQUIRE(fixtures.buffers() <= FixtureCache::kMostBuffers + each);
  }
  Fixture &again = fixtures.get(spec(), "hash", sizes(1, 8), set);
  CHECK(again.buffers() == 0);  // given up: it was the oldest
  CHECK(touch(again) == sum);
  CHECK(again.reference_hash() == hash);
  CHECK(again.buffers() == each);
}

TEST_CASE("the oldest references go first when memory is short, and the one in use stays") {
  const InputSet &set = input_sets()[0];
  FixtureCache fixtures(1, 1, "");  // less than any needs
  const Fixture *before = &fixtures.get(spec(), "hash", sizes(3, 16), set);
  CHECK(&fixtures.get(spec(), "hash", sizes(3, 16), set) == before);
  touch(fixtures.get(spec(), "hash", sizes(3, 17), set));
  Fixture &kept = fixtures.get(spec(), "hash", sizes(3, 17), set);
  CHECK(kept.sizes() == sizes(3, 17));
  CHECK(kept.buffers() >= 3);
  CHECK(fixtures.buffers() == kept.buffers());
}
