// The fast reference against the interpreter: every built-in kernel, small and odd sizes, every input set.
#include "tuning_db/proof/reference.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "compiler/error.h"
#include "compiler/library.h"
#include "compiler/parser.h"
#include "tuning_db/proof/float_bits.h"
#include "tuning_db/proof/input_sets.h"
#include "tuning_db/proof/interpret.h"
#include "tuning_db/proof/proof.h"

using namespace bittern;
using namespace bittern::tuning;

namespace {

// Sizes as the proof would draw them for a kernel that accepts any.
std::vector<compiler::Sizes> some_sizes(const compiler::KernelSpec &spec) {
  bt_kernel any{};
  for (int64_t &fixed : any.fixed) fixed = -1;
  any.m_min = 1;
  any.m_max = INT64_MAX;
  std::vector<compiler::Sizes> sizes;
  for (const ProofStep &step : proof_steps(spec, any, {}))
    if (sizes.empty() || sizes.back() != step.sizes) sizes.push_back(step.sizes);
  return sizes;
}

// Two NaNs are equal.
bool same_values(const Array &a, const Array &b) {
  const auto width = static_cast<size_t>(a.element_bytes());
  if (a.bytes.size() != b.bytes.size()) return false;
  for (size_t at = 0; at < a.bytes.size(); at += width) {
    const uint8_t *x = a.bytes.data() + at, *y = b.bytes.data() + at;
    if (!std::equal(x, x + width, y) && !(is_nan(a.type, x) && is_nan(b.type, y))) return false;
  }
  return true;
}

void check_equal(const compiler::KernelSpec &spec) {
  int compared = 0;
  for (const compiler::Sizes &sizes : some_sizes(spec)) {
    for (const InputSet &set : input_sets()) {
      const Arrays inputs = make_inputs(spec, sizes, set);
      const std::vector<float> scalars = make_scalars(spec);
      const Arrays want = interpret_arrays(spec, sizes, inputs, scalars);
      const Arrays got = reference_evaluate(spec, sizes, inputs, scalars, 1 + compared % 3);
      for (const auto &[name, array] : want) {
        CAPTURE(spec.name);
        CAPTURE(set.name);
        CAPTURE(name);
        REQUIRE(got.count(name) == 1);
        CHECK(got.at(name).shape == array.shape);
        CHECK(same_values(got.at(name), array));
        ++compared;
      }
    }
  }
  CHECK(compared > 0);
}

}  // namespace

TEST_CASE("the fast reference equals the interpreter on every kernel whose locals have fixed extents") {
  int supported = 0;
  for (const std::string &name : compiler::builtin_kernel_names()) {
    const compiler::KernelSpec &spec = compiler::builtin_kernel(name);
    if (!reference_supports(spec)) continue;
    ++supported;
    check_equal(spec);
  }
  CHECK(supported >= 16);
}

TEST_CASE("kernels nobody has seen: bias and clamp, two reductions, a gather through a list") {
  check_equal(compiler::parse_kernel(R"(kernel bias_clamp(M, N, K) {
  in W : ternary[N, K]
  in b : i32[N] range 0 .. 1000
  in A : i8[M, K] pad 64
  out Y : i32[M, N]
  Y[m, n] = min(max(b[n] + sum(k: K) i32(W[n, k]) * i32(A[m, k]), -500), 700)
})",
                                     "bias_clamp"));
  check_equal(compiler::parse_kernel(R"(kernel two(M, K) {
  in X : f32[M, K]
  out Y : f32[M, K]
  out T : f32[M]
  top[m] = max(k: K) abs(X[m, k])
  s[m] = sum(k: K) X[m, k] * X[m, k]
  Y[m, k] = X[m, k] / (top[m] + sqrt(s[m]) + 1.0)
  T[m] = s[m]
})",
                                     "two"));
  check_equal(compiler::parse_kernel(R"(kernel gather(M, N, K, L) {
  in W : i8[N, K]
  in A : i8[M, K]
  in list : i32[L] range 0 .. K
  out Y : i32[M, N]
  Y[m, n] = sum(l: L) i32(W[n, list[l]]) * i32(A[m, list[l]])
})",
                                     "gather"));
  check_equal(compiler::parse_kernel(R"(kernel whatever(M, K) {
  in X : f32[M, K]
  in H : f16[M, K]
  in I : i32[M, K]
  out Hi : f32[M]
  out Lo : f32[M]
  out Y : bf16[M, K]
  out Q : i32[M, K]
  Hi[m] = max(k: K) X[m, k]
  Lo[m] = min(k: K) f32(H[m, k])
  Y[m, k] = bf16(select(X[m, k] < f32(H[m, k]), max(X[m, k], -0.0), min(f32(H[m, k]), X[m, k])))
  Q[m, k] = i32(min(max(X[m, k], -9.0), 9.0)) + I[m, k] * 7 - abs(I[m, k]) + bits_i32(X[m, k])
})",
                                     "whatever"));
}

TEST_CASE("the fast reference refuses what does not fit, as the interpreter does") {
  const auto refused = [](const std::string &value, int32_t x, const char *words) {
    const compiler::KernelSpec spec =
        compiler::parse_kernel("kernel t(N) { in X : i32[N] out Q : i32[N] Q[n] = " + value + " }", "t");
    Array input{compiler::Type::I32, {1}, std::vector<uint8_t>(4)};
    *input.as<int32_t>() = x;
    CHECK_THROWS_WITH_AS(reference_evaluate(spec, {{"N", 1}}, {{"X", input}}, {}), doctest::Contains(words),
                         bittern::Error);
  };
  refused("i32(i8(X[n]))", 128, "reference: i8(128) is out of range");
  refused("i32(bits_f32(X[n]))", 0x4f000000, "is out of range");
  refused("sum(k: 3) X[n]", 1 << 30, "reference: an i32 sum is 3221225472, outside i32");
}

TEST_CASE("kernels whose locals depend on inputs are left to the interpreter") {
  const compiler::KernelSpec &attention = compiler::builtin_kernel("attention");
  CHECK_FALSE(reference_supports(attention));
  CHECK_THROWS_AS(reference_evaluate(attention, {}, {}, {}), bittern::Error);
}
