// Each kind of mistake in kernel text gives one error that says where and what.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "compiler/error.h"
#include "compiler/parser.h"

using namespace bittern;
using namespace bittern::compiler;

namespace {

std::string error_of(const std::string &text) {
  try {
    parse_kernel(text, "t.bk");
  } catch (const Error &e) {
    return e.what();
  }
  return "accepted";
}

// `message` starts with line:column where the text has a place to point at.
struct Row {
  const char *text, *message;
};

void check(const std::vector<Row> &rows) {
  for (const Row &row : rows) {
    CAPTURE(row.text);
    const std::string error = error_of(row.text), first = error.substr(0, error.find('\n'));
    const bool placed = row.message[0] >= '0' && row.message[0] <= '9';
    CHECK(first == (placed ? "t.bk:" : "t.bk: ") + std::string(row.message));
    CHECK(placed == (error.find("\n  ") != std::string::npos));
  }
}

}  // namespace

TEST_CASE("a size that cannot count tokens is not declared to") {
  check({
      {"kernel t(N) { tokens K in X : f32[N] out Y : f32[N] Y[n] = X[n] }",
       "1:22: 'tokens' wants one of the kernel's sizes or 'none', found 'K'"},
      {"kernel t(N) { tokens in X : f32[N] out Y : f32[N] Y[n] = X[n] }",
       "1:22: 'tokens' wants one of the kernel's sizes or 'none', found 'in'"},
      {"kernel t(N) { tokens N tokens none in X : f32[N] out Y : f32[N] Y[n] = X[n] }",
       "1:24: 'tokens' is declared twice"},
      {"kernel t(N) { tokens N require N % 2 == 0 in X : f32[N] out Y : f32[N] Y[n] = X[n] }",
       "1:38: 'N' counts tokens: any number from 1, so no 'require' may mention it"},
      {"kernel t(N, K) { tokens N in W : ternary[N, K] out Y : i32[N] Y[n] = sum(k: K) i32(W[n, k]) }",
       "1:30: 'N' counts tokens, and ternary 'W' has it in its shape"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = X[n] tokens N }",
       "1:56: declarations come before the first definition"},
  });
}

TEST_CASE("text that is not the language") {
  check({
      {"kernel t(N, M) { require N <= M in X : f32[M] out Y : f32[N] Y[n] = X[n: ] }", "1:72: expected ']', found ':'"},
      {"kernel t(N) { in X : f32[N] @ }", "1:29: unexpected character '@'"},
      {"kernel t(N) { in X : f32[N] € }", "1:29: unexpected byte 0xe2"},
      {" ", "1:2: expected 'kernel', 'func' or 'use'"},
      {"use maths\nkernel t(N) { in X : f32[N] }", "1:5: there is no library 'maths'"},
      {"use rmsnorm\nkernel t(N) { in X : f32[N] }", "1:5: there is no library 'rmsnorm'"},
      {"func f(x: f32) -> f32 { return x }", "1:35: expected 'kernel', 'func' or 'use'"},
      {"kernel t() { }", "1:10: expected a size parameter, found ')'"},
      {"kernel sum(N) { }", "1:8: 'sum' is a word of the language, not the kernel's name"},
      {"kernel t(N) {", "1:14: expected a declaration, a definition or '}', found the end of the text"},
      {"kernel t(N) { in X : f64[N] }", "1:22: expected a type, found 'f64'"},
      {"kernel t(N) { in X f32[N] }", "1:20: expected ':', found 'f32'"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = 1e39 }", "1:51: '1e39' does not fit in f32"},
      {"kernel t(N) { in X : i32[N] out Y : i32[N] Y[n] = 2147483648 }", "1:51: '2147483648' does not fit in i32"},
      {"kernel t(N) { in X : i32[N] out Y : i32[N] Y[n] = 0xffffffff }", "1:51: '0xffffffff' does not fit in i32"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = 1.5x }", "1:51: a name cannot start with a digit"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = 1.5e }", "1:51: the exponent of a number needs digits"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = (1.0 + X[n] }", "1:63: expected ')', found '}'"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = 1.0 + }", "1:57: expected a value, found '}'"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = X[n] } kernel u",
       "1:58: expected the end of the text after the kernel"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = 1.0 - not 2.0 }", "1:57: expected a value, found 'not'"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = "
       "a_name_that_is_very_long_a_name_that_is_very_long_a_name_that_is_very_long }",
       "1:51: a name has at most 64 characters"},
  });
}

TEST_CASE("types that do not go together") {
  check({
      {"func f(x: f32) -> f32 { return 1 }\nkernel t(N) { }", "1:19: 'f' says it returns f32 but its result is i32"},
      {"func f(x: f16) -> f32 { return f32(x) }\nkernel t(N) { }", "1:11: expected f32, i32 or bool, found 'f16'"},
      {"kernel t(N) { in X : f32[N * 2.0] out Y : f32[N] Y[n] = 1.0 }",
       "1:28: '*' mixes i32 and f32; convert one (f32 literals have a point: 2.0)"},
      {"kernel t(N) { in X : bool[N] out Y : f32[N] Y[n] = 1.0 }", "1:18: 'X' cannot be stored as bool; use select"},
      {"kernel t(N) { require N out Y : f32[N] Y[n] = 1.0 }", "1:15: 'require' wants a condition"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = X[1.0] }", "1:51: an index of 'X' is f32, not i32"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = X[n] + 1 }",
       "1:56: '+' mixes f32 and i32; convert one (f32 literals have a point: 2.0)"},
      {"kernel t(N) { in X : i8[N] out Y : i32[N] Y[n] = X[n] + 1 }",
       "1:55: '+' works on i32 or f32, got i8; widen it with i32()"},
      {"kernel t(N) { in X : bf16[N] out Y : f32[N] Y[n] = X[n] * 2.0 }",
       "1:57: '*' works on i32 or f32, got bf16; widen it with f32()"},
      {"kernel t(N) { in X : f32[N] out Y : i8[N] Y[n] = i8(X[n]) }", "1:50: no conversion from f32 to i8"},
      {"kernel t(N) { in X : f32[N] out Y : i32[N] Y[n] = X[n] }",
       "1:51: 'Y' holds i32 but its definition gives f32; convert it with a cast"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = select(X[n], 1.0, 2.0) }",
       "1:51: 'select' wants a bool condition, got f32"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = select(X[n] < 1.0, 1.0, 2) }",
       "1:51: 'select' mixes f32 and i32; convert one (f32 literals have a point: 2.0)"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = sqrt(X[n], 2.0) }", "1:51: 'sqrt' wants 1 operand(s), got 2"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = sqrt(n) }", "1:51: 'sqrt' works on f32, got i32"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = X[n] & 1 }", "1:56: '&' works on i32, got f32"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] z[n] = X[n] > 1.0 Y[n] = 1.0 }",
       "1:44: 'z' cannot be stored as bool; use select"},
      {"use math\nkernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = exp(X[n], 1.0) }",
       "2:51: 'exp' wants 1 argument(s), got 2"},
      {"use math\nkernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = exp(n) }",
       "2:51: argument 1 of 'exp' is f32, got i32"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = not X[n] }", "1:51: 'not' works on bool, got f32"},
  });
}

TEST_CASE("names, declarations and definitions") {
  check({
      {"kernel t(N) { in X : f32[N] out Y : f32[N] s[n, k: n + 1] = X[k] Y[n] = sum(k: n + 1) s[n, k] }",
       "1:46: the extent of index 'n' is not known from what it indexes; write [n: extent]"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] s[n, k: n + 1] = X[k] Y[n] = sum(k: n + 2) s[n, k] }",
       "1:46: the extent of index 'n' is not known from what it indexes; write [n: extent]"},
      {"func f(x: f32) -> f32 { let y = x > 1.0 return select(y, x, z) }\nkernel t(N) { }", "1:61: unknown name 'z'"},
      {"func f(x: f32) -> f32 { return sum(k: 3) x }\nkernel t(N) { }", "1:32: a function has no reductions"},
      {"func f(x: f32) -> f32 { return g(x) }\nkernel t(N) { }",
       "1:32: unknown function 'g' (functions are defined, or taken in with 'use', before they are called)"},
      {"func f(x: f32) -> f32 { return f(x) }\nkernel t(N) { }",
       "1:32: unknown function 'f' (functions are defined, or taken in with 'use', before they are called)"},
      {"use math\nfunc exp(x: f32) -> f32 { return x }\nkernel t(N) { }", "2:6: function 'exp' is already defined"},
      {"kernel t(A, B, C, D, E, F, G, H, I) { }", "1:34: a kernel has at most 8 size parameters"},
      {"kernel t(N, N) { }", "1:13: 'N' is already declared"},
      {"kernel t(N) { in X : f32[] out Y : f32[N] Y[n] = 1.0 }", "1:18: 'X' has 0 dimensions; 1 to 4 are possible"},
      {"kernel t(N) { in X : f32[N, N, N, N, N] out Y : f32[N] Y[n] = 1.0 }",
       "1:18: 'X' has 5 dimensions; 1 to 4 are possible"},
      {"kernel t(N) { in X : f32[N] pad x out Y : f32[N] Y[n] = 1.0 }", "1:33: 'pad' wants a number"},
      {"kernel t(N) { in X : f32[N] pad 0 out Y : f32[N] Y[n] = 1.0 }", "1:18: 'X': pad is 1 to 4096, got 0"},
      {"kernel t(N) { in X : f32[N] range 0 .. N out Y : f32[N] Y[n] = 1.0 }",
       "1:18: 'X': only i32 inputs have a range"},
      {"kernel t(N) { out X : ternary[N, N] X[n, m] = 1 }", "1:19: 'X': only inputs are ternary"},
      {"kernel t(N) { in X : ternary[N] out Y : i32[N] Y[n] = i32(X[n]) }",
       "1:18: 'X': a ternary tensor has 2 dimensions, this one 1"},
      {"kernel t(N) { in X : f32[N] require X[0] > 1.0 out Y : f32[N] Y[n] = 1.0 }",
       "1:37: 'X' cannot be used in 'require'"},
      {"kernel t(N) { in X : f32[N] }", "the kernel writes nothing: it has no 'out' tensor"},
      {"kernel t(N) { out Y : f32[N] }", "1:19: output 'Y' is never written"},
      {"kernel t(N) { given G : i32[N] out Y : f32[N] Y[n] = 1.0 }", "1:21: 'G' has no definition"},
      {"kernel t(N) { out Y : f32[N] Y[n] = 1.0 Y[n] = 2.0 }", "1:41: 'Y' is defined twice"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] X[n] = 1.0 Y[n] = X[n] }",
       "1:44: 'X' is an input; it cannot be defined"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = 1.0 in Z : f32[N] }",
       "1:55: declarations come before the first definition"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n: N - 1] = X[n] }",
       "1:51: index 'n' does not run over the whole dimension 0 of 'Y', so not every element is written exactly once"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n, m] = X[n] }", "1:44: 'Y' has 1 dimension(s), its definition 2"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = X[n, n] }", "1:51: 'X' has 1 dimension(s), got 2 index(es)"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = X }", "1:51: tensor 'X' wants its indices: X[...]"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = Z[n] }",
       "1:51: unknown tensor 'Z' (tensors are declared or defined before they are used)"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = late[n] late[n: N] = X[n] }",
       "1:51: unknown tensor 'late' (tensors are declared or defined before they are used)"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] out Z : f32[N] Y[n] = X[n] Z[n] = Y[n] }",
       "1:78: 'Y' is an output; outputs are not read (name the value and use it twice)"},
      {"kernel t(N) { in X : f32[N] given S : f32[N] out Y : f32[N] Y[n] = S[n] S[n] = X[n] }",
       "1:68: 'S' is used before it is defined"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = q }", "1:51: unknown name 'q'"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = f32(1 < n < 2) }",
       "1:61: comparisons do not chain; combine them with 'and'"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = sum(X[n]) }",
       "1:51: a reduction is written sum(k: extent) body"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = sum(n: N) X[n] }", "1:55: index 'n' is already in use here"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = sum(N: N) X[n] }",
       "1:51: 'N' is already declared; an index needs a name of its own"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = sum(k: 2.0) X[n] }",
       "1:51: the extent of 'sum' is an i32, got f32"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = sum(k: i32(X[n])) X[n] }",
       "1:62: 'X' cannot be used in an index's extent"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n, n] = X[n] }", "1:49: index 'n' is used twice"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[X] = X[n] }",
       "1:46: 'X' is already declared; an index needs a name of its own"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] N[n] = X[n] }", "1:44: 'N' is already declared"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] z[n] = 1.0 Y[n] = z[n] }",
       "1:46: the extent of index 'n' is not known from what it indexes; write [n: extent]"},
      {"kernel t(N, K) { in X : f32[N] in Z : f32[K] out Y : f32[N] z[n] = X[n] * Z[n] Y[n] = z[n] }",
       "1:63: index 'n' runs over N in X but K in Z; write [n: extent]"},
      {"kernel t(N) { in X : i8[N] out Y : i8[N] z[n] = X[n] Y[n] = z[n] }",
       "1:42: local 'z' would be i8; locals are i32 or f32"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = exp(X[n]) }",
       "1:51: unknown function 'exp' (functions are defined, or taken in with 'use', before they are called)"},
      {"kernel t(N) { scalar N out Y : f32[N] Y[n] = 1.0 }", "1:22: 'N' is already declared"},
  });
}

TEST_CASE("indices, extents, divisors and shifts that may leave their range") {
  check({
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = X[n + 1] }",
       "1:51: index 0 of 'X', here n + 1, is not proved to stay below its extent N; found 1 .. N"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = X[n - 1] }",
       "1:51: index 0 of 'X', here n - 1, is not proved to be at least 0; found -1 .. N - 2"},
      {"kernel t(N, G) { in X : f32[N] out Y : f32[N] Y[n] = X[n / (G - 1)] }",
       "1:58: the divisor G - 1 is not proved to be at least 1"},
      {"kernel t(N) { in X : f32[N / 4] out Y : f32[N] Y[n] = X[n / 4] }",
       "1:55: index 0 of 'X', here n / 4, is not proved to stay below its extent N / 4; found 0 .. N - 1"},
      {"kernel t(N) { in X : f32[N] in I : i32[N] out Y : f32[N] Y[n] = X[I[n]] }",
       "1:65: index 0 of 'X', here I[n], is not proved to be at least 0; found unknown .. unknown"},
      {"kernel t(N) { in X : f32[N] in I : i32[N] out Y : f32[N] Y[n] = X[max(0, I[n])] }",
       "1:65: index 0 of 'X', here max(0, I[n]), is not proved to stay below its extent N; found 0 .. unknown"},
      {"kernel t(N) { in X : f32[N] in L : i8[N] in T : f32[255] out Y : f32[N] Y[n] = T[i32(L[n]) + 128] }",
       "1:80: index 0 of 'T', here i32(L[n]) + 128, is not proved to stay below its extent 255; found 0 .. 255"},
      {"kernel t(N) { in X : f32[8] out Y : f32[N] Y[n] = X[i32(X[0])] }",
       "1:51: index 0 of 'X', here i32(X[0]), is not proved to be at least 0; found unknown .. unknown"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = select(n > 0, X[n - 1], 0.0) }",
       "1:65: index 0 of 'X', here n - 1, is not proved to be at least 0; found -1 .. N - 2"},
      {"kernel t(N) { in X : i32[N] out Y : i32[N] Y[n] = X[n] / X[n] + (1 << X[n]) }",
       "1:56: the divisor X[n] is not proved to be at least 1"},
      {"kernel t(N) { in X : i32[N] out Y : i32[N] Y[n] = 1 << X[n] }",
       "1:53: the shift by X[n] is not proved to be in 0 .. 31"},
      {"kernel t(N) { in X : i32[N] out Y : i32[N, N - 2] Y[n, k] = X[n] }",
       "1:33: dimension 1 of 'Y', N - 2, may be negative"},
      {"kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = sum(k: n - 1) X[n] }",
       "1:51: the extent of index 'k', n - 1, may be negative"},
  });
}

TEST_CASE("the line is quoted with a caret under the column") {
  CHECK(error_of("kernel t(N) {\n  in X : f32[N]\n\tout Y : f32[N]   # the result\n  Y[n] = X[n] + 1\n}\n") ==
        "t.bk:4:15: '+' mixes f32 and i32; convert one (f32 literals have a point: 2.0)\n"
        "    Y[n] = X[n] + 1\n"
        "                ^");
  CHECK(error_of("kernel t(N) {\n\t\x01@") == "t.bk:2:2: unexpected byte 0x01\n   ?@\n   ^");
  // A long line is cut around the column.
  const std::string error =
      error_of("kernel t(N) { out Y : f32[N] " + std::string(5000, ' ') + "%" + std::string(5000, ' ') + "x");
  CHECK(error.size() < 400);
  const size_t line = error.find('\n'), caret_line = error.rfind('\n');
  CHECK(error.find('%', line) - line == error.find('^', caret_line) - caret_line);
}

TEST_CASE("hostile text is refused before it costs anything") {
  const std::string head = "kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = ";
  const auto repeated = [](const std::string &s, int n) {
    std::string all;
    for (int i = 0; i < n; ++i) all += s;
    return all;
  };
  const auto refused = [](const std::string &text, const char *why) {
    return error_of(text).find(why) != std::string::npos;
  };
  CHECK(refused(head + std::string(30000, '('), "nested more than 150 deep"));
  CHECK(refused(head + std::string(30000, '-') + "X[n] }", "nested more than 150 deep"));
  CHECK(refused(head + repeated("sqrt(", 9000), "nested more than 150 deep"));
  CHECK(refused(head + "X[n]" + repeated(" + 1.0", 5000) + "}", "nested more than 150 deep"));
  CHECK(refused("kernel t(N) { require " + repeated("not ", 9000), "nested more than 150 deep"));
  CHECK(refused(head + repeated("sum(k: ", 5000), "nested more than 150 deep"));
  CHECK(error_of(std::string(70000, ' ')) == "t.bk: kernel text has 70000 bytes, the limit is 65536");
  std::string many = "kernel t(N) { ";
  for (int i = 0; i < 100; ++i) many += "in A" + std::to_string(i) + " : f32[N] ";
  CHECK(refused(many, "a kernel has at most 64 tensors"));
  CHECK(refused(head + "max(1.0" + repeated(",1.0", 15000) + ") }", "'max' wants 2 operand(s), got 15001"));
  CHECK(refused("kernel t(N) { in X : f32[1" + repeated(",1", 30000), "more than 20000 operations"));
  // Functions that call one another twice would expand to 2^30 operations.
  std::string doubling = "func g0(x: f32) -> f32 { return x + x }\n";
  for (int i = 1; i < 30; ++i) {
    const std::string f = "g" + std::to_string(i - 1);
    doubling += "func g" + std::to_string(i) + "(x: f32) -> f32 { return " + f + "(" + f + "(x)) }\n";
  }
  CHECK(refused(doubling + head + "g29(X[n]) }", "more than 20000 operations"));
  // Locals that use one another twice in indices would expand to 2^30 terms.
  std::string chain = "kernel t(N) { in X : f32[N] in I : i32[N] range 0 .. N out Y : f32[N] c0[n] = I[n] ";
  for (int i = 1; i < 30; ++i) {
    const std::string a = "c" + std::to_string(i - 1) + "[n]";
    chain += "c" + std::to_string(i) + "[n] = " + a + " * " + a + " % 7 + " + a + " ";
  }
  CHECK(refused(chain + "Y[n] = X[c29[n]] }", "too large to prove"));
}

TEST_CASE("indices that are in range are accepted") {
  for (const char *text :
       {"kernel t(N, G) { in X : f32[N] out Y : f32[N / G] Y[g] = sum(j: G) X[g * G + j] }",
        "kernel t(N, G) { in X : f32[N] out Y : f32[N] Y[n] = X[(n / G) * G] }",
        "kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = X[N - 1 - n] }",
        "kernel t(N) { in X : f32[(N + 3) / 4] out Y : f32[N] Y[n] = X[n / 4] }",
        "kernel t(N) { in X : f32[N] in I : i32[N] out Y : f32[N] Y[n] = X[max(0, min(I[n], N - 1))] }",
        "kernel t(N) { in X : f32[N] in L : i8[N] in T : f32[256] out Y : f32[N] Y[n] = T[i32(L[n]) + 128] }",
        "kernel t(N, M) { require N <= M in X : f32[M] out Y : f32[N] Y[n] = X[n] }",
        "kernel t(N, M) { require M == 2 * N in X : f32[M] out Y : f32[N] Y[n] = X[n] + X[N + n] }",
        "kernel t(N, M) { require N >= 4 in X : f32[N] out Y : f32[M] Y[m] = X[3] + X[N - 4] }",
        "kernel t(N, W) { in X : f32[N + W - 1] out Y : f32[N] Y[n] = sum(w: W) X[n + w] }",
        "kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = X[abs(n - (N - 1 - n))] }",
        "kernel t(N) { in X : f32[N, N] out Y : f32[N] Y[n] = sum(k: n + 1) X[n, k] }",
        "kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = X[n & 7] }",
        "kernel t(N) { in X : f32[8] out Y : f32[N] Y[n] = X[n & 7] + X[n % 8] + X[(n >> 3) & 7] }",
        "kernel t(N) { in X : f32[8] out Y : f32[N] Y[n] = X[i32(min(max(X[0], 0.0), 7.5))] }",
        "kernel t(N, B) { require B % 2 == 0 and N % B == 0 in X : f32[N] out Y : f32[N] Y[n] = X[(n / B) * B + (n % "
        "B) / 2 * 2 + 1] }",
        "kernel t(N, B) { require N % B == 0 require B % 2 == 0 in X : f32[N] out Y : f32[N] Y[n] = X[(n / B) * B + (n "
        "% B + B / 2) % B] }",
        "kernel t(N) { in X : f32[N] out Y : f32[N] Y[n] = select(n > 0, X[max(n - 1, 0)], 0.0) }",
        "kernel t(N) { in X : i32[N] out Y : i32[N] Y[n] = -2147483648 }"}) {
    CAPTURE(text);
    CHECK(error_of(text) == "accepted");
  }
}
