// Every operation of the IR, lowered by LLVM for every target that this machine runs, equals the interpreter bit for
// bit on the values where conversions and roundings go wrong: subnormals, ties, limits, signs of zero.
#include <functional>

#include "codegen/backend.h"
#include "compiler/parser.h"
#include "tests/unit/codegen/kernel_harness.h"

using namespace bittern;
using compiler::KernelSpec;
using compiler::Sizes;
using compiler::TensorData;

namespace {

// Fills inputs by hand, computes the outputs and compares on every target.
void check(const std::string &text, const Sizes &sizes, const std::function<void(test::Problem &)> &fill) {
  const KernelSpec spec = compiler::parse_kernel(text, "test.bk");
  test::Problem problem = test::make_problem(spec, sizes, 5);
  fill(problem);
  compiler::interpret(spec, sizes, problem.scalars, problem.tensors, compiler::Givens::Compute);
  for (const std::string &target : test::runnable_targets()) {
    const test::LoadedPack pack({test::compile(spec, "llvm.loops{}", target)});
    INFO(text, " on ", target);
    CHECK(test::run(spec, pack.kernel(), sizes, problem, true) == "");
  }
}

std::vector<float> awkward_floats() {
  std::vector<float> values = {
      0.0f,           -0.0f,          0.5f,           -0.5f,          1.5f,           -1.5f,         2.5f,
      0.49999997f,    -0.49999997f,   8388607.5f,     8388608.0f,     -8388609.0f,    4194303.5f,    -4194304.5f,
      1e9f,           -2e9f,          65504.0f,       65519.996f,     65520.0f,       1e38f,         -1e38f,
      6.1035156e-05f, 6.0975552e-05f, 5.9604645e-08f, 2.9802322e-08f, 2.9802326e-08f, 8.940697e-08f, 1e-45f,
      -1e-40f,        3.3895314e38f,  1.00390625f,    1.01171875f,    1.005859375f};
  std::mt19937 random(3);
  while (values.size() % 37 != 0 || values.size() < 700) {  // no multiple of a vector
    uint32_t bits = static_cast<uint32_t>(random());
    if ((bits >> 23 & 0xff) == 0xff) continue;  // neither infinity nor NaN
    float value;
    std::memcpy(&value, &bits, sizeof value);
    values.push_back(value);
  }
  return values;
}

void put(TensorData &tensor, const std::vector<float> &values) {
  for (size_t i = 0; i < values.size(); ++i) tensor.set_float(static_cast<int64_t>(i), values[i]);
}

}  // namespace

TEST_CASE("every finite f16 and bf16 widens exactly") {
  for (const char *type : {"f16", "bf16"}) {
    const std::string text =
        fmt::format("kernel widen(N) {{\n  in X : {}[N]\n  out Y : f32[N]\n  Y[n] = f32(X[n])\n}}\n", type);
    check(text, {{"N", 65536}}, [&](test::Problem &problem) {
      TensorData &x = problem.tensors.at("X");
      const uint32_t exponent = std::string(type) == "f16" ? 0x7c00 : 0x7f80;
      for (uint32_t i = 0; i < 65536; ++i) {
        const auto bits = static_cast<uint16_t>((i & exponent) == exponent ? 0 : i);
        std::memcpy(x.bytes.data() + 2 * i, &bits, 2);
      }
    });
  }
}

TEST_CASE("narrowing and rounding, to nearest even") {
  const std::vector<float> values = awkward_floats();
  const Sizes sizes = {{"N", static_cast<int64_t>(values.size())}};
  const auto fill = [&](test::Problem &problem) { put(problem.tensors.at("X"), values); };
  for (const char *result : {"f16", "bf16"})
    check(fmt::format("kernel narrow(N) {{\n  in X : f32[N]\n  out Y : {0}[N]\n  Y[n] = {0}(X[n])\n}}\n", result),
          sizes, fill);
  for (const char *value : {"round_even(X[n])", "floor(X[n])", "abs(X[n])", "-X[n]", "sqrt(abs(X[n]))",
                            "1.0 / (X[n] * X[n] + 1.0)", "max(X[n], 0.0)", "min(X[n], -0.0)",
                            "select(X[n] < 0.5 and not (X[n] == -0.5), X[n], 2.0)", "f32(bits_i32(X[n]) >> 3)",
                            "bits_f32(bits_i32(X[n]) & 1065353215)", "f32(i32(min(max(X[n], -2000000.0), 2000000.0)))"})
    check(fmt::format("kernel apply(N) {{\n  in X : f32[N]\n  out Y : f32[N]\n  Y[n] = {}\n}}\n", value), sizes, fill);
}

TEST_CASE("integer operations, floor division among them") {
  for (const char *value :
       {"I[n] / 7", "I[n] % 7", "I[n] / 8", "I[n] % 8", "I[n] * 3 - n", "abs(I[n])", "-I[n]", "max(I[n], 3)",
        "min(I[n], -3)", "I[n] << 3", "I[n] >> 2", "(I[n] | 5) ^ (n & 3)", "I[n] / (n + 1)", "I[n] % (n + 1)",
        "select(I[n] >= 0 or n != 3, I[n], n)", "i32(i8(I[n] % 100))", "select(I[n] <= 5, 1, 0)"})
    check(fmt::format("kernel apply(N) {{\n  in I : i32[N]\n  out Y : i32[N]\n  Y[n] = {}\n}}\n", value), {{"N", 83}},
          [](test::Problem &) {});
}

TEST_CASE("reductions over nothing, and of every kind") {
  // Extents that depend on data, from 0 on.
  for (const char *value : {"sum(k: c[m]) X[m, k] * 0.5", "max(k: c[m]) X[m, k]", "min(k: c[m]) X[m, k]",
                            "f32(sum(k: c[m]) i32(min(max(X[m, k] * 100.0, -900.0), 900.0)))",
                            "f32(max(k: c[m]) i32(min(max(X[m, k] * 100.0, -900.0), 900.0)))",
                            "f32(min(k: c[m]) i32(min(max(X[m, k] * 100.0, -900.0), 900.0)))",
                            "sum(k: c[m]) X[m, k] * (sum(j: k) X[m, j])"})
    check(fmt::format("kernel reduce(M, K) {{\n  in X : f32[M, K]\n  in c : i32[M] range 0 .. K + 1\n"
                      "  out Y : f32[M]\n  Y[m] = {}\n}}\n",
                      value),
          {{"M", 40}, {"K", 37}}, [](test::Problem &problem) { problem.tensors.at("c").set_int(0, 0); });
}

TEST_CASE("locals that are read at other indices, across tiles, or several times") {
  const auto nothing = [](test::Problem &) {};
  // Each result needs its neighbours' locals: they are kept whole, or computed where they are read.
  check(
      "kernel smooth(M, K) {\n  in X : f32[M, K]\n  out Y : f32[M, K]\n"
      "  t[m, k] = sqrt(abs(X[m, k]) + 1.0) * (X[m, k] + 2.0) + X[m, k] * 0.5\n"
      "  Y[m, k] = t[m, k] - t[m, max(k - 1, 0)]\n}\n",
      {{"M", 3}, {"K", 300}}, nothing);
  check(
      "kernel columns(M, K) {\n  in X : f32[M, K]\n  out Y : f32[M, K]\n  out best : f32[K]\n"
      "  top[k] = max(m: M) X[m, k]\n  best[k] = top[k]\n  Y[m, k] = X[m, k] - top[k]\n}\n",
      {{"M", 5}, {"K", 300}}, nothing);
  // A local that every tile reads.
  check(
      "kernel total(M, N) {\n  in X : f32[M, N]\n  out Y : f32[M]\n"
      "  s[m] = sum(n: N) X[m, n]\n  Y[m] = s[m] - s[0]\n}\n",
      {{"M", 9}, {"N", 21}}, nothing);
  check(
      "kernel softmax(M, K) {\n  in X : f32[M, K]\n  out P : f32[M, K] pad 64\n"
      "  top[m] = max(k: K) X[m, k]\n  e[m, k] = 1.0 / (1.0 + (X[m, k] - top[m]) * (X[m, k] - top[m]))\n"
      "  den[m] = sum(k: K) e[m, k]\n  P[m, k] = e[m, k] / den[m]\n}\n",
      {{"M", 3}, {"K", 131}}, nothing);
  // A matrix of locals whose size is no linear form of the sizes.
  check(
      "kernel chain(M, N, K) {\n  in A : f32[M, K]\n  in B : f32[N, K]\n  in C : f32[N, M]\n  out Y : f32[M, M]\n"
      "  p[m, n] = sum(k: K) A[m, k] * B[n, k]\n  Y[m, j] = sum(n: N) p[m, n] * C[n, j]\n}\n",
      {{"M", 3}, {"N", 18}, {"K", 21}}, nothing);
}
