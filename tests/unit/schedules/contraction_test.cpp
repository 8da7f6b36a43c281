// Recognising ternary contractions, planning kernels round them, and the space of their schedules.
#include "schedules/contraction.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "compiler/error.h"
#include "compiler/library.h"
#include "compiler/parser.h"
#include "compiler/printer.h"
#include "schedules/contraction_plan.h"
#include "schedules/layout.h"
#include "schedules/space.h"

using namespace bittern;
using compiler::KernelSpec;
using compiler::Op;
using schedules::Contraction;
using schedules::Schedule;

namespace {

const schedules::Target &avx2() { return schedules::find_target("x86-64-avx2"); }

KernelSpec with_sum(const std::string &sum, const std::string &tensors = "") {
  return compiler::parse_kernel("kernel test(M, N, K) {\n  in W : ternary[N, K]\n  in A : i8[M, K] pad 64\n" + tensors +
                                    "  out Y : i32[M, N]\n  Y[m, n] = " + sum + "\n}\n",
                                "test.bk");
}

std::string why_not(const KernelSpec &spec) {
  std::string why;
  CHECK_FALSE(schedules::plan_contractions(spec, &why).has_value());
  return why;
}

Schedule gemv(int64_t chunk, int64_t scaled, int64_t rows = 4, int64_t tokens = 1) {
  return {"llvm",
          "gemv",
          {{"rows", rows}, {"tokens", tokens}, {"chunk", chunk}, {"unroll", 1}, {"prefetch", 2048}, {"scaled", scaled}},
          "i2q32"};
}

bool has_ternary(const KernelSpec &spec) {
  return std::any_of(spec.tensors.begin(), spec.tensors.end(),
                     [](const compiler::Tensor &tensor) { return tensor.type == compiler::Type::Ternary; });
}

}  // namespace

TEST_CASE("the kernels of the project") {
  for (const std::string &name : compiler::builtin_kernel_names()) {
    CAPTURE(name);
    const KernelSpec &spec = compiler::builtin_kernel(name);
    CHECK(schedules::find_contractions(spec).size() == (has_ternary(spec) ? 1 : 0));
  }
  const Contraction dense = schedules::find_contractions(compiler::builtin_kernel("w2a8_matmul"))[0];
  CHECK(dense.definition == "acc");
  CHECK(dense.weights == "W");
  CHECK(dense.activations == "A");
  CHECK(dense.row->name == "n");
  CHECK(dense.lead.at(0)->name == "m");
  CHECK(dense.activation_pad == 64);
  CHECK_FALSE(dense.group);
  REQUIRE(dense.activation_sum);
  CHECK(dense.activation_sum->name == "asum");
  CHECK(dense.activation_sum->args.at(0)->name == "m");
  const Contraction grouped = schedules::find_contractions(compiler::builtin_kernel("w2a8_group_matmul"))[0];
  CHECK(grouped.group->name == "g");
  CHECK(grouped.extent->name == "G");
  CHECK(grouped.depth->name == "K");
  REQUIRE(grouped.activation_sum);
  CHECK(grouped.activation_sum->args.size() == 2);
  CHECK(grouped.activation_sum->args.at(1)->name == "g");
}

TEST_CASE("operands in either order, inside expressions, several in one kernel") {
  CHECK(schedules::find_contractions(with_sum("sum(k: K) i32(A[m, k]) * i32(W[n, k])")).size() == 1);
  CHECK(schedules::find_contractions(with_sum("max(3, 2 * sum(k: K) i32(W[n, k]) * i32(A[m, k]))")).size() == 1);
  const KernelSpec two = with_sum("(sum(k: K) i32(W[n, k]) * i32(A[m, k])) + (sum(k: K) i32(V[n, k]) * i32(A[m, k]))",
                                  "  in V : ternary[N, K]\n");
  CHECK(schedules::find_contractions(two).size() == 2);
  CHECK(schedules::plan_contractions(two)->sums.size() == 2);
  // The same sum twice is computed once.
  const KernelSpec twice =
      with_sum("(sum(k: K) i32(W[n, k]) * i32(A[m, k])) * (sum(j: K) i32(W[n, j]) * i32(A[m, j]))");
  CHECK(schedules::plan_contractions(twice)->sums.size() <= 2);
}

TEST_CASE("what is no contraction") {
  CHECK(schedules::find_contractions(with_sum("sum(k: K) i32(W[n, K - 1 - k]) * i32(A[m, k])")).empty());
  CHECK(schedules::find_contractions(with_sum("sum(k: K / 2) i32(W[n, k]) * i32(A[m, k])")).empty());
  CHECK(schedules::find_contractions(with_sum("sum(k: K) i32(A[m, k]) * i32(A[m, k])")).empty());
  CHECK(schedules::find_contractions(with_sum("sum(k: K) i32(W[n, k])")).empty());
}

TEST_CASE("kernels that the contraction templates leave to loops, with the reason") {
  CHECK(why_not(compiler::builtin_kernel("rmsnorm")) == "it has no sum of ternary weights times int8 activations");
  CHECK(why_not(compiler::parse_kernel("kernel t(M, N, K) {\n  in W : ternary[N, K]\n  in A : i8[M, K]\n"
                                       "  out Y : i32[M, N]\n"
                                       "  Y[m, n] = sum(k: K) i32(W[n, k]) * i32(A[m, k])\n}\n",
                                       "t.bk")) == "rows of A are not padded to 64");
  CHECK(why_not(with_sum("sum(k: K) i32(W[rows[m], k]) * i32(A[m, k])", "  in rows : i32[M] range 0 .. N\n")) ==
        "the row of W depends on m, not on n alone");
  CHECK(why_not(with_sum("(sum(k: K) i32(W[n, k]) * i32(A[m, k])) + (sum(k: K) i32(W[n, k]))")) ==
        "W is read outside of a contraction");
}

TEST_CASE("rows through a list are planned, for the layouts that keep rows apart") {
  const KernelSpec picked =
      with_sum("sum(k: K) i32(W[rows[n], k]) * i32(A[m, k])", "  in rows : i32[N] range 0 .. N\n");
  const auto plan = schedules::plan_contractions(picked);
  REQUIRE(plan.has_value());
  CHECK(plan->gathered);
  for (const schedules::Default &row : schedules::defaults(picked, avx2()))
    CHECK(row.schedule.layout.starts_with("i2r"));
}

TEST_CASE("a schedule that could overflow int16 is illegal, with the proof's words") {
  const KernelSpec &spec = compiler::builtin_kernel("w2a8_matmul");
  const compiler::Sizes sizes = {{"M", 1}, {"N", 2560}, {"K", 2560}};
  CHECK_FALSE(schedules::illegal(spec, sizes, gemv(16, 0), avx2()).has_value());
  CHECK_FALSE(schedules::illegal(spec, sizes, gemv(8, 1), avx2()).has_value());
  const auto reason = schedules::illegal(spec, sizes, gemv(16, 1), avx2());
  REQUIRE(reason.has_value());
  CHECK(reason->find("chunk=16") != std::string::npos);
  CHECK(reason->find("16") != std::string::npos);
  const compiler::Sizes absurd = {{"M", 1}, {"N", 1}, {"K", int64_t{1} << 30}};
  const auto deep = schedules::illegal(spec, absurd, gemv(16, 0), avx2());
  REQUIRE(deep.has_value());
  CHECK(deep->find("int32 sums over K=1073741824") != std::string::npos);
}

TEST_CASE("other reasons a schedule is illegal") {
  const KernelSpec &spec = compiler::builtin_kernel("w2a8_matmul");
  const compiler::Sizes one = {{"M", 1}, {"N", 256}, {"K", 256}};
  const auto reason = [&](const Schedule &schedule) { return schedules::illegal(spec, one, schedule, avx2()).value(); };
  CHECK(reason(gemv(16, 0, 8, 2)) == "rows=8 times tokens=2 accumulators do not fit 16 registers");
  CHECK(reason(gemv(16, 0, 2, 4)) == "tokens=4 is more than M=1");
  CHECK(reason(gemv(16, 0, 3)) == "rows=3 is not one of 1, 2, 4, 8");
  Schedule other = gemv(16, 0);
  other.layout = "tl1";
  CHECK(reason(other).starts_with("llvm.gemv cannot use layout \"tl1\" here; it can use: i2q32, i2q16, "));
  other = gemv(16, 0);
  other.params["colour"] = 3;
  CHECK(reason(other) == "llvm.gemv has no parameter colour");
  other.template_name = "gemw";
  CHECK(reason(other) == "no template llvm.gemw");
  CHECK(schedules::illegal(compiler::builtin_kernel("rmsnorm"), {}, gemv(16, 0), avx2()).value() ==
        "llvm.gemv does not apply to kernel rmsnorm on x86-64-avx2");
}

TEST_CASE("the GEMV space is large, ranked, and holds every shipped default") {
  const KernelSpec &spec = compiler::builtin_kernel("w2a8_matmul");
  const auto points = schedules::enumerate(spec, {{"M", 1}, {"N", 6912}, {"K", 2560}}, avx2());
  CHECK(std::count_if(points.begin(), points.end(), [](const schedules::Point &p) { return p.illegal.empty(); }) >=
        100);
  CHECK(std::any_of(points.begin(), points.end(), [](const schedules::Point &p) { return !p.illegal.empty(); }));
  CHECK(std::is_sorted(points.begin(), points.end(), [](const auto &a, const auto &b) { return a.prior < b.prior; }));
  const auto narrow = schedules::enumerate(spec, {{"M", 1}, {"N", 6912}, {"K", 2560}}, avx2(), {"i2r4"});
  CHECK(std::all_of(narrow.begin(), narrow.end(), [](const auto &p) { return p.schedule.layout == "i2r4"; }));

  // Every layout has a default for every M, on both targets and for every contraction kernel; all are legal.
  for (const std::string &name : compiler::builtin_kernel_names()) {
    const KernelSpec &kernel = compiler::builtin_kernel(name);
    if (!has_ternary(kernel)) continue;
    for (const schedules::Target &target : schedules::targets()) {
      const auto shipped = schedules::defaults(kernel, target);
      for (const schedules::Default &row : shipped) {
        CAPTURE(schedules::print_schedule(row.schedule));
        CHECK(schedules::illegal(kernel, {}, row.schedule, target).value_or("") == "");
      }
      for (const schedules::Layout &layout : schedules::layouts()) {
        CAPTURE(layout.name);
        if (!layout.two_bit_fields()) continue;
        for (const int64_t m : {1, 2, 3, 4, 8, 9, 31, 128, 5000})
          CHECK(std::any_of(shipped.begin(), shipped.end(), [&](const schedules::Default &row) {
            return row.schedule.layout == layout.name && row.m_min <= m && m <= row.m_max;
          }));
      }
    }
  }
}
