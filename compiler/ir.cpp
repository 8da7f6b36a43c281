// Look-ups and evaluation on the IR that need no other part of the compiler.
#include "compiler/ir.h"

#include <fmt/format.h>

#include "compiler/error.h"
#include "compiler/expr.h"
#include "compiler/floor_divide.h"

namespace bittern::compiler {

const Tensor *KernelSpec::find(const std::string &tensor) const {
  for (const Tensor &t : tensors)
    if (t.name == tensor) return &t;
  return nullptr;
}

const Definition *KernelSpec::definition(const std::string &tensor) const {
  for (const Definition &d : definitions)
    if (d.tensor == tensor) return &d;
  return nullptr;
}

std::vector<const Tensor *> KernelSpec::arguments() const {
  std::vector<const Tensor *> result;
  for (const Tensor &t : tensors)
    if (t.role != Role::Local) result.push_back(&t);
  return result;
}

namespace {

[[noreturn]] void overflow(const Expr &e) {
  throw Error(fmt::format("size expression overflows 64 bits at '{}'", op_row(e.op).text));
}

}  // namespace

int64_t evaluate(const ExprPtr &expr, const Sizes &sizes) {
  const Expr &e = *expr;
  if (e.op == Op::IntConst) return e.ival;
  if (e.op == Op::Size) {
    const auto found = sizes.find(e.name);
    if (found == sizes.end()) throw Error(fmt::format("size {} has no value", e.name));
    return found->second;
  }
  std::vector<int64_t> v;
  for (const ExprPtr &arg : e.args) {
    v.push_back(evaluate(arg, sizes));
  }
  int64_t r = 0;
  switch (e.op) {
    case Op::Add:
      if (__builtin_add_overflow(v[0], v[1], &r)) overflow(e);
      return r;
    case Op::Sub:
      if (__builtin_sub_overflow(v[0], v[1], &r)) overflow(e);
      return r;
    case Op::Mul:
      if (__builtin_mul_overflow(v[0], v[1], &r)) overflow(e);
      return r;
    case Op::Neg:
      if (__builtin_sub_overflow(int64_t{0}, v[0], &r)) overflow(e);
      return r;
    case Op::Div:
    case Op::Mod:
      if (v[1] < 1) throw Error(fmt::format("size expression divides by {}", v[1]));
      r = floor_divide(v[0], v[1]);
      return e.op == Op::Div ? r : v[0] - r * v[1];
    case Op::Min:
      return std::min(v[0], v[1]);
    case Op::Max:
      return std::max(v[0], v[1]);
    case Op::Eq:
      return v[0] == v[1];
    case Op::Ne:
      return v[0] != v[1];
    case Op::Lt:
      return v[0] < v[1];
    case Op::Le:
      return v[0] <= v[1];
    case Op::Gt:
      return v[0] > v[1];
    case Op::Ge:
      return v[0] >= v[1];
    case Op::And:
      return v[0] && v[1];
    case Op::Or:
      return v[0] || v[1];
    case Op::Not:
      return !v[0];
    default:
      throw Error(fmt::format("'{}' has no value from sizes alone", e.name.empty() ? op_row(e.op).text : e.name));
  }
}

const char *type_name(Type type) {
  static constexpr const char *names[] = {"ternary", "i8", "i32", "f16", "bf16", "f32", "bool"};
  return names[static_cast<int>(type)];
}

int type_bytes(Type type) {
  static constexpr int bytes[] = {0, 1, 4, 2, 2, 4, 1};
  return bytes[static_cast<int>(type)];
}

}  // namespace bittern::compiler
