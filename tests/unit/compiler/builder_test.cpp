// The C++ builder gives the same IR as the text.
#include "compiler/builder.h"

#include <doctest/doctest.h>

#include "compiler/error.h"
#include "compiler/library.h"
#include "compiler/parser.h"
#include "compiler/printer.h"

using namespace bittern;
using namespace bittern::compiler;
using build::Ex;

namespace {

void check_equal(const KernelSpec &built, const KernelSpec &parsed) {
  CHECK(print_kernel(built) == print_kernel(parsed));
  CHECK(equal(built, parsed));
  CHECK(spec_hash(built) == spec_hash(parsed));
}

}  // namespace

TEST_CASE("w2a8_matmul") {
  build::Kernel b("w2a8_matmul");
  const Ex M = b.size("M"), N = b.size("N"), K = b.size("K");
  auto W = b.in("W", Type::Ternary, {N, K});
  auto ws = b.in("ws", Type::F32, {N});
  auto A = b.in("A", Type::I8, {M, K}).pad(64);
  auto inv = b.in("inv", Type::F32, {M});
  auto asum = b.given("asum", Type::I32, {M});
  auto Y = b.out("Y", Type::F32, {M, N});
  auto acc = b.local("acc");
  const Ex m = build::index("m", M), n = build::index("n", N), k = build::index("k", K);
  asum(m) = sum(k, i32(A(m, k)));
  acc(m, n) = sum(k, i32(W(n, k)) * i32(A(m, k)));
  Y(m, n) = (f32(acc(m, n)) * inv(m)) * ws(n);
  check_equal(b.finish(), builtin_kernel("w2a8_matmul"));
}

TEST_CASE("rmsnorm_quant") {
  build::Kernel b("rmsnorm_quant");
  const Ex M = b.size("M"), K = b.size("K"), eps = b.scalar("eps");
  auto X = b.in("X", Type::F32, {M, K}), w = b.in("w", Type::F32, {K});
  auto Q = b.out("Q", Type::I8, {M, K}).pad(64);
  auto inv = b.out("inv", Type::F32, {M}), qsum = b.out("qsum", Type::I32, {M});
  auto ss = b.local("ss"), r = b.local("r"), y = b.local("y"), amax = b.local("amax"), s = b.local("s"),
       q = b.local("q");
  const Ex m = build::index("m", M), k = build::index("k", K);
  ss(m) = sum(k, X(m, k) * X(m, k));
  r(m) = 1.0 / sqrt(ss(m) / f32(K) + eps);
  y(m, k) = w(k) * (X(m, k) * r(m));
  amax(m) = max(max_of(k, abs(y(m, k))), 0.00001);
  s(m) = 127.0 / amax(m);
  q(m, k) = i32(min(max(round_even(y(m, k) * s(m)), -128.0), 127.0));
  Q(m, k) = i8(q(m, k));
  inv(m) = amax(m) / 127.0;
  qsum(m) = sum(k, q(m, k));
  check_equal(b.finish(), builtin_kernel("rmsnorm_quant"));
}

TEST_CASE("attention") {
  build::Kernel b("attention");
  b.use("math");
  const Ex M = b.size("M"), H = b.size("H"), G = b.size("G"), D = b.size("D"), B = b.size("B"), T = b.size("T"),
           NP = b.size("NP");
  b.require(H % G == 0);
  const Ex scale = b.scalar("scale");
  auto Q = b.in("Q", Type::F32, {M, H, D});
  auto Kc = b.in("Kc", Type::F32, {NP, H / G, 32, D}), Vc = b.in("Vc", Type::F32, {NP, H / G, 32, D});
  auto pages = b.in("pages", Type::I32, {B, T}).range(0, NP);
  auto seq = b.in("seq", Type::I32, {M}).range(0, B);
  auto pos = b.in("pos", Type::I32, {M}).range(0, T * 32);
  auto O = b.out("O", Type::F32, {M, H, D});
  auto score = b.local("score"), top = b.local("top"), e = b.local("e"), den = b.local("den");
  const Ex m = build::index("m", M), h = build::index("h", H), d = build::index("d", D);
  const Ex p = build::index("p", pos(m) + 1);
  score(m, h, p) = sum(d, Q(m, h, d) * Kc(pages(seq(m), p / 32), h / G, p % 32, d));
  top(m, h) = max_of(p, score(m, h, p));
  e(m, h, p) = b.call("exp", {(score(m, h, p) - top(m, h)) * scale});
  den(m, h) = sum(p, e(m, h, p));
  O(m, h, d) = sum(p, e(m, h, p) * Vc(pages(seq(m), p / 32), h / G, p % 32, d)) / den(m, h);
  check_equal(b.finish(), builtin_kernel("attention"));
}

TEST_CASE("every operation and functions of one's own") {
  build::Kernel b("all");
  const Ex N = b.size("N");
  b.require((N >= 2 && !(N == 3)) || N != 5);
  b.function("twice", {{"x", Type::F32}}, [](build::FunctionScope &f) {
    const Ex y = f.let("y", f.param("x") + f.param("x"));
    return select(y < 0.0, -y, floor(y));
  });
  auto X = b.in("X", Type::F32, {N});
  auto I = b.in("I", Type::I32, {N}).range(0, N);
  auto Y = b.out("Y", Type::F32, {N});
  auto Z = b.out("Z", Type::I32, {N});
  auto H = b.out("H", Type::F16, {N});
  auto B = b.out("B", Type::BF16, {N});
  const Ex n = build::index("n", N), k = build::index("k", N);
  Y(n) = b.call("twice", {bits_f32(bits_i32(X(n)) & 0x7fffffff)}) + min_of(k, X(k)) - f32(I(n));
  Z(n) = ((((I(n) | 3) ^ n) << 2) >> 1) % 7 - select(X(n) >= 1.0 || X(n) > 2.0, 1, -I(n)) + max(min(n, 3), abs(I(n)));
  H(n) = f16(X(I(n)));
  B(n) = bf16(select(X(n) <= 0.5, X(n), round_even(X(n))));
  const char *text = R"(
    func twice(x: f32) -> f32 { let y = x + x return select(y < 0.0, -y, floor(y)) }
    kernel all(N) {
      require (N >= 2 and not (N == 3)) or N != 5
      in X : f32[N]
      in I : i32[N] range 0 .. N
      out Y : f32[N]
      out Z : i32[N]
      out H : f16[N]
      out B : bf16[N]
      Y[n] = twice(bits_f32(bits_i32(X[n]) & 0x7fffffff)) + (min(k: N) X[k]) - f32(I[n])
      Z[n] = ((((I[n] | 3) ^ n) << 2) >> 1) % 7 - select(X[n] >= 1.0 or X[n] > 2.0, 1, -I[n]) + max(min(n, 3), abs(I[n]))
      H[n] = f16(X[I[n]])
      B[n] = bf16(select(X[n] <= 0.5, X[n], round_even(X[n])))
    })";
  check_equal(b.finish(), parse_kernel(text, "all.bk"));
}

TEST_CASE("mistakes are told at once") {
  build::Kernel b("bad");
  const Ex N = b.size("N");
  auto X = b.in("X", Type::F32, {N});
  const Ex n = build::index("n", N);
  CHECK_THROWS_WITH_AS(X(n) + 1, "'+' mixes f32 and i32; convert one (f32 literals have a point: 2.0)", Error);
  CHECK_THROWS_WITH_AS(sum(n + 1, X(n)), "'sum' wants an index variable", Error);
  CHECK_THROWS_WITH_AS(b.call("nothing", {n}), "unknown function 'nothing'", Error);
  auto Y = b.out("Y", Type::F32, {N});
  CHECK_THROWS_WITH_AS(Y(n + 1) = X(n), "'Y' is defined at something that is not an index variable", Error);
  CHECK_THROWS_WITH_AS(b.finish(), "bad: output 'Y' is never written", Error);
  Y(n) = X(n + 1);
  CHECK_THROWS_AS(b.finish(), Error);
}
