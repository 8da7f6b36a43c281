// IR expressions to Halide expressions, operation by operation. Where Halide's own operator is free to differ in a bit
// (float min, max and negation), the definition is spelt out.
#include <fmt/format.h>

#include "codegen/halide/lowering.h"
#include "compiler/error.h"
#include "compiler/expr.h"
#include "schedules/layout.h"

namespace bittern::codegen::halide {

using compiler::ExprPtr;
using compiler::Op;
using compiler::Role;
using compiler::Type;
using Halide::Expr;

namespace {

Expr bits(const Expr &x) { return Halide::reinterpret<uint32_t>(x); }

Expr u32(uint32_t value) { return Halide::Internal::make_const(Halide::UInt(32), value); }

Expr binary(Op op, const Expr &a, const Expr &b) {
  using Halide::select;
  const bool real = a.type().is_float();
  static const std::map<Op, Expr (*)(const Expr &, const Expr &)> table = {
      {Op::Add, [](const Expr &x, const Expr &y) { return x + y; }},
      {Op::Sub, [](const Expr &x, const Expr &y) { return x - y; }},
      {Op::Mul, [](const Expr &x, const Expr &y) { return x * y; }},
      {Op::Div, [](const Expr &x, const Expr &y) { return x / y; }},
      {Op::Mod, [](const Expr &x, const Expr &y) { return x % y; }},
      {Op::Min, [](const Expr &x, const Expr &y) { return Halide::min(x, y); }},
      {Op::Max, [](const Expr &x, const Expr &y) { return Halide::max(x, y); }},
      {Op::BitAnd, [](const Expr &x, const Expr &y) { return x & y; }},
      {Op::BitOr, [](const Expr &x, const Expr &y) { return x | y; }},
      {Op::BitXor, [](const Expr &x, const Expr &y) { return x ^ y; }},
      {Op::Shl, [](const Expr &x, const Expr &y) { return x << y; }},
      {Op::Shr, [](const Expr &x, const Expr &y) { return x >> y; }},
      {Op::Eq, [](const Expr &x, const Expr &y) { return x == y; }},
      {Op::Ne, [](const Expr &x, const Expr &y) { return x != y; }},
      {Op::Lt, [](const Expr &x, const Expr &y) { return x < y; }},
      {Op::Le, [](const Expr &x, const Expr &y) { return x <= y; }},
      {Op::Gt, [](const Expr &x, const Expr &y) { return x > y; }},
      {Op::Ge, [](const Expr &x, const Expr &y) { return x >= y; }},
      {Op::And, [](const Expr &x, const Expr &y) { return x && y; }},
      {Op::Or, [](const Expr &x, const Expr &y) { return x || y; }},
  };
  if (real && op == Op::Min) return select(a < b, a, b);
  if (real && op == Op::Max) return select(a > b, a, b);
  const auto row = table.find(op);
  if (row == table.end()) throw Error("the Halide backend met an operation that it does not know");
  return row->second(a, b);
}

// Negation flips the sign of zero too; 0 - x would not.
Expr negate(const Expr &x) { return x.type().is_float() ? Halide::reinterpret<float>(bits(x) ^ u32(0x80000000u)) : -x; }

Expr nan_bits(const Expr &x) { return (bits(x) & u32(0x7fffffffu)) > u32(0x7f800000u); }

// Round to nearest even by adding half of what is cut off, or just less when the kept part is even. A NaN stays one.
Expr to_bf16(const Expr &x) {
  const Expr u = bits(x), rounded = (u + u32(0x7fffu) + ((u >> 16) & u32(1))) >> 16;
  return Halide::cast<uint16_t>(Halide::select(nan_bits(x), u32(0x7fc0u), rounded));
}

// i32 arithmetic wraps, which Halide promises of unsigned numbers alone.
Expr wrapping(Op op, const Expr &a, const Expr &b) {
  const Expr x = Halide::reinterpret<uint32_t>(a), y = Halide::reinterpret<uint32_t>(b);
  return Halide::reinterpret<int32_t>(binary(op, x, y));
}

}  // namespace

Expr Lowering::translate(const ExprPtr &e, const Scope &scope) {
  const auto arg = [&](size_t i) { return translate(e->args[i], scope); };
  switch (e->op) {
    case Op::IntConst:
      return Expr(static_cast<int32_t>(e->ival));
    case Op::FloatConst:
      return Expr(e->fval);
    case Op::Var:
      return scope.vars.at(e->name).value();
    case Op::Size:
      return sizes_.at(e->name);
    case Op::Scalar:
      return scalars_.at(e->name);
    case Op::Let:
      return scope.lets.at(e->name);
    case Op::Load:
      return load(e, scope);
    case Op::Cast:
      return translate_cast(e, scope);
    case Op::Call:
      return call(e, scope);
    case Op::Neg:
      return wraps(*e) ? wrapping(Op::Sub, Expr(0), arg(0)) : negate(arg(0));
    case Op::Abs:
      return e->type == Type::F32 ? Halide::abs(arg(0)) : Halide::cast<int32_t>(Halide::abs(arg(0)));
    case Op::Sqrt:
      return Halide::sqrt(arg(0));
    case Op::RoundEven:
      return Halide::round(arg(0));
    case Op::Floor:
      return Halide::floor(arg(0));
    case Op::Not:
      return !arg(0);
    case Op::Select:
      return Halide::select(arg(0), arg(1), arg(2));
    case Op::BitsToF32:
      return Halide::reinterpret<float>(arg(0));
    case Op::BitsToI32: {
      const Expr x = arg(0);
      return Halide::select(nan_bits(x), Expr(int32_t{0x7fc00000}), Halide::reinterpret<int32_t>(x));
    }
    case Op::Sum:
    case Op::MaxOf:
    case Op::MinOf:
      return reduce(e, scope);
    default:
      return wraps(*e) ? wrapping(e->op, arg(0), arg(1)) : binary(e->op, arg(0), arg(1));
  }
}

Expr Lowering::load(const ExprPtr &e, const Scope &scope) {
  const compiler::Tensor &tensor = *spec_.find(e->name);
  std::vector<Expr> indices;  // innermost first, as Halide has them
  if (tensor.role == Role::Local) {
    for (const size_t position : plan_.inner(plan_.stage_of(tensor)))
      indices.push_back(translate(e->args[position], scope));
    return kept_.at(e->name)(indices);
  }
  for (size_t i = e->args.size(); i-- > 0;) indices.push_back(translate(e->args[i], scope));
  if (tensor.type == Type::Ternary) return load_trit(e->name, indices[1], indices[0]);
  Expr value = inputs_.at(e->name)(indices);
  // An index keeps its declared range, so that Halide knows the bounds of what it indexes.
  if (tensor.range)
    value = Halide::unsafe_promise_clamped(value, translate(tensor.range->first, {}),
                                           translate(tensor.range->second, {}) - 1);
  return value;
}

// The number of values of an index: the thunk's, where it depends on data that the caller passes.
Expr Lowering::translate_extent(const ExprPtr &extent, const Scope &scope) {
  for (size_t i = 0; i < plan_.extents.size(); ++i)
    if (compiler::equal(extent, plan_.extents[i])) return extents_[i];
  return translate(extent, scope);
}

// One trit, found through the layout's mixed-radix description.
Expr Lowering::load_trit(const std::string &tensor, const Expr &row, const Expr &column) {
  const schedules::Layout &layout = schedules::find_layout(request_.schedule.layout);
  if (!layout.two_bit_fields()) throw Error(fmt::format("layout {} is not read trit by trit", layout.name));
  const compiler::Tensor &weights = *spec_.find(tensor);
  const auto padded = [&](size_t dimension, int64_t multiple) {
    const Expr size = translate(weights.shape[dimension], {});
    return (size + static_cast<int>(multiple - 1)) / static_cast<int>(multiple) * static_cast<int>(multiple);
  };
  Expr index = 0, weight = 1;
  for (const schedules::Layout::Digit &digit : layout.fields_low_to_high()) {
    const bool is_row = digit.dimension == 'n';
    const int divisor = static_cast<int>(digit.divisor), radix = static_cast<int>(digit.radix);
    const Expr coordinate = (is_row ? row : column) / divisor;
    index = index + (radix ? coordinate % radix : coordinate) * weight;
    weight =
        weight * (radix ? Expr(radix) : (is_row ? padded(0, layout.row_tile) : padded(1, layout.k_tile)) / divisor);
  }
  const Expr shifted = inputs_.at(tensor)(index / 4) >> Halide::cast<uint8_t>(index % 4 * 2);
  return Halide::cast<int8_t>(shifted & Halide::cast<uint8_t>(3)) - Halide::cast<int8_t>(1);
}

Expr Lowering::translate_cast(const ExprPtr &e, const Scope &scope) {
  const Type from = e->args[0]->type;
  const Expr x = translate(e->args[0], scope);
  if (from == Type::BF16)  // stored as its bits, the upper half of a float's
    return Halide::reinterpret<float>(Halide::cast<uint32_t>(x) << 16);
  switch (e->type) {
    case Type::I8:
      return Halide::cast<int8_t>(x);
    case Type::I32:
      return Halide::cast<int32_t>(x);
    case Type::F32:
      return Halide::cast<float>(x);
    case Type::F16:
      return Halide::cast(Halide::Float(16), x);
    case Type::BF16:
      return to_bf16(x);
    default:
      throw Error(fmt::format("no cast to {} in the Halide backend", compiler::type_name(e->type)));
  }
}

Expr Lowering::call(const ExprPtr &e, const Scope &scope) {
  for (const compiler::Function &function : spec_.functions) {
    if (function.name != e->name) continue;
    Scope body;
    for (size_t i = 0; i < function.params.size(); ++i)
      body.lets[function.params[i].first] = translate(e->args[i], scope);
    for (const auto &[name, value] : function.lets) body.lets[name] = translate(value, body);
    return translate(function.result, body);
  }
  throw Error(fmt::format("kernel {} calls {}, which it does not define", spec_.name, e->name));
}

}  // namespace bittern::codegen::halide
