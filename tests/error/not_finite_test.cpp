// Weights that are no numbers: found wherever they stand among values of any type, and named by element and place.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "runtime/io/float_formats.h"
#include "runtime/model/finite.h"

using namespace bittern::runtime;

namespace {

// What is said of `count` values of 1.0 of which one is `bits`; the values begin at an odd address.
template <typename Bits>
std::string said_of(DType dtype, Bits one, int64_t count, int64_t at, Bits bits) {
  std::vector<uint8_t> bytes(static_cast<size_t>(count) * sizeof one + 1);
  for (int64_t i = 0; i < count; ++i)
    std::memcpy(bytes.data() + 1 + static_cast<size_t>(i) * sizeof one, i == at ? &bits : &one, sizeof one);
  std::string said = "nothing";
  require_finite(bytes.data() + 1, dtype, 1000, count,
                 [&](const std::string &what, uint64_t offset) { said = what + " @" + std::to_string(offset); });
  return said;
}

}  // namespace

TEST_CASE("one value that is none is found at every place, and the largest numbers are numbers") {
  constexpr int64_t kCount = 37;
  for (int64_t at = 0; at < kCount; ++at) {
    CAPTURE(at);
    const std::string element = "element " + std::to_string(1000 + at) + " is ";
    const std::string half = " @" + std::to_string(2 * (1000 + at)), whole = " @" + std::to_string(4 * (1000 + at));
    const auto bf16 = [&](uint16_t bits) { return said_of<uint16_t>(DType::BF16, 0x3f80, kCount, at, bits); };
    const auto f16 = [&](uint16_t bits) { return said_of<uint16_t>(DType::F16, 0x3c00, kCount, at, bits); };
    const auto f32 = [&](uint32_t bits) { return said_of<uint32_t>(DType::F32, 0x3f800000, kCount, at, bits); };
    CHECK(bf16(0x7fc0) == element + "nan" + half);
    CHECK(bf16(0xff80) == element + "-inf" + half);
    CHECK(bf16(0xff7f) == "nothing");
    CHECK(f16(0x7c01) == element + "nan" + half);
    CHECK(f16(0x7c00) == element + "inf" + half);
    CHECK(f16(0xfbff) == "nothing");
    CHECK(f32(0x7f800001) == element + "nan" + whole);
    CHECK(f32(0xff800000) == element + "-inf" + whole);
    CHECK(f32(0x7f7fffff) == "nothing");
    CHECK(f32(0x807fffff) == "nothing");
  }
  CHECK(said_of<uint16_t>(DType::BF16, 0x3f80, 0, 0, 0) == "nothing");
}
