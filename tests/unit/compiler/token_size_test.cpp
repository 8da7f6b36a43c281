// The size that counts tokens follows from shapes, or from what the text declares, never from a name.
#include "compiler/token_size.h"

#include <doctest/doctest.h>

#include "compiler/builder.h"
#include "compiler/error.h"
#include "compiler/library.h"
#include "compiler/parser.h"
#include "compiler/printer.h"
#include "tests/renamed_kernel.h"

using namespace bittern;
using namespace bittern::compiler;

namespace {

std::string tokens_of(const std::string &text) { return token_size(parse_kernel(text, "t.bk")); }

}  // namespace

TEST_CASE("every kernel that ships counts tokens by its first size, whatever that is called") {
  for (const std::string &name : builtin_kernel_names()) {
    CAPTURE(name);
    const KernelSpec &spec = builtin_kernel(name);
    CHECK_FALSE(spec.tokens);
    CHECK(token_size(spec) == spec.sizes.front());
    const test::RenamedKernel other = test::renamed(spec);
    CHECK(token_size(other.spec) == other.names.at(spec.sizes.front()));
    CHECK(token_size(other.spec) != spec.sizes.front());
  }
}

TEST_CASE("shapes decide") {
  const struct {
    const char *what, *tokens, *text;
  } rows[] = {
      {"activations lie depth-major", "T",
       "kernel t(R, T, C) { in W : ternary[R, C] in A : i8[C, T] out Y : i32[T, R] "
       "Y[t, r] = sum(c: C) i32(W[r, c]) * i32(A[c, t]) }"},
      {"outputs lie row-major: the ternary operand's rows are no tokens", "T",
       "kernel t(R, T, C) { in W : ternary[R, C] in A : i8[T, C] out Y : i32[R, T] "
       "Y[r, t] = sum(c: C) i32(W[r, c]) * i32(A[t, c]) }"},
      {"one vector times a ternary matrix", "",
       "kernel t(R, C) { in W : ternary[R, C] in A : i8[C] out Y : i32[R] Y[r] = sum(c: C) i32(W[r, c]) * i32(A[c]) }"},
      {"one number a token", "T", "kernel t(T, C) { in X : f32[T, C] out Y : f32[T] Y[t] = max(c: C) X[t, c] }"},
      {"vectors alone", "", "kernel t(C) { in X : f32[C] out Y : f32[C] Y[c] = X[c] + X[c] }"},
      {"no output has the other's size", "",
       "kernel t(P, Q) { in X : f32[P, Q] out Y : f32[P] out Z : f32[Q] Y[p] = X[p, 0] Z[q] = X[0, q] }"},
      {"a condition names the first", "Q",
       "kernel t(P, Q, C) { require P % 2 == 0 in X : f32[P, Q, C] out Y : f32[P, Q, C] Y[p, q, c] = X[p, q, c] }"},
      {"the first of two in the outputs", "Q",
       "kernel t(P, Q) { in X : f32[P, Q] in Z : f32[Q, P] out Y : f32[Q, P] Y[q, p] = X[p, q] + Z[q, p] }"},
      {"declared", "P", "kernel t(Q, P) { tokens P in X : f32[Q, P] out Y : f32[Q, P] Y[q, p] = X[q, p] }"},
      {"declared: none", "", "kernel t(Q, P) { tokens none in X : f32[Q, P] out Y : f32[Q, P] Y[q, p] = X[q, p] }"},
      {"a word only where it declares", "tokens",
       "kernel t(tokens, none) { in X : f32[tokens, none] out Y : f32[tokens, none] Y[q, p] = X[q, p] }"},
      {"a local of that name", "Q",
       "kernel t(Q, P) { in X : f32[Q, P] out Y : f32[Q, P] tokens[q, p] = X[q, p] Y[q, p] = tokens[q, p] }"},
  };
  for (const auto &row : rows) {
    CAPTURE(row.what);
    CHECK(tokens_of(row.text) == row.tokens);
    // Printed and parsed again it says the same.
    const KernelSpec spec = parse_kernel(row.text, "t.bk"), again = parse_kernel(print_kernel(spec), "again");
    CHECK(equal(spec, again));
    CHECK(spec.tokens == again.tokens);
  }
}

TEST_CASE("what is declared is part of the text, in C++ too") {
  const auto kernel = [](const char *declared) {
    build::Kernel b("t");
    const build::Ex Q = b.size("Q"), P = b.size("P");
    if (declared) b.tokens(declared);
    auto X = b.in("X", Type::F32, {Q, P}), Y = b.out("Y", Type::F32, {Q, P});
    const build::Ex q = build::index("q", Q), p = build::index("p", P);
    Y(q, p) = X(q, p);
    return b.finish();
  };
  CHECK(token_size(kernel(nullptr)) == "Q");
  CHECK(print_kernel(kernel(nullptr)).find("tokens") == std::string::npos);
  CHECK(token_size(kernel("P")) == "P");
  CHECK(token_size(kernel("")).empty());
  CHECK(spec_hash(kernel("P")) != spec_hash(kernel(nullptr)));
  CHECK_FALSE(equal(kernel("P"), kernel(nullptr)));
  for (const char *declared : {"P", ""}) {
    const KernelSpec built = kernel(declared);
    CHECK(equal(built, parse_kernel(print_kernel(built), "t.bk")));
  }
  CHECK_THROWS_WITH_AS(kernel("R"), "t: 'tokens' names 'R', which is no size of the kernel", Error);
}
