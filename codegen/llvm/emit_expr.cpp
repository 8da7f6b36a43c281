// Values that do not move with the lane variable stay scalar until an operation meets a vector.
#include "codegen/llvm/emit_expr.h"

#include <fmt/format.h>
#include <llvm/IR/Constants.h>
#include <llvm/IR/Intrinsics.h>

#include <algorithm>

#include "codegen/analysis.h"
#include "codegen/llvm/float_ops.h"
#include "compiler/error.h"
#include "schedules/layout.h"

namespace bittern::codegen {

using compiler::Expr;
using compiler::ExprPtr;
using compiler::Op;
using llvm::Value;
using IrType = compiler::Type;
using Values = KernelBuilder::Values;

Bindings Bindings::with(const std::string &var, Value *value) const {
  Bindings copy = *this;
  copy.vars[var] = value;
  return copy;
}

Bindings Bindings::along(const std::string &var, Value *first, unsigned count) const {
  Bindings copy = with(var, first);
  copy.lane_var = count > 1 ? var : "";
  copy.lanes = count;
  return copy;
}

llvm::Type *ExprEmitter::value_type(IrType type, unsigned lanes) {
  llvm::Type *element = nullptr;
  switch (type) {
    case IrType::F32:
      element = b_.getFloatTy();
      break;
    case IrType::I32:
      element = b_.getInt32Ty();
      break;
    case IrType::F16:
    case IrType::BF16:
      element = b_.getInt16Ty();
      break;
    case IrType::I8:
    case IrType::Ternary:
      element = b_.getInt8Ty();
      break;
    case IrType::Bool:
      element = b_.getInt1Ty();
      break;
  }
  return lanes > 1 ? builder_.vector(element, lanes) : element;
}

Value *ExprEmitter::emit(const ExprPtr &e, const Bindings &bindings) {
  Frame frame{bindings, nullptr, {}};
  return value(e, frame);
}

Value *ExprEmitter::emit_lanes(const ExprPtr &e, const Bindings &bindings) {
  Value *result = emit(e, bindings);
  if (bindings.lanes == 1 || result->getType()->isVectorTy()) return result;
  return b_.CreateVectorSplat(bindings.lanes, result);
}

Value *ExprEmitter::index(const ExprPtr &e, const Bindings &bindings) {
  Frame frame{bindings, nullptr, {}};
  return index(e, frame);
}

Value *ExprEmitter::value(const ExprPtr &e, Frame &frame) {
  const auto known = frame.bindings.known.find(e.get());
  if (known != frame.bindings.known.end()) return known->second;
  const auto done = frame.memo.find(e.get());
  if (done != frame.memo.end()) return done->second;
  Value *result = compute(*e, frame);
  frame.memo[e.get()] = result;
  return result;
}

Value *ExprEmitter::compute(const Expr &e, Frame &frame) {
  switch (e.op) {
    case Op::IntConst:
      return b_.getInt32(static_cast<uint32_t>(e.ival));
    case Op::FloatConst:
      return llvm::ConstantFP::get(b_.getFloatTy(), llvm::APFloat(e.fval));
    case Op::Size:
      return b_.CreateTrunc(builder_.size(e.name), b_.getInt32Ty());
    case Op::Scalar:
      return builder_.scalar(e.name);
    case Op::Var: {
      Value *first = b_.CreateTrunc(frame.bindings.vars.at(e.name), b_.getInt32Ty());
      if (e.name != frame.bindings.lane_var) return first;
      std::vector<llvm::Constant *> steps;
      for (unsigned lane = 0; lane < frame.bindings.lanes; ++lane) steps.push_back(b_.getInt32(lane));
      return b_.CreateAdd(b_.CreateVectorSplat(frame.bindings.lanes, first), llvm::ConstantVector::get(steps));
    }
    case Op::Let:
      return frame.scope->at(e.name);
    case Op::Load:
      return load(e, frame);
    case Op::Call:
      return call(e, frame);
    case Op::Sum:
    case Op::MaxOf:
    case Op::MinOf:
      throw Error(fmt::format("kernel {}: a reduction stands where none can be lowered", builder_.spec.name));
    default: {
      Values args;
      for (const ExprPtr &arg : e.args) args.push_back(value(arg, frame));
      const bool any_vector =
          std::any_of(args.begin(), args.end(), [](Value *arg) { return arg->getType()->isVectorTy(); });
      if (any_vector)
        for (Value *&arg : args)
          if (!arg->getType()->isVectorTy()) arg = b_.CreateVectorSplat(frame.bindings.lanes, arg);
      return operation(e, std::move(args));
    }
  }
}

Value *ExprEmitter::floor_divide(Value *x, Value *y, bool remainder) {
  llvm::Constant *constant = llvm::dyn_cast<llvm::Constant>(y);
  if (constant && constant->getType()->isVectorTy()) constant = constant->getSplatValue();
  if (auto *integer = llvm::dyn_cast_or_null<llvm::ConstantInt>(constant);
      integer && integer->getValue().isPowerOf2()) {
    const uint64_t divisor = integer->getZExtValue();
    if (remainder) return b_.CreateAnd(x, llvm::ConstantInt::get(x->getType(), divisor - 1));
    return b_.CreateAShr(x, llvm::ConstantInt::get(x->getType(), integer->getValue().logBase2()));
  }
  // Divisors are positive; only a negative dividend needs the step from truncation down to floor.
  Value *quotient = b_.CreateSDiv(x, y);
  Value *rest = b_.CreateSub(x, b_.CreateMul(quotient, y));
  Value *negative = b_.CreateICmpSLT(rest, llvm::Constant::getNullValue(x->getType()));
  if (remainder) return b_.CreateSelect(negative, b_.CreateAdd(rest, y), rest);
  return b_.CreateAdd(quotient, b_.CreateSExt(negative, x->getType()));
}

Value *ExprEmitter::operation(const Expr &e, Values args) {
  const bool real = !args.empty() && args[0]->getType()->getScalarType()->isFloatTy();
  Value *x = args.at(0);
  Value *y = args.size() > 1 ? args[1] : nullptr;
  switch (e.op) {
    case Op::Add:
      return real ? b_.CreateFAdd(x, y) : b_.CreateAdd(x, y);
    case Op::Sub:
      return real ? b_.CreateFSub(x, y) : b_.CreateSub(x, y);
    case Op::Mul:
      return real ? b_.CreateFMul(x, y) : b_.CreateMul(x, y);
    case Op::Div:
      return real ? b_.CreateFDiv(x, y) : floor_divide(x, y, false);
    case Op::Mod:
      return floor_divide(x, y, true);
    case Op::Max:
    case Op::Min:
      return extremum(b_, e.op == Op::Max, x, y);
    case Op::Neg:
      return real ? b_.CreateFNeg(x) : b_.CreateNeg(x);
    case Op::Abs:
      return real ? builder_.call(llvm::Intrinsic::fabs, {x->getType()}, {x})
                  : builder_.call(llvm::Intrinsic::abs, {x->getType()}, {x, b_.getFalse()});
    case Op::Sqrt:
      return builder_.call(llvm::Intrinsic::sqrt, {x->getType()}, {x});
    case Op::RoundEven:
      return round_even(builder_, x);
    case Op::Floor:
      return round_down(builder_, x);
    case Op::BitAnd:
    case Op::And:
      return b_.CreateAnd(x, y);
    case Op::BitOr:
    case Op::Or:
      return b_.CreateOr(x, y);
    case Op::BitXor:
      return b_.CreateXor(x, y);
    case Op::Shl:
      return b_.CreateShl(x, y);
    case Op::Shr:
      return b_.CreateAShr(x, y);
    case Op::Eq:
      return real ? b_.CreateFCmpOEQ(x, y) : b_.CreateICmpEQ(x, y);
    case Op::Ne:
      return real ? b_.CreateFCmpUNE(x, y) : b_.CreateICmpNE(x, y);
    case Op::Lt:
      return real ? b_.CreateFCmpOLT(x, y) : b_.CreateICmpSLT(x, y);
    case Op::Le:
      return real ? b_.CreateFCmpOLE(x, y) : b_.CreateICmpSLE(x, y);
    case Op::Gt:
      return real ? b_.CreateFCmpOGT(x, y) : b_.CreateICmpSGT(x, y);
    case Op::Ge:
      return real ? b_.CreateFCmpOGE(x, y) : b_.CreateICmpSGE(x, y);
    case Op::Not:
      return b_.CreateNot(x);
    case Op::Select:
      return b_.CreateSelect(x, y, args.at(2));
    case Op::BitsToF32:
    case Op::BitsToI32: {
      auto *vector = llvm::dyn_cast<llvm::FixedVectorType>(x->getType());
      llvm::Type *type = value_type(e.type, vector ? vector->getNumElements() : 1);
      Value *bits = b_.CreateBitCast(x, type);
      if (e.op == Op::BitsToF32) return bits;
      return b_.CreateSelect(b_.CreateFCmpUNO(x, x), llvm::ConstantInt::get(type, 0x7fc00000), bits);
    }
    case Op::Cast:
      break;
    default:
      throw Error(fmt::format("kernel {}: an operation that has no lowering", builder_.spec.name));
  }
  const IrType from = e.args[0]->type, to = e.type;
  auto *vector = llvm::dyn_cast<llvm::FixedVectorType>(x->getType());
  llvm::Type *type = value_type(to, vector ? vector->getNumElements() : 1);
  if (from == to) return x;
  const bool from_integer = from == IrType::I8 || from == IrType::I32 || from == IrType::Ternary;
  if (to == IrType::F32) {
    if (from == IrType::F16) return f16_to_f32(builder_, x);
    if (from == IrType::BF16) return bf16_to_f32(builder_, x);
    return from_integer ? b_.CreateSIToFP(x, type) : b_.CreateUIToFP(x, type);
  }
  if (to == IrType::F16 && from == IrType::F32) return f32_to_f16(builder_, x);
  if (to == IrType::BF16 && from == IrType::F32) return f32_to_bf16(builder_, x);
  if (to == IrType::I32 && from == IrType::F32) return b_.CreateFPToSI(x, type);
  if (to == IrType::I32 && from == IrType::Bool) return b_.CreateZExt(x, type);
  if (from_integer && (to == IrType::I32 || to == IrType::I8)) return b_.CreateSExtOrTrunc(x, type);
  throw Error(fmt::format("kernel {}: no cast from {} to {}", builder_.spec.name, type_name(from), type_name(to)));
}

Value *ExprEmitter::call(const Expr &e, Frame &frame) {
  const auto function = std::find_if(builder_.spec.functions.begin(), builder_.spec.functions.end(),
                                     [&](const compiler::Function &f) { return f.name == e.name; });
  if (function == builder_.spec.functions.end())
    throw Error(fmt::format("kernel {}: unknown function {}", builder_.spec.name, e.name));
  Scope scope;
  for (size_t i = 0; i < e.args.size(); ++i) scope[function->params.at(i).first] = value(e.args[i], frame);
  Frame body{frame.bindings, &scope, {}};
  for (const auto &[name, definition] : function->lets) {
    Value *bound = value(definition, body);
    scope[name] = bound;
  }
  return value(function->result, body);
}

Value *ExprEmitter::index(const ExprPtr &e, Frame &frame) {
  const auto operand = [&](size_t i) { return index(e->args[i], frame); };
  switch (e->op) {
    case Op::IntConst:
      return builder_.i64(e->ival);
    case Op::Size:
      return builder_.size(e->name);
    case Op::Var:
      return frame.bindings.vars.at(e->name);
    case Op::Add:
      return b_.CreateAdd(operand(0), operand(1), "", false, true);
    case Op::Sub:
      return b_.CreateSub(operand(0), operand(1), "", false, true);
    case Op::Mul:
      return b_.CreateMul(operand(0), operand(1), "", false, true);
    case Op::Div:
      return floor_divide(operand(0), operand(1), false);
    case Op::Mod:
      return floor_divide(operand(0), operand(1), true);
    default:
      break;
  }
  if (!frame.bindings.lane_var.empty()) {  // a general expression, at lane 0
    Bindings scalar = frame.bindings;
    scalar.lane_var.clear();
    scalar.lanes = 1;
    Frame lane{scalar, frame.scope, {}};
    return b_.CreateSExt(value(e, lane), b_.getInt64Ty());
  }
  return b_.CreateSExt(value(e, frame), b_.getInt64Ty());
}

Value *ExprEmitter::address(const std::string &tensor, const std::vector<ExprPtr> &indices, const Bindings &bindings) {
  Frame frame{bindings, nullptr, {}};
  const auto view = views.find(tensor);
  if (view == views.end()) {
    Values values;
    for (const ExprPtr &e : indices) values.push_back(index(e, frame));
    return builder_.address(tensor, values);
  }
  Value *offset = builder_.i64(0);
  for (size_t d = 0; d < indices.size(); ++d)
    offset = b_.CreateAdd(offset, b_.CreateMul(index(indices[d], frame), view->second.strides.at(d)));
  return b_.CreateGEP(value_type(builder_.spec.find(tensor)->type), view->second.data, offset);
}

Value *ExprEmitter::load(const Expr &e, Frame &frame) {
  const Bindings &bindings = frame.bindings;
  const IrType type = builder_.spec.find(e.name)->type;
  const auto view = views.find(e.name);
  if (view != views.end() && view->second.value) return view->second.value;
  const Motion moves = bindings.lane_var.empty() ? Motion::Fixed : load_motion(e, bindings.lane_var);
  const bool ternary = type == IrType::Ternary;
  if (moves == Motion::Fixed && ternary) return load_trit(e, bindings);
  if (moves == Motion::Fixed || (moves == Motion::UnitStride && !ternary)) {
    const unsigned lanes = moves == Motion::Fixed ? 1 : bindings.lanes;
    return b_.CreateAlignedLoad(value_type(type, lanes), address(e.name, e.args, bindings),
                                llvm::Align(static_cast<uint64_t>(std::max(1, compiler::type_bytes(type)))));
  }
  Value *gathered = llvm::PoisonValue::get(value_type(type, bindings.lanes));
  for (unsigned lane = 0; lane < bindings.lanes; ++lane) {
    Bindings scalar = bindings;
    scalar.vars[bindings.lane_var] = b_.CreateAdd(bindings.vars.at(bindings.lane_var), builder_.i64(lane));
    scalar.lane_var.clear();
    scalar.lanes = 1;
    scalar.known.clear();  // vectors of the lanes: of no use for one of them
    Frame one{scalar, frame.scope, {}};
    gathered = b_.CreateInsertElement(gathered, load(e, one), uint64_t{lane});
  }
  return gathered;
}

// One trit of a packed matrix: the 2-bit field that the layout's digits name, less one.
Value *ExprEmitter::load_trit(const Expr &e, const Bindings &bindings) {
  const schedules::Layout &layout = schedules::find_layout(builder_.request.schedule.layout);
  if (!layout.two_bit_fields()) throw Error(fmt::format("layout {} is not read trit by trit", layout.name));
  const auto &shape = builder_.spec.find(e.name)->shape;
  if (e.args.size() != 2)
    throw Error(fmt::format("kernel {}: ternary tensor {} is not a matrix", builder_.spec.name, e.name));
  const auto padded = [&](size_t dimension, int64_t multiple) {
    Value *tiles = b_.CreateUDiv(b_.CreateAdd(builder_.size_expression(shape[dimension]), builder_.i64(multiple - 1)),
                                 builder_.i64(multiple));
    return b_.CreateMul(tiles, builder_.i64(multiple));
  };
  Value *position[2] = {index(e.args[0], bindings), index(e.args[1], bindings)};
  Value *extent[2] = {padded(0, layout.row_tile), padded(1, layout.k_tile)};
  Value *field = builder_.i64(0), *weight = builder_.i64(1);
  for (const schedules::Layout::Digit &digit : layout.fields_low_to_high()) {
    const int which = digit.dimension == 'n' ? 0 : 1;
    Value *divisor = builder_.i64(digit.divisor);
    Value *radix = digit.radix ? builder_.i64(digit.radix) : b_.CreateUDiv(extent[which], divisor);
    Value *coordinate = b_.CreateUDiv(position[which], divisor);
    if (digit.radix) coordinate = b_.CreateURem(coordinate, radix);
    field = b_.CreateAdd(field, b_.CreateMul(coordinate, weight));
    weight = b_.CreateMul(weight, radix);
  }
  Value *byte = b_.CreateLoad(
      b_.getInt8Ty(), b_.CreateGEP(b_.getInt8Ty(), builder_.data(e.name), b_.CreateLShr(field, builder_.i64(2))));
  Value *shift = b_.CreateShl(b_.CreateAnd(b_.CreateTrunc(field, b_.getInt8Ty()), b_.getInt8(3)), b_.getInt8(1));
  return b_.CreateSub(b_.CreateAnd(b_.CreateLShr(byte, shift), b_.getInt8(3)), b_.getInt8(1));
}

void ExprEmitter::store(Value *value, Value *address) {
  const uint64_t bytes = std::max<uint64_t>(1, value->getType()->getScalarSizeInBits() / 8);
  b_.CreateAlignedStore(value, address, llvm::Align(bytes));
}

}  // namespace bittern::codegen
