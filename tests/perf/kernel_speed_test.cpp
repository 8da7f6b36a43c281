// Generated kernels must be worth having. Absolute speed is for bitnet-bench on a quiet machine; here only what holds
// on any machine, however busy: the default kernels beat the scalar code several times over, and reading weights once
// for eight tokens is cheaper than reading them eight times.
#include <doctest/doctest.h>

#include <algorithm>

#include "runtime/bench/kernel_bench.h"

using namespace bittern::runtime;

namespace {

// The best of three short runs: a neighbour can only make a run slower.
double microseconds(ThreadPool &pool, const KernelSet &kernels, Roof &roof, int64_t m) {
  double best = 1e30;
  for (int run = 0; run < 3; ++run)
    best = std::min(best, bench_kernel(pool, kernels, roof, {2560, 2560}, m, 0.1).us_median);
  return best;
}

}  // namespace

TEST_CASE("default kernels are several times faster than scalar code, and batches share the reading of weights") {
  ThreadPool pool(1);
  Roof roof(pool, int64_t{64} << 20);
  const KernelSet defaults(KernelChoice::Default, 1), scalar(KernelChoice::Scalar, 1);
  const double one = microseconds(pool, defaults, roof, 1);
  CHECK(one * 2 < microseconds(pool, scalar, roof, 1));
  CHECK(microseconds(pool, defaults, roof, 32) * 2 < microseconds(pool, scalar, roof, 32));
  CHECK(microseconds(pool, defaults, roof, 8) < 8 * one);
}
