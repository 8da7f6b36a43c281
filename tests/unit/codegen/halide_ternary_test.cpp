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

Schedule gemm(const std::string &layout, int64_t rows, int64_t tokens, int64_t nb, int64_t mb, int64_t chunk,
              int64_t order = 1, int64_t unroll = 1) {
  return {"halide",
          "gemm",
          {{"rows", rows},
           {"tokens", tokens},
           {"nb", nb},
           {"mb", mb},
           {"chunk", chunk},
           {"order", order},
           {"unroll", unroll}},
          layout};
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

TEST_CASE("gemm: every layout, blocks and tails") {
  const KernelSpec &spec = compiler::builtin_kernel("w2a8_matmul");
  const std::vector<Sizes> shapes = {{{"M", 1}, {"N", 1}, {"K", 1}},
                                     {{"M", 9}, {"N", 67}, {"K", 64}},
                                     {{"M", 33}, {"N", 96}, {"K", 129}},
                                     {{"M", 5}, {"N", 130}, {"K", 447}}};
  for (const Sizes &shape : shapes) {
    check_fixed(spec, gemm("i2r1", 2, 4, 32, 16, 10, 1, 2), shape, {Fill::Random});
    check_fixed(spec, gemm("i2r2", 4, 2, 16, 8, 5, 0), shape, {Fill::Random});
    check_fixed(spec, gemm("i2r4", 4, 2, 64, 32, 16), shape, {Fill::Random});
    check_fixed(spec, gemm("i2r8", 2, 4, 32, 128, 5, 0), shape, {Fill::Random});
  }
  check_fixed(spec, gemm("i2r4", 2, 4, 32, 16, 16, 1, 2), {{"M", 17}, {"N", 33}, {"K", 6976}}, kExtremes);
}

TEST_CASE("kernels given only as text") {
  check_fixed(file_kernel("bias_clamp.bk"), gemv("i2r4", 4), {{"M", 3}, {"N", 67}, {"K", 200}}, kExtremes);
  check_fixed(file_kernel("two_sums.bk"), gemv("i2r2", 2), {{"M", 3}, {"N", 67}, {"K", 200}}, kExtremes);
  check_fixed(file_kernel("gather_rows.bk"), gemv("i2r4", 4), {{"M", 3}, {"N", 67}, {"R", 41}, {"K", 200}}, kExtremes);
  check_fixed(file_kernel("bias_clamp.bk"), gemm("i2r4", 2, 4, 32, 16, 10), {{"M", 19}, {"N", 67}, {"K", 200}},
              kExtremes);
  check_fixed(file_kernel("two_sums.bk"), gemm("i2r4", 2, 4, 32, 16, 10), {{"M", 19}, {"N", 67}, {"K", 200}},
              kExtremes);
  check_fixed(file_kernel("gather_rows.bk"), gemm("i2r2", 2, 4, 32, 16, 10),
              {{"M", 9}, {"N", 67}, {"R", 41}, {"K", 200}}, kExtremes);
  const Schedule loops{"halide", "loops", {}, "i2r4"};
  check_fixed(file_kernel("gather_columns.bk"), loops, {{"M", 3}, {"N", 67}, {"K", 200}, {"C", 37}}, kExtremes);
  check_fixed(file_kernel("two_sums.bk"), loops, {{"M", 3}, {"N", 67}, {"K", 200}}, kExtremes);
}

TEST_CASE("the space of GEMV has many legal points, and its limits have reasons") {
  const KernelSpec &spec = compiler::builtin_kernel("w2a8_matmul");
  const schedules::Target &target = schedules::find_target("x86-64-avx2");
  int legal = 0;
  for (const schedules::Point &point : schedules::enumerate(spec, {{"M", 1}, {"N", 2560}, {"K", 2560}}, target))
    if (point.schedule.backend == "halide" && point.schedule.template_name == "gemv") legal += point.illegal.empty();
  CHECK(legal >= 40);
  const Sizes sizes{{"M", 1}, {"N", 2560}, {"K", 2560}};
  CHECK(schedules::illegal(spec, sizes, gemv("i2r8", 4), target).has_value());
  CHECK(schedules::illegal(spec, sizes, gemv("i2r1", 1, 2), target).has_value());
  CHECK(schedules::illegal(spec, sizes, gemv("i2q32", 4), target).has_value());
  CHECK_FALSE(schedules::illegal(spec, sizes, gemv("i2r4", 4), target).has_value());
}

TEST_CASE("what cannot be compiled is said, not emitted") {
  const KernelSpec &spec = compiler::builtin_kernel("w2a8_matmul");
  const schedules::Target &target = schedules::find_target("x86-64-avx2");
  const auto compile = [&](const KernelSpec &kernel, const Schedule &schedule, const Sizes &fixed) {
    return codegen::compile({kernel, schedule, target, fixed, 1, INT64_MAX, "kernel_under_test"});
  };
  CHECK_THROWS_WITH_AS(compile(spec, gemv("i2r4", 4), {}),
                       "halide.gemv needs the number of weight rows (N) to be fixed", Error);
  CHECK_THROWS_WITH_AS(compile(spec, gemv("i2q32", 4), {{"N", 64}, {"K", 64}}), "halide.gemv cannot read layout i2q32",
                       Error);
  CHECK_THROWS_WITH_AS(compile(spec, gemv("i2r4", 4, 1, 7), {{"N", 64}, {"K", 64}}),
                       "halide.gemv: chunk=7 is not one of 4, 8, 16", Error);
  CHECK_THROWS_WITH_AS(compile(spec, gemv("i2r4", 4, 1, 17), {{"N", 64}, {"K", 64}}),
                       doctest::Contains("halide.gemv: chunk=17: 136 products"), Error);
  CHECK_THROWS_AS(compile(compiler::builtin_kernel("residual_add"), gemv("i2r4", 4), {{"K", 64}}), Error);
}

TEST_CASE("no fused multiply-add, nothing called but memcpy and memset") {
  const Loaded kernel(compiler::builtin_kernel("rmsnorm_quant"), {"halide", "loops", {}, ""});
  CHECK(kernel.compiled().assembly.find("vfm") == std::string::npos);
  CHECK(kernel.compiled().assembly.find("vmulps") != std::string::npos);
}
