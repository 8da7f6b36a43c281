// Buckets, keys, counts of work, and the parsing of what users type.
#include "tuning_db/proof/problem.h"

#include <doctest/doctest.h>

#include "compiler/error.h"
#include "compiler/library.h"
#include "compiler/parser.h"
#include "tuning_db/proof/cost.h"
#include "tuning_db/proof/dims.h"

using namespace bittern;
using namespace bittern::tuning;

namespace {

std::string message(auto &&f) {
  try {
    f();
  } catch (const Error &error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("buckets cover every M once") {
  int64_t next = 1;
  for (const Bucket &bucket : buckets()) {
    CHECK(bucket.m_min == next);
    next = bucket.m_max + (bucket.m_max == INT64_MAX ? 0 : 1);
  }
  CHECK(next == INT64_MAX);
  CHECK(print_bucket(bucket_of(1)) == "1");
  CHECK(print_bucket(bucket_of(6)) == "5-8");
  CHECK(print_bucket(bucket_of(128)) == "33+");
  CHECK_THROWS_AS(bucket_of(0), Error);
}

TEST_CASE("a problem's key tells everything apart but the model") {
  const compiler::KernelSpec &spec = compiler::builtin_kernel("w2a8_matmul");
  const Problem a = make_problem(spec, {{"N", 64}, {"K", 128}}, 8, 2, "x86-64-avx2");
  CHECK(a.m_min == 5);
  CHECK(a.m_max == 8);
  CHECK(a.shape() == "64x128");
  CHECK(a.key() == make_problem(spec, {{"N", 64}, {"K", 128}}, 8, 2, "x86-64-avx2").key());
  CHECK(a.key() != make_problem(spec, {{"N", 64}, {"K", 128}}, 8, 1, "x86-64-avx2").key());
  CHECK(a.kernel_key() == make_problem(spec, {{"N", 64}, {"K", 128}}, 8, 1, "x86-64-avx2").kernel_key());
  CHECK(a.kernel_key() != make_problem(spec, {{"N", 64}, {"K", 64}}, 8, 2, "x86-64-avx2").kernel_key());
  CHECK(message([&] { make_problem(spec, {{"N", 64}}, 8, 1, ""); }).find("size K is missing") != std::string::npos);
  CHECK(message([&] { make_problem(spec, {{"N", 64}, {"K", 8}, {"Q", 1}}, 8, 1, ""); }).find("no size Q") !=
        std::string::npos);
}

TEST_CASE("work and bytes are counted from the text") {
  const compiler::KernelSpec &matmul = compiler::builtin_kernel("w2a8_matmul");
  const compiler::Sizes sizes = {{"M", 3}, {"N", 50}, {"K", 200}};
  CHECK(multiply_adds(matmul, sizes) == 3 * 50 * 200);
  CHECK(weight_bytes(matmul, sizes) == 50 * 200 / 4);
  CHECK(weight_bytes(compiler::builtin_kernel("head_bf16"), sizes) == 50 * 200 * 2);
  CHECK(multiply_adds(compiler::builtin_kernel("residual_add"), {{"M", 3}, {"K", 7}}) == 0);
  CHECK(touched_bytes(compiler::builtin_kernel("residual_add"), {{"M", 3}, {"K", 7}}) == 3 * 7 * 4 * 3);
  // Attention's sums run over positions that inputs give: counted to their declared bound.
  CHECK(multiply_adds(compiler::builtin_kernel("attention"),
                      {{"M", 1}, {"H", 2}, {"G", 1}, {"D", 8}, {"B", 1}, {"T", 2}, {"NP", 2}}) == 2 * 2 * 8 * 64);
}

TEST_CASE("very large operands leave their largest size free") {
  const compiler::KernelSpec &head = compiler::builtin_kernel("head_bf16");
  const Problem large = make_problem(head, {{"N", 128256}, {"K", 2560}}, 1, 1, "");
  CHECK(compiled_sizes(head, large) == compiler::Sizes{{"K", 2560}});
  const Problem small = make_problem(head, {{"N", 4096}, {"K", 256}}, 1, 1, "");
  CHECK(compiled_sizes(head, small) == small.fixed);
}

TEST_CASE("dims as users type them") {
  CHECK(parse_dims("M=1,N=4096") == compiler::Sizes{{"M", 1}, {"N", 4096}});
  for (const char *bad : {"", "M", "=3", "M=", "M=0", "M=1,M=2", "M=1;N=2", "M=1e9"}) {
    CAPTURE(bad);
    CHECK(message([&] { parse_dims(bad); }).find("dims") == 0);
  }
}
