// The benchmark's definitions: which roof binds, and that a kernel is checked before it is timed.
#include <doctest/doctest.h>

#include "runtime/bench/kernel_bench.h"
#include "runtime/bench/report.h"
#include "runtime/error.h"
#include "runtime/kernels/scalar/scalar.h"

using namespace bittern::runtime;

TEST_CASE("the percentage is of bandwidth at M = 1, of multiply-adds from 32, of the nearer roof between") {
  CHECK(roof_percent(1, 10, 400, 20, 400) == doctest::Approx(50));
  CHECK(roof_percent(32, 10, 100, 20, 400) == doctest::Approx(25));
  CHECK(roof_percent(8, 10, 100, 20, 400) == doctest::Approx(50));
  CHECK(roof_percent(8, 1, 100, 20, 400) == doctest::Approx(25));
}

TEST_CASE("figures follow their definitions") {
  ThreadPool pool(1);
  Roof roof(pool, int64_t{16} << 20);
  const KernelSet kernels(KernelChoice::Scalar, 1, std::vector<const bt_pack *>{});
  const KernelFigures f = bench_kernel(pool, kernels, roof, {37, 130}, 3, 0.01);
  CHECK(f.origin == "scalar");
  CHECK(f.us_median > 0);
  CHECK(f.gb_s == doctest::Approx(37 * 130 / 4.0 / f.us_median / 1e3));
  CHECK(f.gop_s == doctest::Approx(2 * 3 * 37 * 130 / f.us_median / 1e3));
  CHECK(f.roof_pct == doctest::Approx(roof_percent(3, f.gb_s, f.gop_s, f.roof_gb_s, f.roof_gop_s)));
}

TEST_CASE("a kernel that is wrong in one row is never timed") {
  // The scalar kernel with the last output changed afterwards, under a name that wins over the others.
  static const bt_kernel *right = nullptr;
  for (uint32_t i = 0; i < bt_scalar_pack()->count; ++i) {
    if (std::string(bt_scalar_pack()->kernels[i]->spec) == "w2a8_matmul") right = bt_scalar_pack()->kernels[i];
  }
  REQUIRE(right != nullptr);
  bt_kernel wrong = *right;
  wrong.threads = 1;
  wrong.fn = [](const bt_args *args) {
    right->fn(args);
    if (args->tile_end * right->tile >= args->sizes[1])
      static_cast<float *>(args->tensors[5].data)[args->sizes[1] - 1] += 1;
  };
  const bt_kernel *table[] = {&wrong};
  const bt_pack pack{BT_ABI_VERSION, 1, "bittern " BITTERN_VERSION, table};
  const KernelSet kernels(KernelChoice::Tuned, 1, {&pack});
  ThreadPool pool(1);
  Roof roof(pool, int64_t{16} << 20);
  CHECK_THROWS_WITH_AS(bench_kernel(pool, kernels, roof, {37, 130}, 1, 0.01), doctest::Contains("self-check failed"),
                       Error);
}
