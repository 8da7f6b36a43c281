// The kernels for weights of several trits a code (base3, lut, and gemm that unpacks them), run against the
// interpreter: every layout and form of table, tails of N and K, groups, extremes of the operands, unseen kernel texts.
#include <algorithm>

#include "codegen/backend.h"
#include "compiler/error.h"
#include "compiler/library.h"
#include "compiler/parser.h"
#include "schedules/contraction_facts.h"
#include "tests/unit/codegen/contraction_harness.h"

using namespace bittern;
using namespace bittern::test::contraction;
using compiler::KernelSpec;
using compiler::Sizes;
using schedules::Schedule;

namespace {

Schedule base3(const std::string &layout, int64_t units, int64_t tokens) {
  return {
      "llvm", "base3", {{"units", units}, {"tokens", tokens}, {"chunk", 64}, {"prefetch", 1024}, {"hint", 1}}, layout};
}
Schedule lut(const std::string &layout, int64_t units, int64_t tokens, int64_t split, int64_t chunk = 80) {
  return {"llvm",
          "lut",
          {{"units", units}, {"tokens", tokens}, {"split", split}, {"chunk", chunk}, {"prefetch", 1024}, {"hint", 0}},
          layout};
}
Schedule gemm(const std::string &layout, int64_t nr, int64_t mt, int64_t kb = 256) {
  return {"llvm", "gemm", {{"nr", nr}, {"mt", mt}, {"nb", 96}, {"mb", 32}, {"kb", kb}, {"unroll", 4}}, layout};
}

bool signs(const std::string &layout) { return schedules::find_layout(layout).planes.size() > 1; }

}  // namespace

TEST_CASE("every layout: one token and several, many tokens, tails, every target") {
  const KernelSpec &dense = compiler::builtin_kernel("w2a8_matmul");
  for (const char *target : runnable_targets()) {
    for (const std::string &layout : schedules::base3_layouts(dense)) {
      check(dense, base3(layout, layout == "t5r20" ? 2 : 1, 1), target, dense_shapes(), {Fill::Random});
      check(dense, gemm(layout, 4, 2), target, dense_shapes(), {Fill::Random});
    }
    for (const std::string &layout : schedules::lut_layouts(dense)) {
      check(dense, lut(layout, 2, 1, 0), target, dense_shapes(), {Fill::Random});
      check(dense, gemm(layout, 3, 3), target, dense_shapes(), {Fill::Random});
    }
    check(dense, lut("tl1r64", 2, 1, 1), target, dense_shapes(), {Fill::Random});
  }
  check(dense, base3("t5r5", 4, 2), kAvx2, dense_shapes(), {Fill::Random});
  check(dense, base3("t5r20", 2, 4), kAvx2, dense_shapes(), {Fill::Random});
  check(dense, base3("u16x10r10", 2, 2), kAvx2, dense_shapes(), {Fill::Random});
  for (const std::string &layout : schedules::lut_layouts(dense)) {
    for (const int64_t split : {0, 1}) {
      if (split == 1 && signs(layout)) continue;
      check(dense, lut(layout, 4, 1, split), kAvx2, dense_shapes(), {Fill::Random});
      check(dense, lut(layout, 1, 4, split), kAvx2, dense_shapes(), {Fill::Random});
    }
  }
}

TEST_CASE("groups of k") {
  const KernelSpec &grouped = compiler::builtin_kernel("w2a8_group_matmul");
  for (const std::string &layout : schedules::base3_layouts(grouped)) {
    check(grouped, base3(layout, 2, 2), kAvx2, grouped_shapes(), {Fill::Random});
    check(grouped, gemm(layout, 4, 2, 512), kAvx2, grouped_shapes(), {Fill::Random});
  }
  for (const std::string &layout : schedules::lut_layouts(grouped)) {
    check(grouped, lut(layout, 2, 2, 0), kAvx2, grouped_shapes(), {Fill::Random});
    check(grouped, lut(layout, 2, 1, 1), kAvx2, grouped_shapes(), {Fill::Random});
    check(grouped, gemm(layout, 4, 2, 512), kAvx2, grouped_shapes(), {Fill::Random});
  }
}

TEST_CASE("sizes fixed at compile time") {
  const KernelSpec &dense = compiler::builtin_kernel("w2a8_matmul");
  check(dense, base3("t5r20", 4, 1), kAvx2, dense_shapes(), {Fill::Random}, true);
  check(dense, base3("u16x10r10", 1, 1), kAvx2, dense_shapes(), {Fill::Random}, true);
  check(dense, lut("tl1r64", 2, 2, 1), kAvx2, dense_shapes(), {Fill::Random}, true);
  check(dense, lut("tl2r64", 2, 2, 0), kAvx2, dense_shapes(), {Fill::Random}, true);
  check(dense, gemm("tl2r64", 4, 2, 1024), kAvx2, dense_shapes(), {Fill::Random}, true);
}

TEST_CASE("extremes stay inside bytes, int16 and int32 at the deepest K") {
  const KernelSpec &dense = compiler::builtin_kernel("w2a8_matmul");
  const std::vector<Sizes> deep = {{{"M", 2}, {"N", 9}, {"K", 16384}}};
  const std::vector<Fill> fills = {Fill::Ones, Fill::MinusOnes, Fill::Extremes, Fill::Lowest};
  check(dense, base3("t5r5", 1, 2), kAvx2, deep, fills);
  check(dense, base3("u16x10r10", 1, 1), kAvx2, deep, fills);
  for (const char *target : runnable_targets()) {
    check(dense, lut("tl1r64", 2, 2, 0, 120), target, deep, fills);
    check(dense, lut("tl1r64", 2, 2, 1), target, deep, fills);
    check(dense, lut("tl2r64", 2, 2, 0), target, deep, fills);
  }
}

TEST_CASE("kernels nobody has seen before") {
  const KernelSpec two = compiler::parse_kernel(R"(
kernel two_sums(M, N, K) {
  in U : ternary[N, K]
  in V : ternary[N, K]
  in A : i8[M, K] pad 64
  out S : i32[M, N]
  u[i, j] = sum(k: K) i32(U[j, k]) * i32(A[i, k])
  v[i, j] = sum(k: K) i32(A[i, k]) * i32(V[j, k])
  S[p, q] = max(u[p, q], 0) + v[p, q]
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
  const std::vector<Sizes> shapes = {{{"O", 70}, {"I", 300}}, {{"O", 3}, {"I", 64}}};
  for (const char *layout : {"t5r5", "u16x10r10"}) {
    check(two, base3(layout, 1, 1), kAvx2, dense_shapes(), {Fill::Random});
    check(vector, base3(layout, 2, 1), kAvx2, shapes, {Fill::Random});
  }
  for (const char *layout : {"tl1r64", "tl2r64"}) {
    check(two, lut(layout, 2, 2, 0), kAvx2, dense_shapes(), {Fill::Random});
    check(vector, lut(layout, 4, 1, 0), kAvx2, shapes, {Fill::Random});
  }
}

TEST_CASE("what these templates cannot do is illegal, with the reason") {
  const KernelSpec &dense = compiler::builtin_kernel("w2a8_matmul"),
                   &grouped = compiler::builtin_kernel("w2a8_group_matmul");
  const schedules::Target &avx2 = schedules::find_target(kAvx2);
  const auto why = [&](const KernelSpec &spec, const Schedule &s) {
    return schedules::illegal(spec, {}, s, avx2).value_or("legal");
  };
  CHECK(why(dense, lut("tl1r64", 2, 1, 0, 120)) == "legal");
  CHECK(why(dense, lut("tl2r64", 2, 1, 0, 120)).starts_with("chunk=120: "));
  CHECK(why(dense, lut("tl2r64", 2, 1, 1)) == "split=1: sums that are negated one by one are not added as bytes");
  CHECK(why(grouped, lut("tl2r64", 2, 1, 0)) == "llvm.lut cannot use layout \"tl2r64\" here; it can use: tl1r64");
  CHECK(why(dense, base3("t5r20", 1, 1)) == "units=1 reads only a part of the cache lines of layout t5r20");
  CHECK(why(dense, base3("t5r5", 4, 4)) == "20 rows times tokens=4 accumulators do not fit 16 registers");
  Schedule deep = base3("t5r5", 1, 1);
  deep.params["chunk"] = 128;
  CHECK(why(dense, deep).starts_with("chunk=128: "));
  // Every layout's own defaults are legal and leave no M without one.
  for (const schedules::Target &target : schedules::targets()) {
    for (const KernelSpec *spec : {&dense, &grouped}) {
      const auto all = schedules::defaults(*spec, target);
      std::vector<std::string> layouts = schedules::base3_layouts(*spec);
      for (const std::string &layout : schedules::lut_layouts(*spec)) layouts.push_back(layout);
      for (const std::string &layout : layouts)
        for (const int64_t m : {1, 2, 3, 8, 17, 128, 5000}) {
          const auto one = std::find_if(all.begin(), all.end(), [&](const schedules::Default &d) {
            return d.schedule.layout == layout && d.m_min <= m && m <= d.m_max;
          });
          CAPTURE(target.name);
          CAPTURE(layout);
          CAPTURE(m);
          REQUIRE(one != all.end());
          CHECK(!one->built_in);
          CHECK(schedules::illegal(*spec, {}, one->schedule, target).value_or("") == "");
        }
    }
  }
}

TEST_CASE("the instructions of a weight are counted in the machine code, and about as many as was predicted") {
  const KernelSpec &dense = compiler::builtin_kernel("w2a8_matmul");
  const Sizes fixed = {{"N", 2560}, {"K", 2560}}, sizes = {{"M", 1}, {"N", 2560}, {"K", 2560}};
  for (const char *name : {kAvx2, "x86-64-avx512bw", "x86-64-avx512vbmi"}) {
    const schedules::Target &target = schedules::find_target(name);
    for (const Schedule &s : {base3("t5r20", 2, 1), base3("t5r5", 1, 1), base3("u16x10r10", 1, 1),
                              lut("tl1r64", 2, 1, 1), lut("tl1r64", 2, 1, 0), lut("tl2r64", 2, 1, 0)}) {
      const double counted = codegen::compile({dense, s, target, fixed, 1, 1, "counted"}).descriptor.instructions;
      const double predicted = schedules::operations(dense, sizes, s, target);
      MESSAGE(target.name << " " << schedules::print_schedule(s) << ": " << counted << " counted, " << predicted
                          << " predicted");
      CHECK(counted > 0.75 * predicted);
      CHECK(counted < 2 * predicted);
    }
  }
}
