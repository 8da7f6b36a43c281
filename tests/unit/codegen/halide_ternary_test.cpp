// halide.gemv and halide.gemm: ternary weights times int8 activations at odd shapes, extremes, every layout, kernels
// that the compiler has never seen, against the interpreter, bit for bit.
#include "codegen/backend.h"
#include "compiler/error.h"
#include "halide_harness.h"

using namespace halide_test;

namespace {

const std::vector<Fill> kExtremes = {Fill::Random, Fill::Ones, Fill::MinusOnes, Fill::Extremes, Fill::Lowest};

Schedule gemv(const std::string &layout, int64_t rows, int64_t tokens = 1, int64_t chunk = 8) {
  return {"halide", "gemv", {{"rows", rows}, {"tokens", tokens}, {"chunk", chunk}}, layout};
}

void check_fixed(const KernelSpec &spec, const Schedule &schedule, const Sizes &sizes, const std::vector<Fill> &fills,
                 int64_t m_max = INT64_MAX) {
  Sizes fixed = sizes;
  fixed.erase("M");
  const Loaded kernel(spec, schedule, fixed, m_max);
  check(kernel, spec, schedule, sizes, fills);
}

KernelSpec file_kernel(const std::string &name) {
  std::ifstream file(std::string(BITTERN_TEST_DATA) + "/kernels/" + name);
  REQUIRE(file.good());
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  return compiler::parse_kernel(text, name);
}

}  // namespace

TEST_CASE("gemv: every layout, odd shapes") {
  const KernelSpec &spec = compiler::builtin_kernel("w2a8_matmul");
  const std::vector<Sizes> shapes = {{{"M", 1}, {"N", 1}, {"K", 1}},
                                     {{"M", 1}, {"N", 67}, {"K", 64}},
                                     {{"M", 1}, {"N", 33}, {"K", 129}},
                                     {{"M", 3}, {"N", 130}, {"K", 447}},
                                     {{"M", 2}, {"N", 66}, {"K", 2304}}};
  for (const Sizes &shape : shapes) {
    check_fixed(spec, gemv("i2r1", 4), shape, {Fill::Random});
    check_fixed(spec, gemv("i2r2", 2, 2, 16), shape, {Fill::Random});
    check_fixed(spec, gemv("i2r4", 4, 1, 16), shape, {Fill::Random});
    check_fixed(spec, gemv("i2r8", 8, 2, 4), shape, {Fill::Random});
  }
}

TEST_CASE("gemv: a scale per group") {
  const KernelSpec &spec = compiler::builtin_kernel("w2a8_group_matmul");
  check_fixed(spec, gemv("i2r4", 4), {{"M", 3}, {"N", 70}, {"K", 192}, {"G", 64}}, {Fill::Random, Fill::Lowest});
  check_fixed(spec, gemv("i2r2", 4), {{"M", 1}, {"N", 33}, {"K", 2304}, {"G", 128}}, {Fill::Random});
  check_fixed(spec, gemv("i2r1", 2, 2), {{"M", 2}, {"N", 9}, {"K", 576}, {"G", 192}}, {Fill::Random});
}

TEST_CASE("gemv: extremes at depth") {
  const KernelSpec &spec = compiler::builtin_kernel("w2a8_matmul");
  check_fixed(spec, gemv("i2r4", 4, 1, 16), {{"M", 1}, {"N", 9}, {"K", 8192}}, kExtremes, 1);
  check_fixed(spec, gemv("i2r4", 4, 1, 16), {{"M", 1}, {"N", 9}, {"K", 6976}}, kExtremes, 1);
}

TEST_CASE("kernels given only as text") {
  check_fixed(file_kernel("bias_clamp.bk"), gemv("i2r4", 4), {{"M", 3}, {"N", 67}, {"K", 200}}, kExtremes);
  check_fixed(file_kernel("two_sums.bk"), gemv("i2r2", 2), {{"M", 3}, {"N", 67}, {"K", 200}}, kExtremes);
  check_fixed(file_kernel("gather_rows.bk"), gemv("i2r4", 4), {{"M", 3}, {"N", 67}, {"R", 41}, {"K", 200}}, kExtremes);
  const Schedule loops{"halide", "loops", {}, "i2r4"};
  check_fixed(file_kernel("gather_columns.bk"), loops, {{"M", 3}, {"N", 67}, {"K", 200}, {"C", 37}}, kExtremes);
  check_fixed(file_kernel("two_sums.bk"), loops, {{"M", 3}, {"N", 67}, {"K", 200}}, kExtremes);
}
