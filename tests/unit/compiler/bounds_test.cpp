// Accumulator proofs at their extremes, interval analysis of kernels, and sizes against requirements.
#include "compiler/bounds.h"

#include <doctest/doctest.h>

#include <random>

#include "compiler/error.h"
#include "compiler/expr.h"
#include "compiler/library.h"
#include "compiler/parser.h"
#include "compiler/verifier.h"

using namespace bittern;
using namespace bittern::compiler;

namespace {

Interval value_range(const KernelSpec &spec, const std::string &tensor, const Sizes &sizes) {
  const Definition &d = *spec.definition(tensor);
  return range_of(spec, sizes, d, d.value);
}

KernelSpec one_line(const std::string &inputs, const std::string &value) {
  return parse_kernel("kernel t(N) { " + inputs + " out Y : i32[N] Y[n] = " + value + " }", "t");
}

std::string sizes_error(const KernelSpec &spec, const Sizes &sizes) {
  try {
    check_sizes(spec, sizes);
  } catch (const Error &e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("the last safe number of terms is safe and the next overflows") {
  struct Row {
    Interval code, act;
    int bits;
    int64_t safe;
  };
  // Codes 0..2 with i8: -256 a term, 128 of which are exactly -32768.
  const Row rows[] = {
      {{0, 2}, {-128, 127}, 16, 128},    {{0, 2}, {-127, 127}, 16, 129},       {{-1, 1}, {-128, 127}, 16, 255},
      {{-1, 1}, {-127, 127}, 16, 258},   {{0, 2}, {-128, 127}, 32, 8388608},   {{-128, 127}, {-128, 127}, 32, 131071},
      {{-128, 127}, {-128, 127}, 16, 1}, {{0, 0}, {-128, 127}, 16, INT64_MAX}, {{0, 255}, {-128, -128}, 16, 1}};
  for (const Row &row : rows) {
    CAPTURE(row.safe);
    CHECK(max_terms(product(row.code, row.act), row.bits) == row.safe);
    CHECK(!accumulator_overflow(row.code, row.act, row.safe, row.bits));
    if (row.safe == INT64_MAX) continue;
    const auto reason = accumulator_overflow(row.code, row.act, row.safe + 1, row.bits);
    REQUIRE(reason);
    CHECK(reason->find("at most " + std::to_string(row.safe) + " are safe") != std::string::npos);
    // The bound is tight: the worst terms really overflow.
    const Interval term = product(row.code, row.act);
    const int64_t top = (int64_t{1} << (row.bits - 1)) - 1;
    CHECK((term.hi * (row.safe + 1) > top || term.lo * (row.safe + 1) < -top - 1));
  }
  CHECK(max_terms_int16({0, 2}, {-128, 127}) == 128);
  CHECK(*accumulator_overflow(Interval{0, 2}, Interval{-128, 127}, 129, 16) ==
        "129 products of codes 0 .. 2 and activations -128 .. 127 (each -256 .. 254) can overflow an int16 "
        "accumulator; at most 128 are safe");
  CHECK(!accumulator_overflow(2, 127, 128, 16));
  CHECK(accumulator_overflow(2, 127, 130, 16));
}

TEST_CASE("ranges of kernels' values") {
  const KernelSpec &matmul = builtin_kernel("w2a8_matmul");
  const Sizes sizes = {{"M", 1}, {"N", 8}, {"K", 100}};
  CHECK(value_range(matmul, "acc", sizes) == Interval{-12800, 12800});
  CHECK(value_range(matmul, "asum", sizes) == Interval{-12800, 12700});
  const KernelSpec &quant = builtin_kernel("rmsnorm_quant");
  CHECK(value_range(quant, "q", {{"M", 1}, {"K", 10}}) == Interval{-128, 127});
  CHECK(value_range(quant, "qsum", {{"M", 1}, {"K", 10}}) == Interval{-1280, 1270});
}

TEST_CASE("ranges of operations contain every value") {
  // Random small intervals through each operation, compared with all values.
  const KernelSpec spec = parse_kernel(
      "kernel t(N, A, B, C, D) { in X : i32[N] range A - 40 .. B - 40 in Z : i32[N] range C - 40 .. D - 40\n"
      "out P : i32[N] P[n] = X[n] + Z[n] out_[n] = X[n] - Z[n] m[n] = X[n] * Z[n] d[n] = X[n] / max(Z[n], 1)\n"
      "r[n] = X[n] % max(Z[n], 1) lo[n] = min(X[n], Z[n]) hi[n] = max(X[n], Z[n]) a[n] = abs(X[n]) g[n] = -X[n]\n"
      "an[n] = X[n] & Z[n] o[n] = X[n] | Z[n] x[n] = X[n] ^ Z[n] sl[n] = X[n] << min(max(Z[n], 0), 31)\n"
      "sr[n] = X[n] >> min(max(Z[n], 0), 31) se[n] = select(X[n] < Z[n], X[n], 3) }",
      "t");
  std::mt19937 random(3);
  const auto floor_mod = [](int64_t a, int64_t b) { return ((a % b) + b) % b; };
  for (int round = 0; round < 60; ++round) {
    const auto pick = [&](int64_t lo, int64_t hi) { return std::uniform_int_distribution<int64_t>(lo, hi)(random); };
    const int64_t a = pick(1, 80), b = pick(a + 1, 90), c = pick(1, 80), d = pick(c + 1, 90);
    const Sizes sizes = {{"N", 1}, {"A", a}, {"B", b}, {"C", c}, {"D", d}};
    const auto contains = [&](const char *tensor, int64_t value) {
      const Interval i = value_range(spec, tensor, sizes);
      if (value < INT32_MIN || value > INT32_MAX) value = static_cast<int32_t>(static_cast<uint32_t>(value));
      return i.lo <= value && value <= i.hi;
    };
    for (int rounds = 0; rounds < 20; ++rounds) {
      const int64_t x = pick(a, b - 1) - 40, z = pick(c, d - 1) - 40, z1 = std::max<int64_t>(z, 1);
      const int64_t s = std::clamp<int64_t>(z, 0, 31);
      CHECK(contains("P", x + z));
      CHECK(contains("out_", x - z));
      CHECK(contains("m", x * z));
      CHECK(contains("d", (x - floor_mod(x, z1)) / z1));
      CHECK(contains("r", floor_mod(x, z1)));
      CHECK(contains("lo", std::min(x, z)));
      CHECK(contains("hi", std::max(x, z)));
      CHECK(contains("a", std::abs(x)));
      CHECK(contains("g", -x));
      CHECK(contains("an", x & z));
      CHECK(contains("o", x | z));
      CHECK(contains("x", x ^ z));
      CHECK(contains("sl", x * (int64_t{1} << s)));
      CHECK(contains("sr", x >> s));
      CHECK(contains("se", x < z ? x : 3));
    }
  }
}

TEST_CASE("a clamped float has integer bounds, an unclamped one has none") {
  const std::string x = "in X : f32[N]";
  const Sizes sizes = {{"N", 4}};
  CHECK(value_range(one_line(x, "i32(min(max(X[n], -2.5), 3.5))"), "Y", sizes) == Interval{-2, 3});
  CHECK(value_range(one_line(x, "i32(round_even(min(max(X[n], -2.5), 3.5)))"), "Y", sizes) == Interval{-2, 4});
  CHECK(value_range(one_line(x, "i32(floor(abs(min(max(X[n], -2.5), 2.0))))"), "Y", sizes) == Interval{0, 2});
  CHECK(value_range(one_line(x, "i32(X[n])"), "Y", sizes) == Interval{INT32_MIN, INT32_MAX});
  // min(1.0, NaN) is NaN, so nothing is known.
  CHECK(value_range(one_line(x, "i32(min(1.0, max(0.0, X[n])))"), "Y", sizes) == Interval{INT32_MIN, INT32_MAX});
}

TEST_CASE("float arithmetic has rounded bounds while everything is finite") {
  const std::string x = "in X : f32[N]";
  const Sizes sizes = {{"N", 4}};
  CHECK(value_range(one_line(x, "i32(min(max(X[n], -1.5), 2.0) * -3.0)"), "Y", sizes) == Interval{-6, 4});
  CHECK(value_range(one_line(x, "i32(min(max(X[n], -1.5), 2.0) + 8.0)"), "Y", sizes) == Interval{6, 10});
  CHECK(value_range(one_line(x, "i32(1.0 - min(max(X[n], -1.5), 2.0))"), "Y", sizes) == Interval{-1, 2});
  CHECK(value_range(one_line(x, "i32(max(X[n], 0.0) * 0.0)"), "Y", sizes) == Interval{INT32_MIN, INT32_MAX});
  // The greatest of some numbers is no NaN, but -inf when all are.
  CHECK(value_range(one_line(x, "i32(min(max(max(k: 3) X[k % N], -5.0), 5.0))"), "Y", sizes) == Interval{-5, 5});
  CHECK(value_range(one_line(x, "i32(max(k: 3) min(X[k % N], 1.0))"), "Y", sizes) == Interval{INT32_MIN, INT32_MAX});
}

std::string fault_text(const KernelSpec &spec, const Sizes &sizes) {
  const auto fault = value_fault(spec, sizes);
  return fault ? fault->text : "";
}

TEST_CASE("i32 sums are proved or the reason is given") {
  const KernelSpec &matmul = builtin_kernel("w2a8_matmul");
  // asum's terms are -128 .. 127, so 2^24 of them fit exactly; codes times activations -128 .. 128, one fewer.
  CHECK(fault_text(matmul, {{"M", 1}, {"N", 1}, {"K", (1 << 24) - 1}}).empty());
  CHECK(fault_text(matmul, {{"M", 1}, {"N", 1}, {"K", 1 << 24}}) ==
        "the sum of 16777216 terms in -128 .. 128 can overflow i32; at most 16777215 are safe");
  CHECK(fault_text(builtin_kernel("head_int8"), {{"M", 1}, {"N", 1}, {"K", 131072}}).find("at most 131071 are safe") !=
        std::string::npos);
  CHECK(fault_text(builtin_kernel("head_int8"), {{"M", 1}, {"N", 1}, {"K", 131071}}).empty());
  CHECK(!fault_text(one_line("in X : i32[N]", "sum(k: 2) X[n]"), {{"N", 1}}).empty());
  CHECK(fault_text(one_line("in X : i32[N]", "sum(k: 1) X[n]"), {{"N", 1}}).empty());
  // Every sum counts, not the first alone; arithmetic outside sums wraps.
  CHECK(fault_text(one_line("in X : i8[N]", "(sum(k: 9) i32(X[n])) + sum(k: 1 << 26) i32(X[n])"), {{"N", 1}})
            .find("67108864 terms") != std::string::npos);
  CHECK(fault_text(one_line("in X : i32[N]", "X[n] + X[n] * X[n]"), {{"N", 1}}).empty());
  // A sum inside a sum: the inner one's range counts for the outer one.
  const KernelSpec nested = one_line("in X : i8[N]", "sum(i: 1 << 16) sum(k: 1 << 8) i32(X[n])");
  CHECK(fault_text(nested, {{"N", 1}}).empty());
  CHECK(!fault_text(one_line("in X : i8[N]", "sum(i: 1 << 16) sum(k: 1 + (1 << 8)) i32(X[n])"), {{"N", 1}}).empty());
}

TEST_CASE("sums over sizes that are not given are not judged") {
  const KernelSpec free = one_line("in X : i8[N]", "sum(i: 1 << 20) sum(k: N) i32(X[k])");
  CHECK(fault_text(free, {}).empty());
  CHECK(fault_text(free, {{"N", 8}}).empty());
  CHECK(!fault_text(free, {{"N", 1 << 20}}).empty());
  CHECK(!fault_text(one_line("in X : i8[N]", "sum(k: 1 << 25) i32(X[n])"), {}).empty());
}

TEST_CASE("conversions are proved to fit, at the place where they stand") {
  const auto i8_of = [](const std::string &value) {
    return parse_kernel("kernel s(N) {\n  in X : i32[N]\n  in F : f32[N]\n  out Y : i8[N]\n  Y[n] = " + value + "\n}",
                        "s");
  };
  const auto fault = value_fault(i8_of("i8(X[n])"), {{"N", 1}});
  REQUIRE(fault);
  CHECK(fault->at.line == 5);
  CHECK(fault->at.column == 10);
  CHECK(fault->text ==
        "X[n] is not proved to fit in i8: found -2147483648 .. 2147483647; clamp it, as in i8(min(max(x, -128), 127))");
  CHECK(fault_text(i8_of("i8(min(max(X[n], -128), 127))"), {{"N", 1}}).empty());
  CHECK(!fault_text(i8_of("i8(min(max(X[n], -128), 128))"), {{"N", 1}}).empty());
  CHECK(fault_text(i8_of("i8(i32(min(max(F[n], -128.0), 127.0)))"), {{"N", 1}}).empty());
  // A constant first in max lets a NaN through.
  CHECK(fault_text(i8_of("i8(i32(min(127.0, max(-128.0, F[n]))))"), {{"N", 1}}).find("found NaN or -128 .. 127") !=
        std::string::npos);
  CHECK(fault_text(i8_of("i8(i32(min(max(F[n], -128.0), 128.0)))"), {{"N", 1}}).find("found -128 .. 128") !=
        std::string::npos);
  CHECK(!fault_text(i8_of("i8(min(max(i32(F[n]), -128), 127))"), {{"N", 1}}).empty());
  CHECK(!fault_text(i8_of("i8(min(max(i32(min(max(F[n], 0.0), 2147483648.0)), -128), 127))"), {{"N", 1}}).empty());
  CHECK(fault_text(i8_of("i8(min(max(i32(min(max(F[n], 0.0), 2147483520.0)), -128), 127))"), {{"N", 1}}).empty());
}

TEST_CASE("the same text has the same answer at every size where its bounds are the same") {
  const KernelSpec unfit = parse_kernel(
      "kernel u(M, N, K) { in W : ternary[N, K] in A : i8[M, K] out Q : i8[M, N]\n"
      "  Q[m, n] = i8(sum(k: K) i32(W[n, k]) * i32(A[m, k])) }",
      "u");
  for (const int64_t size : {1, 64, 4096})
    CHECK(sizes_error(unfit, {{"M", 1}, {"N", size}, {"K", size}}).find("u:2:13: sum(k: K)") == 0);
}

TEST_CASE("every built-in kernel's values are proved for its inputs") {
  for (const std::string &name : builtin_kernel_names()) {
    CAPTURE(name);
    Sizes sizes;
    for (const std::string &size : builtin_kernel(name).sizes) sizes[size] = 64;
    CHECK(sizes_error(builtin_kernel(name), sizes).empty());
    CHECK(fault_text(builtin_kernel(name), {}).empty());
  }
}

TEST_CASE("sizes are held against the kernel") {
  const KernelSpec &group = builtin_kernel("w2a8_group_matmul");
  CHECK(sizes_error(group, {{"M", 1}, {"N", 3}, {"K", 128}, {"G", 64}}).empty());
  CHECK(sizes_error(group, {{"M", 1}, {"N", 3}, {"K", 128}, {"G", 32}}) ==
        "kernel w2a8_group_matmul requires G % 64 == 0, which these sizes do not satisfy");
  CHECK(sizes_error(group, {{"M", 1}, {"N", 3}, {"K", 128}}) == "kernel w2a8_group_matmul: size G has no value");
  CHECK(sizes_error(group, {{"M", 0}, {"N", 3}, {"K", 128}, {"G", 64}}) ==
        "kernel w2a8_group_matmul: size M is 0, outside 1 .. 2147483647");
  CHECK(sizes_error(group, {{"M", 1}, {"N", 3}, {"K", 128}, {"G", 64}, {"Q", 1}}) ==
        "kernel w2a8_group_matmul has no size Q");
  CHECK(sizes_error(builtin_kernel("kv_store"), {{"M", 1 << 20}, {"H", 1 << 20}, {"D", 2}}) ==
        "kernel kv_store: X would have more than 1099511627776 elements");
  CHECK(sizes_error(builtin_kernel("ffn_relu2"), {{"M", 1}, {"F", INT32_MAX}}) ==
        "kernel ffn_relu2: dimension 1 of GU is 4294967294, outside 0 .. 2147483647");
  const KernelSpec square = parse_kernel("kernel s(N) { in X : f32[N] out Y : f32[N] Y[n] = X[(n * n) % N] }", "s");
  CHECK(sizes_error(square, {{"N", 46000}}).empty());
  CHECK(sizes_error(square, {{"N", 47000}}) == "kernel s: n * n % N can leave i32 at these sizes");
}
