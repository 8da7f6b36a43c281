// The interpreter against hand-written loops, its errors, and its speed.
#include "compiler/interpreter.h"

#include <doctest/doctest.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "compiler/error.h"
#include "compiler/library.h"
#include "compiler/numeric.h"
#include "compiler/parser.h"

using namespace bittern;
using namespace bittern::compiler;

namespace {

using Tensors = std::map<std::string, TensorData>;

std::mt19937_64 &random() {
  static std::mt19937_64 generator(7);
  return generator;
}

int64_t random_int(int64_t lo, int64_t hi) { return std::uniform_int_distribution<int64_t>(lo, hi)(random()); }
float random_float(float span = 2) { return std::uniform_real_distribution<float>(-span, span)(random()); }

// All inputs of the kernel at these sizes, random within their types and ranges.
Tensors random_inputs(const KernelSpec &spec, const Sizes &sizes) {
  Tensors tensors;
  for (const Tensor &t : spec.tensors) {
    if (t.role != Role::In) continue;
    TensorData data = make_tensor(t, sizes);
    for (int64_t i = 0; i < data.elements(); ++i) {
      if (t.range)
        data.set_int(i, random_int(evaluate(t.range->first, sizes), evaluate(t.range->second, sizes) - 1));
      else if (t.type == Type::Ternary)
        data.set_int(i, random_int(-1, 1));
      else if (t.type == Type::I8 || t.type == Type::I32)
        data.set_int(i, random_int(-128, 127));
      else
        data.set_float(i, random_float());
    }
    tensors[t.name] = std::move(data);
  }
  return tensors;
}

Tensors run(const std::string &name, const Sizes &sizes, const std::map<std::string, float> &scalars = {}) {
  const KernelSpec &spec = builtin_kernel(name);
  Tensors tensors = random_inputs(spec, sizes);
  interpret(spec, sizes, scalars, tensors, Givens::Compute);
  return tensors;
}

uint32_t bits(float v) { return std::bit_cast<uint32_t>(v); }

std::string error_of(const std::string &text, const Sizes &sizes, Tensors tensors, Givens givens = Givens::Check) {
  try {
    interpret(parse_kernel(text, "t.bk"), sizes, {}, tensors, givens);
  } catch (const Error &e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("w2a8_matmul equals plain loops") {
  const int64_t m_count = 3, n_count = 7, k_count = 301;
  Tensors t = run("w2a8_matmul", {{"M", m_count}, {"N", n_count}, {"K", k_count}});
  for (int64_t m = 0; m < m_count; ++m) {
    int64_t row = 0;
    for (int64_t k = 0; k < k_count; ++k) row += t["A"].get_int(m * k_count + k);
    CHECK(t["asum"].get_int(m) == row);
    for (int64_t n = 0; n < n_count; ++n) {
      int32_t acc = 0;
      for (int64_t k = 0; k < k_count; ++k)
        acc += static_cast<int32_t>(t["W"].get_int(n * k_count + k) * t["A"].get_int(m * k_count + k));
      const float y = (static_cast<float>(acc) * t["inv"].get_float(m)) * t["ws"].get_float(n);
      CHECK(bits(t["Y"].get_float(m * n_count + n)) == bits(y));
    }
  }
}

TEST_CASE("w2a8_group_matmul sums groups in the float order") {
  const int64_t k_count = 128 * 19, groups = 19, n_count = 2;
  Tensors t = run("w2a8_group_matmul", {{"M", 1}, {"N", n_count}, {"K", k_count}, {"G", 128}});
  for (int64_t n = 0; n < n_count; ++n) {
    InterleavedSum sum;
    for (int64_t g = 0; g < groups; ++g) {
      int32_t acc = 0;
      for (int64_t j = 0; j < 128; ++j)
        acc += static_cast<int32_t>(t["W"].get_int(n * k_count + g * 128 + j) * t["A"].get_int(g * 128 + j));
      sum.add((static_cast<float>(acc) * t["ws"].get_float(n * groups + g)) * t["inv"].get_float(0));
    }
    CHECK(bits(t["Y"].get_float(n)) == bits(sum.total()));
  }
}

TEST_CASE("rmsnorm_quant equals plain loops") {
  const int64_t m_count = 2, k_count = 77;
  const float eps = 1e-5f;
  Tensors t = run("rmsnorm_quant", {{"M", m_count}, {"K", k_count}}, {{"eps", eps}});
  for (int64_t m = 0; m < m_count; ++m) {
    float p[16] = {};
    for (int64_t k = 0; k < k_count; ++k) {
      const float x = t["X"].get_float(m * k_count + k);
      p[k % 16] += x * x;
    }
    for (int i = 0; i < 8; ++i) p[i] += p[i + 8];
    for (int i = 0; i < 4; ++i) p[i] += p[i + 4];
    for (int i = 0; i < 2; ++i) p[i] += p[i + 2];
    const float r = 1.0f / std::sqrt((p[0] + p[1]) / static_cast<float>(k_count) + eps);
    float amax = 0;
    std::vector<float> y;
    for (int64_t k = 0; k < k_count; ++k) {
      y.push_back(t["w"].get_float(k) * (t["X"].get_float(m * k_count + k) * r));
      amax = std::max(amax, std::fabs(y.back()));
    }
    amax = std::max(amax, 0.00001f);
    const float s = 127.0f / amax;
    int32_t sum = 0;
    for (int64_t k = 0; k < k_count; ++k) {
      const auto q =
          static_cast<int32_t>(std::min(std::max(std::nearbyint(y[static_cast<size_t>(k)] * s), -128.0f), 127.0f));
      CHECK(t["Q"].get_int(m * k_count + k) == q);
      sum += q;
    }
    CHECK(bits(t["inv"].get_float(m)) == bits(amax / 127.0f));
    CHECK(t["qsum"].get_int(m) == sum);
  }
}

TEST_CASE("attention equals plain loops within rounding of exp") {
  const int64_t M = 3, H = 4, G = 2, D = 5, B = 2, T = 3, NP = 6;
  const float scale = 0.37f;
  const std::pair<std::string, int64_t> rows[] = {{"attention", 0},         {"attention_f16", 0},
                                                  {"attention_window", 1},  {"attention_window", 11},
                                                  {"attention_window", 96}, {"attention_window_f16", 40}};
  for (const auto &[name, window] : rows) {
    Sizes sizes = {{"M", M}, {"H", H}, {"G", G}, {"D", D}, {"B", B}, {"T", T}, {"NP", NP}};
    if (window > 0) sizes["W"] = window;
    Tensors t = run(name, sizes, {{"scale", scale}});
    for (int64_t m = 0; m < M; ++m)
      for (int64_t h = 0; h < H; ++h) {
        const int64_t end = t["pos"].get_int(m) + 1, count = window > 0 ? std::min(window, end) : end;
        const auto row = [&, first = end - count](const TensorData &cache, int64_t i, int64_t d) {
          const int64_t p = first + i;
          const int64_t page = t["pages"].get_int(t["seq"].get_int(m) * T + p / 32);
          return static_cast<double>(cache.get_float(((page * (H / G) + h / G) * 32 + p % 32) * D + d));
        };
        std::vector<double> score;
        double top = -1e30, den = 0;
        for (int64_t p = 0; p < count; ++p) {
          double s = 0;
          for (int64_t d = 0; d < D; ++d)
            s += static_cast<double>(t["Q"].get_float((m * H + h) * D + d)) * row(t["Kc"], p, d);
          score.push_back(s);
          top = std::max(top, s);
        }
        for (double &s : score) den += s = std::exp((s - top) * static_cast<double>(scale));
        for (int64_t d = 0; d < D; ++d) {
          double o = 0;
          for (int64_t p = 0; p < count; ++p) o += score[static_cast<size_t>(p)] * row(t["Vc"], p, d);
          CHECK(t["O"].get_float((m * H + h) * D + d) == doctest::Approx(o / den).epsilon(1e-4));
        }
      }
  }
}

TEST_CASE("exp and tanh of the library are close to the real ones") {
  const KernelSpec spec = parse_kernel(
      "use math kernel t(N) { in X : f32[N] out E : f32[N] out T : f32[N] E[n] = exp(X[n]) T[n] = tanh(X[n]) }", "t");
  const int64_t n = 2001;
  Tensors t;
  t["X"] = make_tensor(spec.tensors[0], {{"N", n}});
  for (int64_t i = 0; i < n; ++i) t["X"].set_float(i, static_cast<float>(i - 1000) * 0.087f);
  interpret(spec, {{"N", n}}, {}, t);
  for (int64_t i = 0; i < n; ++i) {
    const auto x = static_cast<double>(t["X"].get_float(i));
    CHECK(t["E"].get_float(i) == doctest::Approx(std::exp(x)).epsilon(3e-7));
    CHECK(t["T"].get_float(i) == doctest::Approx(std::tanh(x)).epsilon(1e-4));
  }
}

TEST_CASE("rope, activations and embeddings equal plain loops") {
  Tensors t = run("rope_f16", {{"M", 2}, {"H", 3}, {"R", 5}});
  for (int64_t m = 0; m < 2; ++m)
    for (int64_t h = 0; h < 3; ++h)
      for (int64_t j = 0; j < 5; ++j) {
        const int64_t at = ((m * 3 + h) * 2) * 5 + j;
        const float x0 = t["X"].get_float(at), x1 = t["X"].get_float(at + 5);
        const float c = t["C"].get_float(m * 5 + j), s = t["S"].get_float(m * 5 + j);
        CHECK(t["Y"].get_float(at) == f32_from_f16(f16_from_f32(x0 * c + -(x1 * s))));
        CHECK(t["Y"].get_float(at + 5) == f32_from_f16(f16_from_f32(x1 * c + x0 * s)));
      }
  t = run("ffn_relu2", {{"M", 2}, {"F", 9}});
  for (int64_t m = 0; m < 2; ++m)
    for (int64_t f = 0; f < 9; ++f) {
      const float g = std::max(t["GU"].get_float(m * 18 + f), 0.0f);
      CHECK(t["H"].get_float(m * 9 + f) == (g * g) * t["GU"].get_float(m * 18 + 9 + f));
    }
  t = run("embed_bf16", {{"M", 4}, {"V", 10}, {"K", 600}});
  for (int64_t m = 0; m < 4; ++m)
    for (int64_t k = 0; k < 600; ++k)
      CHECK(t["X"].get_float(m * 600 + k) == t["E"].get_float(t["ids"].get_int(m) * 600 + k));
}

TEST_CASE("every builtin kernel runs at small sizes") {
  for (const std::string &name : builtin_kernel_names()) {
    CAPTURE(name);
    const KernelSpec &spec = builtin_kernel(name);
    Sizes sizes;
    for (const std::string &s : spec.sizes) sizes[s] = 2;
    if (sizes.count("G") && sizes.count("K")) sizes["K"] = 128, sizes["G"] = 64;
    std::map<std::string, float> scalars;
    for (const std::string &s : spec.scalars) scalars[s] = 0.5f;
    Tensors t = random_inputs(spec, sizes);
    CHECK_NOTHROW(interpret(spec, sizes, scalars, t, Givens::Compute));
    CHECK_NOTHROW(interpret(spec, sizes, scalars, t, Givens::Check));
  }
}

TEST_CASE("integer arithmetic floors and wraps") {
  const KernelSpec spec = parse_kernel(
      "kernel t(N) { in X : i32[N] out D : i32[N] out R : i32[N] out S : i32[N] out L : i32[N]\n"
      "D[n] = X[n] / 3 R[n] = X[n] % 3 S[n] = X[n] >> 1 L[n] = (X[n] << 31) + X[n] * 2147483647 }",
      "t");
  Tensors t;
  t["X"] = make_tensor(spec.tensors[0], {{"N", 9}});
  for (int i = 0; i < 9; ++i) t["X"].set_int(i, i - 4);
  interpret(spec, {{"N", 9}}, {}, t);
  for (int i = 0; i < 9; ++i) {
    const int x = i - 4;
    CHECK(t["D"].get_int(i) == static_cast<int64_t>(std::floor(x / 3.0)));
    CHECK(t["R"].get_int(i) == ((x % 3) + 3) % 3);
    CHECK(t["S"].get_int(i) == static_cast<int64_t>(std::floor(x / 2.0)));
    const uint32_t wrapped = (static_cast<uint32_t>(x) << 31) + static_cast<uint32_t>(x) * 2147483647u;
    CHECK(t["L"].get_int(i) == static_cast<int32_t>(wrapped));
  }
}

TEST_CASE("errors name the tensor and the index") {
  const std::string gather =
      "kernel g(M, N) { in I : i32[M] range 0 .. N in X : f32[N] out Y : f32[M] Y[m] = X[I[m]] }";
  const KernelSpec spec = parse_kernel(gather, "t");
  const Sizes sizes = {{"M", 3}, {"N", 4}};
  Tensors t = random_inputs(spec, sizes);
  t["I"].set_int(2, 4);
  CHECK(error_of(gather, sizes, t) == "kernel g: I[2] is 4, outside 0 .. 4");
  t.erase("X");
  t["I"].set_int(2, 0);
  CHECK(error_of(gather, sizes, t) == "kernel g: tensor X is missing");
  t["X"] = make_tensor(*spec.find("Y"), sizes);
  CHECK(error_of(gather, sizes, t) == "kernel g: tensor X is f32[3], wanted f32[4]");
  CHECK(error_of(gather, {{"M", 3}}, t) == "kernel g: size N has no value");

  const std::string sum =
      "kernel s(M, K) { in A : i8[M, K] given a : i32[M] out Y : i32[M] a[m] = sum(k: K) i32(A[m, k]) Y[m] = a[m] }";
  Tensors u = random_inputs(parse_kernel(sum, "t"), {{"M", 2}, {"K", 3}});
  CHECK(error_of(sum, {{"M", 2}, {"K", 3}}, u, Givens::Compute).empty());
  CHECK(error_of(sum, {{"M", 2}, {"K", 3}}, u) == "kernel s: tensor a is missing");
  for (int i = 0; i < 6; ++i) u["A"].set_int(i, i);
  u["a"] = make_tensor(*parse_kernel(sum, "t").find("a"), {{"M", 2}, {"K", 3}});
  u["a"].set_int(0, 3);
  u["a"].set_int(1, 13);
  CHECK(error_of(sum, {{"M", 2}, {"K", 3}}, u) == "kernel s: given a[1] is 13, its definition gives 12");

  // Conversions and sums that are not proved are refused whatever the inputs.
  const std::string narrow = "kernel n(M) { in X : i32[M] out Y : i8[M] Y[m] = i8(X[m]) }";
  Tensors v = random_inputs(parse_kernel(narrow, "t"), {{"M", 1}});
  v["X"].set_int(0, 1);
  CHECK(error_of(narrow, {{"M", 1}}, v).find("n:1:50: X[m] is not proved to fit in i8") == 0);
  const std::string wide = "kernel w(M) { in X : i32[M] out Z : i32[M] Z[m] = sum(k: 3) X[m] }";
  CHECK(error_of(wide, {{"M", 1}}, v).find("w:1:51: the sum of 3 terms") == 0);
}

TEST_CASE("ten million multiply-adds take about a second at most") {
  const auto start = std::chrono::steady_clock::now();
  run("w2a8_matmul", {{"M", 2}, {"N", 2048}, {"K", 2560}});
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  MESSAGE("seconds: " << seconds);
  CHECK(seconds < 20);  // generous: sanitizers and shared machines
}

TEST_CASE("f16 and bf16 conversions round to nearest even") {
  for (uint32_t h = 0; h < 0x10000; ++h) {
    const auto half = static_cast<uint16_t>(h);
    const float wide = f32_from_f16(half);
    if (!std::isnan(wide)) CHECK(f16_from_f32(wide) == half);
    const float b = f32_from_bf16(half);
    if (!std::isnan(b)) CHECK(bf16_from_f32(b) == half);
    if (!std::isfinite(wide) || (half & 0x7fff) >= 0x7bff) continue;
    // Halfway to the next value goes to the even one; a hair beyond goes up.
    const float next = f32_from_f16(static_cast<uint16_t>(half + 1)), middle = (wide + next) / 2;
    CHECK(f16_from_f32(middle) == ((half & 1) ? half + 1 : half));
    CHECK(f16_from_f32(std::nextafter(middle, next)) == half + 1);
    CHECK(f16_from_f32(std::nextafter(middle, wide)) == half);
  }
  CHECK(f16_from_f32(65519.0f) == 0x7bff);
  CHECK(f16_from_f32(65520.0f) == 0x7c00);
  CHECK(f16_from_f32(-1e30f) == 0xfc00);
  CHECK(std::isnan(f32_from_f16(f16_from_f32(NAN))));
  CHECK(std::isnan(f32_from_bf16(bf16_from_f32(NAN))));
  CHECK(bf16_from_f32(3.4e38f) == 0x7f80);
}

TEST_CASE("extrema over NaN and signed zeros") {
  const std::string text =
      "kernel e(M, K) { in X : f32[M, K] out Hi : f32[M] out Lo : f32[M] out B : i32[M] out Y : f32[M, K]"
      " Hi[m] = max(k: K) X[m, k] Lo[m] = min(k: K) X[m, k] B[m] = bits_i32(X[m, 0])"
      " Y[m, k] = max(X[m, k], -1.0) + min(2.0, X[m, k]) }";
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  const float rows[4][3] = {{nan, 3, 1}, {-0.0f, -0.0f, -0.0f}, {-nan, nan, nan}, {infinity, nan, -infinity}};
  const KernelSpec spec = parse_kernel(text, "e");
  Tensors v = random_inputs(spec, {{"M", 4}, {"K", 3}});
  for (int i = 0; i < 12; ++i) v["X"].set_float(i, rows[i / 3][i % 3]);
  interpret(spec, {{"M", 4}, {"K", 3}}, {}, v);
  const float hi[4] = {3, 0, -infinity, infinity}, lo[4] = {1, 0, infinity, -infinity};
  for (int m = 0; m < 4; ++m) {
    CAPTURE(m);
    CHECK(std::bit_cast<uint32_t>(v["Hi"].get_float(m)) == std::bit_cast<uint32_t>(hi[m]));
    CHECK(std::bit_cast<uint32_t>(v["Lo"].get_float(m)) == std::bit_cast<uint32_t>(lo[m]));
  }
  CHECK(v["B"].get_int(0) == 0x7fc00000);
  CHECK(v["B"].get_int(2) == 0x7fc00000);
  CHECK(v["B"].get_int(1) == INT32_MIN);
  CHECK(std::isnan(v["Y"].get_float(0)));  // max(NaN, -1) is -1, min(2, NaN) is NaN
  CHECK(v["Y"].get_float(9) == infinity);
}
