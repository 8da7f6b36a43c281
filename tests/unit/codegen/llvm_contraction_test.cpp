// The contraction kernels that LLVM generates (gemv, gemm), run against the interpreter: every layout of two bits, odd
// shapes and tails, extremes of the operands, unseen kernel texts.
#include "codegen/backend.h"
#include "compiler/error.h"
#include "compiler/library.h"
#include "compiler/parser.h"
#include "tests/unit/codegen/contraction_harness.h"

using namespace bittern;
using namespace bittern::test::contraction;
using compiler::KernelSpec;
using compiler::Sizes;
using schedules::Schedule;

namespace {

Schedule gemv(const std::string &layout, int64_t rows, int64_t tokens, int64_t unroll = 1, int64_t scaled = 0) {
  return {"llvm",
          "gemv",
          {{"rows", rows},
           {"tokens", tokens},
           {"chunk", scaled ? 8 : 16},
           {"unroll", unroll},
           {"prefetch", 1024},
           {"hint", 1},
           {"scaled", scaled}},
          layout};
}
Schedule gemm(const std::string &layout, int64_t nr, int64_t mt, int64_t mb = 32, int64_t kb = 256) {
  return {"llvm", "gemm", {{"nr", nr}, {"mt", mt}, {"nb", 96}, {"mb", mb}, {"kb", kb}, {"unroll", 2}}, layout};
}

std::vector<std::string> layout_names() {
  std::vector<std::string> names;
  for (const schedules::Layout &layout : schedules::layouts())
    if (layout.two_bit_fields()) names.push_back(layout.name);
  return names;
}
int64_t units(const std::string &layout) {
  const schedules::Layout &found = schedules::find_layout(layout);
  return found.k_tile == 16 ? found.row_tile / 8 : found.row_tile;
}

}  // namespace

TEST_CASE("every layout: one token, many tokens, dynamic sizes, every target") {
  const KernelSpec &dense = compiler::builtin_kernel("w2a8_matmul");
  const KernelSpec &grouped = compiler::builtin_kernel("w2a8_group_matmul");
  for (const std::string &layout : layout_names()) {
    const int64_t own = units(layout);
    for (const char *target : runnable_targets()) {
      check(dense, gemv(layout, own, 1), target, dense_shapes(), {Fill::Random});
      check(dense, gemm(layout, 4, 2), target, dense_shapes(), {Fill::Random});
      check(grouped, gemv(layout, own, 1), target, grouped_shapes(), {Fill::Random});
      check(grouped, gemm(layout, 3, 3, 32), target, grouped_shapes(), {Fill::Random});
    }
    check(dense, gemv(layout, std::max<int64_t>(own, 2), 4, 2), kAvx2, dense_shapes(), {Fill::Random});
    check(dense, gemv(layout, 8, 1, 2), kAvx2, dense_shapes(), {Fill::Random});
    check(dense, gemv(layout, std::max<int64_t>(own, 2), 3, 2, 1), kAvx2, dense_shapes(), {Fill::Random});
  }
}

TEST_CASE("a step may take a part of what a layout keeps together") {
  const KernelSpec &dense = compiler::builtin_kernel("w2a8_matmul");
  for (const char *layout : {"i2q32", "i2q16", "i2r4", "i2r8"}) {
    check(dense, gemv(layout, 1, 4), kAvx2, dense_shapes(), {Fill::Random});
    check(dense, gemv(layout, 2, 4), kAvx2, dense_shapes(), {Fill::Random});
  }
}

TEST_CASE("sizes fixed at compile time") {
  const KernelSpec &dense = compiler::builtin_kernel("w2a8_matmul");
  const KernelSpec &grouped = compiler::builtin_kernel("w2a8_group_matmul");
  for (const char *layout : {"i2q32", "i2r4"}) {
    check(dense, gemv(layout, 4, 2, 2), kAvx2, dense_shapes(), {Fill::Random}, true);
    check(dense, gemm(layout, 4, 2, 128, 512), kAvx2, dense_shapes(), {Fill::Random}, true);
    check(grouped, gemv(layout, 4, 2, 2), kAvx2, grouped_shapes(), {Fill::Random}, true);
    check(grouped, gemm(layout, 2, 4, 32, 512), kAvx2, grouped_shapes(), {Fill::Random}, true);
  }
}

TEST_CASE("extremes stay inside int16 and int32 at the deepest K") {
  const KernelSpec &dense = compiler::builtin_kernel("w2a8_matmul");
  const std::vector<Sizes> deep = {{{"M", 2}, {"N", 9}, {"K", 16384}}};
  const std::vector<Fill> fills = {Fill::Ones, Fill::MinusOnes, Fill::Extremes, Fill::Lowest};
  for (const char *target : {kAvx2, schedules::host_target(runtime::machine_isa()).name.c_str()}) {
    for (const char *layout : {"i2q32", "i2r4"}) {
      check(dense, gemv(layout, 4, 2), target, deep, fills);
      check(dense, gemv(layout, 4, 1, 1, 1), target, deep, fills);
      check(dense, gemm(layout, 4, 2, 128, 2048), target, deep, fills);
    }
  }
  check(dense, gemv("i2q8", 1, 1), kBaseline, deep, fills);
}

TEST_CASE("kernels nobody has seen before") {
  const KernelSpec bias = compiler::parse_kernel(R"(
kernel biased(M, N, K) {
  in W : ternary[N, K]
  in A : i8[M, K] pad 64
  in s : f32[M]
  in b : f32[N]
  out Y : f32[M, N]
  acc[m, n] = sum(k: K) i32(A[m, k]) * i32(W[n, k])
  Y[m, n] = min(max(f32(acc[m, n]) * s[m] + b[n], -6.0), 6.0)
})",
                                                 "bias.bk");
  const KernelSpec two = compiler::parse_kernel(R"(
kernel two_sums(M, N, K) {
  in U : ternary[N, K]
  in V : ternary[N, K]
  in A : i8[M, K] pad 64
  in x : f32[M, K]
  out Y : f32[M, N]
  out S : i32[M, N]
  u[i, j] = sum(k: K) i32(U[j, k]) * i32(A[i, k])
  v[i, j] = sum(k: K) i32(V[j, k]) * i32(A[i, k])
  norm[i] = sum(k: K) x[i, k] * x[i, k]
  top[i] = max(k: K) x[i, k]
  Y[m, n] = f32(u[m, n]) * f32(max(v[m, n], 0)) / (norm[m] + top[m])
  S[p, q] = u[p, q] + v[p, q]
})",
                                                "two.bk");
  const KernelSpec vector = compiler::parse_kernel(R"(
kernel vector_only(O, I) {
  in W : ternary[O, I]
  in a : i8[I] pad 64
  in w : f32[O]
  out y : f32[O]
  y[o] = f32(sum(i: I) i32(W[o, i]) * i32(a[i])) * w[o]
})",
                                                   "vector.bk");
  const KernelSpec groups = compiler::parse_kernel(R"(
kernel groups(M, N, K, G) {
  require G % 64 == 0
  require K % G == 0
  in W : ternary[N, K]
  in ws : f32[N, K / G]
  in as : f32[M, K / G]
  in A : i8[M, K] pad 64
  out Y : f32[M, N]
  Y[m, n] = sum(g: K / G) (f32(sum(j: G) i32(W[n, g * G + j]) * i32(A[m, g * G + j])) * ws[n, g]) * as[m, g]
})",
                                                   "groups.bk");
  for (const char *layout : {"i2q16", "i2r2"}) {
    check(bias, gemv(layout, 2, 2), kAvx2, dense_shapes(), {Fill::Random});
    check(bias, gemm(layout, 4, 2), kBaseline, dense_shapes(), {Fill::Random});
    check(two, gemv(layout, 2, 2), kAvx2, dense_shapes(), {Fill::Random});
    check(two, gemm(layout, 4, 2), kAvx2, dense_shapes(), {Fill::Random});
    check(vector, gemv(layout, 4, 1), kAvx2, {{{"O", 70}, {"I", 300}}, {{"O", 3}, {"I", 64}}}, {Fill::Random});
    check(groups, gemv(layout, 2, 2), kAvx2, grouped_shapes(), {Fill::Random});
    check(groups, gemm(layout, 3, 2), kAvx2, grouped_shapes(), {Fill::Random});
  }
}

TEST_CASE("rows picked through an index list") {
  const KernelSpec picked = compiler::parse_kernel(R"(
kernel picked(M, N, K, P) {
  in W : ternary[N, K]
  in ws : f32[N]
  in A : i8[M, K] pad 64
  in rows : i32[P] range 0 .. N
  out Y : f32[M, P]
  Y[m, p] = f32(sum(k: K) i32(W[rows[p], k]) * i32(A[m, k])) * ws[rows[p]]
})",
                                                   "picked.bk");
  const KernelSpec halves = compiler::parse_kernel(R"(
kernel halves(M, F, K) {
  in W : ternary[2 * F, K]
  in A : i8[M, K] pad 64
  out Y : i32[M, F]
  gate[m, f: F] = sum(k: K) i32(W[f, k]) * i32(A[m, k])
  up[m, f: F] = sum(k: K) i32(W[f + F, k]) * i32(A[m, k])
  Y[m, f] = max(gate[m, f], 0) * up[m, f]
})",
                                                   "halves.bk");
  const std::vector<Sizes> lists = {{{"M", 1}, {"N", 100}, {"K", 300}, {"P", 37}},
                                    {{"M", 3}, {"N", 101}, {"K", 64}, {"P", 130}}};
  const std::vector<Sizes> fused = {{{"M", 1}, {"F", 37}, {"K", 300}}, {{"M", 3}, {"F", 70}, {"K", 128}}};
  for (const char *layout : {"i2r1", "i2r4", "i2r8"}) {
    check(picked, gemv(layout, 4, 2), kAvx2, lists, {Fill::Random});
    check(picked, gemm(layout, 2, 4), kAvx2, lists, {Fill::Random});
    check(halves, gemv(layout, 2, 2), kAvx2, fused, {Fill::Random});
    check(halves, gemm(layout, 2, 4), kBaseline, fused, {Fill::Random});
  }
  CHECK_THROWS_WITH_AS(Loaded(picked, gemv("i2q32", 4, 1), kAvx2),
                       "llvm.gemv: layout i2q32 keeps 8 rows together, and W is read row by row", Error);
}

TEST_CASE("what the contraction templates cannot walk is refused with the reason") {
  const KernelSpec gather = compiler::parse_kernel(R"(
kernel gathered(M, N, K, L) {
  in W : ternary[N, K]
  in A : i8[M, L] pad 64
  in list : i32[K] range 0 .. L
  out Y : i32[M, N]
  Y[m, n] = sum(k: K) i32(W[n, k]) * i32(A[m, list[k]])
})",
                                                   "gather.bk");
  CHECK_THROWS_WITH_AS(
      Loaded(gather, gemv("i2r4", 4, 1), kAvx2),
      "llvm.gemv cannot lower kernel gathered: it has no sum of ternary weights times int8 activations", Error);
}
