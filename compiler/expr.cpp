// One row an operation; typing rules by class of operation.
#include "compiler/expr.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <set>
#include <utility>

namespace bittern::compiler {

const std::vector<OpRow> &op_table() {
  // In the order of enum Op, so that op_row is an index.
  static const std::vector<OpRow> rows = {
      {Op::IntConst, "integer", Form::Leaf, 0, 0},
      {Op::FloatConst, "float", Form::Leaf, 0, 0},
      {Op::Var, "index", Form::Leaf, 0, 0},
      {Op::Size, "size", Form::Leaf, 0, 0},
      {Op::Scalar, "scalar", Form::Leaf, 0, 0},
      {Op::Let, "let", Form::Leaf, 0, 0},
      {Op::Load, "load", Form::Access, 0, -1},
      {Op::Cast, "cast", Form::Cast, 0, 1},
      {Op::Call, "call", Form::Access, 0, -1},
      {Op::Add, "+", Form::Infix, 9, 2},
      {Op::Sub, "-", Form::Infix, 9, 2},
      {Op::Mul, "*", Form::Infix, 10, 2},
      {Op::Div, "/", Form::Infix, 10, 2},
      {Op::Mod, "%", Form::Infix, 10, 2},
      {Op::Min, "min", Form::Function, 0, 2},
      {Op::Max, "max", Form::Function, 0, 2},
      {Op::Neg, "-", Form::Prefix, kUnaryPrecedence, 1},
      {Op::Abs, "abs", Form::Function, 0, 1},
      {Op::Sqrt, "sqrt", Form::Function, 0, 1},
      {Op::RoundEven, "round_even", Form::Function, 0, 1},
      {Op::Floor, "floor", Form::Function, 0, 1},
      {Op::BitAnd, "&", Form::Infix, 7, 2},
      {Op::BitOr, "|", Form::Infix, 5, 2},
      {Op::BitXor, "^", Form::Infix, 6, 2},
      {Op::Shl, "<<", Form::Infix, 8, 2},
      {Op::Shr, ">>", Form::Infix, 8, 2},
      {Op::Eq, "==", Form::Infix, 4, 2},
      {Op::Ne, "!=", Form::Infix, 4, 2},
      {Op::Lt, "<", Form::Infix, 4, 2},
      {Op::Le, "<=", Form::Infix, 4, 2},
      {Op::Gt, ">", Form::Infix, 4, 2},
      {Op::Ge, ">=", Form::Infix, 4, 2},
      {Op::And, "and", Form::Infix, 2, 2},
      {Op::Or, "or", Form::Infix, 1, 2},
      {Op::Not, "not", Form::Prefix, 3, 1},
      {Op::Select, "select", Form::Function, 0, 3},
      {Op::BitsToF32, "bits_f32", Form::Function, 0, 1},
      {Op::BitsToI32, "bits_i32", Form::Function, 0, 1},
      {Op::Sum, "sum", Form::Reduction, 0, 2},
      {Op::MaxOf, "max", Form::Reduction, 0, 2},
      {Op::MinOf, "min", Form::Reduction, 0, 2},
  };
  return rows;
}

const OpRow &op_row(Op op) { return op_table()[static_cast<size_t>(op)]; }

namespace {

bool arithmetic(Type t) { return t == Type::I32 || t == Type::F32; }

std::string narrow_hint(Type t) {
  switch (t) {
    case Type::Ternary:
    case Type::I8:
      return "; widen it with i32()";
    case Type::F16:
    case Type::BF16:
      return "; widen it with f32()";
    default:
      return "";
  }
}

// Which conversions exist. Everything else is spelled with two casts, so that each rounding is visible.
bool cast_exists(Type from, Type to) {
  static constexpr std::pair<Type, Type> table[] = {
      {Type::Ternary, Type::I32}, {Type::I8, Type::I32},  {Type::F32, Type::I32},
      {Type::I32, Type::F32},     {Type::F16, Type::F32}, {Type::BF16, Type::F32},
      {Type::I32, Type::I8},      {Type::F32, Type::F16}, {Type::F32, Type::BF16},
  };
  for (const auto &[a, b] : table)
    if (a == from && b == to) return true;
  return false;
}

}  // namespace

std::optional<Type> result_type(Op op, Type target, const std::vector<Type> &args, std::string &why) {
  const OpRow &row = op_row(op);
  if (row.arity >= 0 && args.size() != static_cast<size_t>(row.arity)) {
    why = fmt::format("'{}' wants {} operand(s), got {}", row.text, row.arity, args.size());
    return std::nullopt;
  }
  const auto same = [&](size_t from) {
    for (size_t i = from; i < args.size(); ++i) {
      if (!arithmetic(args[i])) {
        why = fmt::format("'{}' works on i32 or f32, got {}{}", row.text, type_name(args[i]), narrow_hint(args[i]));
        return false;
      }
      if (args[i] != args[from]) {
        why = fmt::format("'{}' mixes {} and {}; convert one (f32 literals have a point: 2.0)", row.text,
                          type_name(args[from]), type_name(args[i]));
        return false;
      }
    }
    return true;
  };
  const auto all = [&](Type wanted) {
    for (Type t : args)
      if (t != wanted) {
        why = fmt::format("'{}' works on {}, got {}{}", row.text, type_name(wanted), type_name(t), narrow_hint(t));
        return false;
      }
    return true;
  };
  switch (op) {
    case Op::Cast:
      if (cast_exists(args[0], target)) return target;
      why = fmt::format("no conversion from {} to {}", type_name(args[0]), type_name(target));
      return std::nullopt;
    case Op::Add:
    case Op::Sub:
    case Op::Mul:
    case Op::Div:
    case Op::Min:
    case Op::Max:
    case Op::Neg:
    case Op::Abs:
      if (same(0)) return args[0];
      return std::nullopt;
    case Op::Mod:
    case Op::BitAnd:
    case Op::BitOr:
    case Op::BitXor:
    case Op::Shl:
    case Op::Shr:
      if (all(Type::I32)) return Type::I32;
      return std::nullopt;
    case Op::Sqrt:
    case Op::RoundEven:
    case Op::Floor:
      if (all(Type::F32)) return Type::F32;
      return std::nullopt;
    case Op::Eq:
    case Op::Ne:
    case Op::Lt:
    case Op::Le:
    case Op::Gt:
    case Op::Ge:
      if (same(0)) return Type::Bool;
      return std::nullopt;
    case Op::And:
    case Op::Or:
    case Op::Not:
      if (all(Type::Bool)) return Type::Bool;
      return std::nullopt;
    case Op::Select:
      if (args[0] != Type::Bool) {
        why = fmt::format("'select' wants a bool condition, got {}", type_name(args[0]));
        return std::nullopt;
      }
      if (same(1)) return args[1];
      return std::nullopt;
    case Op::BitsToF32:
      if (all(Type::I32)) return Type::F32;
      return std::nullopt;
    case Op::BitsToI32:
      if (all(Type::F32)) return Type::I32;
      return std::nullopt;
    case Op::Sum:
    case Op::MaxOf:
    case Op::MinOf:
      if (args[0] != Type::I32) {
        why = fmt::format("the extent of '{}' is an i32, got {}", row.text, type_name(args[0]));
        return std::nullopt;
      }
      if (same(1)) return args[1];
      return std::nullopt;
    default:
      why = fmt::format("'{}' has no typing rule", row.text);
      return std::nullopt;
  }
}

ExprPtr int_const(int64_t value, Location loc) {
  Expr e;
  e.op = Op::IntConst;
  e.type = Type::I32;
  e.ival = value;
  e.loc = loc;
  return std::make_shared<const Expr>(std::move(e));
}

ExprPtr float_const(float value, Location loc) {
  Expr e;
  e.op = Op::FloatConst;
  e.type = Type::F32;
  e.fval = value;
  e.loc = loc;
  return std::make_shared<const Expr>(std::move(e));
}

ExprPtr named(Op op, Type type, std::string name, Location loc) { return node(op, type, {}, std::move(name), loc); }

ExprPtr node(Op op, Type type, std::vector<ExprPtr> args, std::string name, Location loc) {
  Expr e;
  e.op = op;
  e.type = type;
  e.args = std::move(args);
  e.name = std::move(name);
  e.loc = loc;
  return std::make_shared<const Expr>(std::move(e));
}

bool equal(const ExprPtr &a, const ExprPtr &b) {
  if (a == b) return true;
  if (!a || !b) return false;
  if (a->op != b->op || a->type != b->type || a->name != b->name || a->args.size() != b->args.size()) return false;
  if (a->op == Op::IntConst && a->ival != b->ival) return false;
  if (a->op == Op::FloatConst && std::bit_cast<uint32_t>(a->fval) != std::bit_cast<uint32_t>(b->fval)) return false;
  for (size_t i = 0; i < a->args.size(); ++i)
    if (!equal(a->args[i], b->args[i])) return false;
  return true;
}

ExprPtr substitute(const ExprPtr &expr, const std::map<std::string, ExprPtr> &vars) {
  if (vars.empty()) return expr;
  if (expr->op == Op::Var) {
    const auto found = vars.find(expr->name);
    return found == vars.end() ? expr : found->second;
  }
  if (expr->args.empty()) return expr;
  std::vector<ExprPtr> args;
  bool changed = false;
  for (size_t i = 0; i < expr->args.size(); ++i) {
    if (is_reduction(expr->op) && i == 1 && vars.count(expr->name)) {
      auto inner = vars;
      inner.erase(expr->name);
      args.push_back(substitute(expr->args[i], inner));
    } else {
      args.push_back(substitute(expr->args[i], vars));
    }
    changed = changed || args.back() != expr->args[i];
  }
  if (!changed) return expr;
  Expr copy = *expr;
  copy.args = std::move(args);
  return std::make_shared<const Expr>(std::move(copy));
}

void walk(const ExprPtr &expr, const std::function<void(const ExprPtr &)> &visit) {
  visit(expr);
  for (const ExprPtr &arg : expr->args) walk(arg, visit);
}

bool has_reduction(const ExprPtr &expr) {
  return is_reduction(expr->op) || std::any_of(expr->args.begin(), expr->args.end(), has_reduction);
}

void keep_used_functions(KernelSpec &spec) {
  std::set<std::string> used;
  const auto note = [&](const ExprPtr &e) {
    if (e->op == Op::Call) used.insert(e->name);
  };
  for (const Definition &d : spec.definitions) walk(d.value, note);
  for (auto f = spec.functions.rbegin(); f != spec.functions.rend(); ++f) {
    if (!used.count(f->name)) continue;
    for (const auto &[name, value] : f->lets) walk(value, note);
    walk(f->result, note);
  }
  std::erase_if(spec.functions, [&](const Function &f) { return !used.count(f.name); });
}

}  // namespace bittern::compiler
