// IR that no text can give (it was built or changed in C++) is held to the same rules.
#include "compiler/verifier.h"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include "compiler/error.h"
#include "compiler/expr.h"
#include "compiler/library.h"
#include "compiler/parser.h"

using namespace bittern;
using namespace bittern::compiler;

namespace {

// The error after changing w2a8_matmul; locations are as in its text.
std::string after(const std::function<void(KernelSpec &)> &change, const char *kernel = "w2a8_matmul") {
  KernelSpec spec = builtin_kernel(kernel);
  change(spec);
  try {
    verify(spec);
  } catch (const Error &e) {
    return e.what();
  }
  return "accepted";
}

Tensor &tensor(KernelSpec &spec, const std::string &name) {
  for (Tensor &t : spec.tensors)
    if (t.name == name) return t;
  throw Error("no tensor " + name);
}

Definition &definition(KernelSpec &spec, const std::string &name) {
  for (Definition &d : spec.definitions)
    if (d.tensor == name) return d;
  throw Error("no definition " + name);
}

ExprPtr size(const char *name) { return named(Op::Size, Type::I32, name); }
ExprPtr var(const char *name) { return named(Op::Var, Type::I32, name); }

}  // namespace

TEST_CASE("the shipped kernels are accepted") {
  for (const std::string &name : builtin_kernel_names()) CHECK_NOTHROW(verify(builtin_kernel(name)));
}

TEST_CASE("names and counts") {
  CHECK(after([](KernelSpec &s) { s.name = "a b"; }) == "a b: 'a b' is not a name");
  CHECK(after([](KernelSpec &s) { s.name = ""; }) == "kernel: '' is not a name");
  CHECK(after([](KernelSpec &s) { s.sizes = {}; }) == "w2a8_matmul: a kernel has 1 to 8 size parameters, this one 0");
  CHECK(after([](KernelSpec &s) { s.sizes.push_back("N"); }) == "w2a8_matmul: 'N' is already declared");
  CHECK(after([](KernelSpec &s) { tensor(s, "ws").name = "A"; }).find("'A' is already declared") != std::string::npos);
  CHECK(after([](KernelSpec &s) { s.tensors.resize(65, s.tensors[0]); }) ==
        "w2a8_matmul: a kernel has at most 64 tensors");
}

TEST_CASE("tensors") {
  const auto tensor_error = [](const char *name, const std::function<void(Tensor &)> &change) {
    return after([&](KernelSpec &s) { change(tensor(s, name)); });
  };
  CHECK(tensor_error("ws", [](Tensor &t) { t.shape.clear(); }).find("'ws' has 0 dimensions") != std::string::npos);
  CHECK(tensor_error("acc", [](Tensor &t) { t.pad = 64; }).find("local 'acc' has no pad") != std::string::npos);
  CHECK(tensor_error("acc", [](Tensor &t) { t.type = Type::I8; }).find("locals are i32 or f32") != std::string::npos);
  CHECK(tensor_error("A", [](Tensor &t) { t.pad = 0; }).find("pad is 1 to 4096, got 0") != std::string::npos);
  CHECK(tensor_error("ws", [](Tensor &t) { t.shape = {nullptr}; }).find("an expression is missing") !=
        std::string::npos);
  CHECK(tensor_error("ws", [](Tensor &t) { t.shape = {var("n")}; }).find("'n' cannot be used in a tensor's shape") !=
        std::string::npos);
  CHECK(after([](KernelSpec &s) {
          std::swap(s.tensors.front(), s.tensors.back());
        }).find("locals come after the arguments") != std::string::npos);
  CHECK(after([](KernelSpec &s) {
          tensor(s, "acc").shape[0] = size("N");
        }).find("index 'm' does not run over the whole dimension 0 of 'acc'") != std::string::npos);
}

TEST_CASE("definitions") {
  const auto value_error = [](const ExprPtr &value) {
    return after([&](KernelSpec &s) { definition(s, "Y").value = value; });
  };
  CHECK(after([](KernelSpec &s) {
          definition(s, "acc").tensor = "nothing";
        }).find("'nothing' is defined but not declared") != std::string::npos);
  CHECK(after([](KernelSpec &s) { definition(s, "acc").tensor = "A"; }).find("'A' is an input") != std::string::npos);
  CHECK(after([](KernelSpec &s) { s.definitions.push_back(s.definitions.back()); }).find("'Y' is defined twice") !=
        std::string::npos);
  CHECK(after([](KernelSpec &s) {
          std::swap(s.definitions[1], s.definitions[2]);
        }).find("'acc' is used before it is defined") != std::string::npos);
  CHECK(after([](KernelSpec &s) { s.definitions.pop_back(); }).find("output 'Y' is never written") !=
        std::string::npos);
  CHECK(value_error(nullptr) == "w2a8_matmul: an expression is missing");
  CHECK(value_error(float_const(INFINITY)) == "w2a8_matmul: a float constant is not finite");
  CHECK(value_error(node(Op::Cast, Type::F32, {int_const(int64_t{1} << 40)})) ==
        "w2a8_matmul: 1099511627776 does not fit in i32");
  CHECK(value_error(node(Op::Add, Type::F32, {float_const(1), int_const(1)})).find("'+' mixes f32 and i32") !=
        std::string::npos);
  CHECK(value_error(node(Op::Add, Type::F32, {int_const(1), int_const(1)})) ==
        "w2a8_matmul: '+' is marked f32 but is i32");
  CHECK(value_error(node(Op::Add, Type::F32, {float_const(1)})) == "w2a8_matmul: '+' wants 2 operand(s), got 1");
  CHECK(value_error(node(Op::Sum, Type::F32, {size("K")}, "j")) == "w2a8_matmul: a reduction has an extent and a body");
  CHECK(value_error(node(Op::Sum, Type::F32, {size("K"), float_const(1)}, "m")) ==
        "w2a8_matmul: index 'm' is already in use here");
  CHECK(value_error(node(Op::Load, Type::F32, {var("n")}, "nothing")) == "w2a8_matmul: unknown tensor 'nothing'");
  CHECK(value_error(node(Op::Load, Type::F32, {}, "ws")) == "w2a8_matmul: 'ws' has 1 dimension(s), got 0 index(es)");
  CHECK(value_error(node(Op::Load, Type::F32, {float_const(0)}, "ws")) ==
        "w2a8_matmul: an index of 'ws' is f32, not i32");
  CHECK(value_error(node(Op::Load, Type::F32, {var("m")}, "ws")).find("is not proved to stay below its extent N") !=
        std::string::npos);
  CHECK(value_error(node(Op::Call, Type::F32, {}, "nothing")) == "w2a8_matmul: unknown function 'nothing'");
  CHECK(value_error(named(Op::Scalar, Type::F32, "eps")) == "w2a8_matmul: 'eps' cannot be used in a definition");
  CHECK(value_error(named(Op::Let, Type::F32, "x")) == "w2a8_matmul: 'x' cannot be used in a definition");
  CHECK(value_error(var("k")) == "w2a8_matmul: 'k' cannot be used in a definition");
}

TEST_CASE("functions") {
  const auto function_error = [](const std::function<void(std::vector<Function> &)> &change) {
    return after([&](KernelSpec &s) { change(s.functions); }, "ffn_silu");
  };
  CHECK(function_error([](auto &f) { f.push_back(f[0]); }) == "ffn_silu: function 'exp' is already defined");
  CHECK(function_error([](auto &f) { f.clear(); }).find("unknown function 'exp'") != std::string::npos);
  CHECK(function_error([](auto &f) { f[0].lets.push_back(f[0].lets[0]); }) ==
        "ffn_silu: 'c' is already defined in this function");
  CHECK(function_error([](auto &f) { f[0].result = named(Op::Scalar, Type::F32, "eps"); }) ==
        "ffn_silu: 'eps' cannot be used in a function");
  CHECK(function_error([](auto &f) { f[0].result = node(Op::Load, Type::F32, {int_const(0)}, "GU"); }) ==
        "ffn_silu: 'GU' cannot be used in a function");
  CHECK(function_error([](auto &f) { f[0].params[0].second = Type::F16; }).find("a let holds f32, i32 or bool") !=
        std::string::npos);
}

TEST_CASE("shared nodes that stand for an enormous tree are refused quickly") {
  ExprPtr e = float_const(1);
  for (int i = 0; i < 100; ++i) e = node(Op::Add, Type::F32, {e, e});
  CHECK(after([&](KernelSpec &s) { definition(s, "Y").value = e; }) ==
        "w2a8_matmul: the kernel has more than 20000 operations");
  for (int i = 0; i < 100; ++i) e = node(Op::Neg, Type::F32, {e});
  CHECK(after([&](KernelSpec &s) { definition(s, "Y").value = e; }) ==
        "w2a8_matmul: an expression is nested more than 150 deep");
}
