// Where the processor rounds and converts (SSE4.1, F16C, NEON) these are single instructions; elsewhere integer and
// float arithmetic gives the same bits.
#include "codegen/llvm/float_ops.h"

#include <llvm/IR/Constants.h>
#include <llvm/IR/Intrinsics.h>

#include "codegen/llvm/llvm_target.h"

namespace bittern::codegen {
namespace {

using llvm::Type;
using llvm::Value;

// The same shape (scalar, or vector of lanes) with another element type.
Type *shaped(const Value *like, Type *element) {
  if (auto *vector = llvm::dyn_cast<llvm::FixedVectorType>(like->getType()))
    return llvm::FixedVectorType::get(element, vector->getNumElements());
  return element;
}

struct Shape {
  KernelBuilder &builder;
  llvm::IRBuilder<> &b;
  Type *i16, *i32, *f32;
  Shape(KernelBuilder &builder_, const Value *like)
      : builder(builder_),
        b(builder_.b),
        i16(shaped(like, b.getInt16Ty())),
        i32(shaped(like, b.getInt32Ty())),
        f32(shaped(like, b.getFloatTy())) {}
  Value *integer(uint32_t value) const { return llvm::ConstantInt::get(i32, value); }
  Value *real(double value) const { return llvm::ConstantFP::get(f32, value); }
  Value *bits(Value *x) const { return b.CreateBitCast(x, i32); }
  Value *number(Value *x) const { return b.CreateBitCast(x, f32); }
};

}  // namespace

Value *round_even(KernelBuilder &builder, Value *x) {
  if (llvm_target(builder.runs_on).rounds) return builder.call(llvm::Intrinsic::roundeven, {x->getType()}, {x});
  // Adding 2^23 leaves no bits for a fraction; what is larger has none to begin with.
  const Shape s(builder, x);
  Value *magnitude = builder.call(llvm::Intrinsic::fabs, {s.f32}, {x});
  Value *rounded = s.b.CreateFSub(s.b.CreateFAdd(magnitude, s.real(8388608.0)), s.real(8388608.0));
  Value *sign = s.b.CreateAnd(s.bits(x), s.integer(0x80000000u));
  Value *result = s.number(s.b.CreateOr(s.bits(rounded), sign));
  return s.b.CreateSelect(s.b.CreateFCmpOLT(magnitude, s.real(8388608.0)), result, x);
}

Value *round_down(KernelBuilder &builder, Value *x) {
  if (llvm_target(builder.runs_on).rounds) return builder.call(llvm::Intrinsic::floor, {x->getType()}, {x});
  const Shape s(builder, x);
  Value *nearest = round_even(builder, x);
  return s.b.CreateSelect(s.b.CreateFCmpOGT(nearest, x), s.b.CreateFSub(nearest, s.real(1.0)), nearest);
}

Value *extremum(llvm::IRBuilder<> &b, bool greatest, Value *x, Value *y) {
  const bool real = x->getType()->getScalarType()->isFloatTy();
  Value *better = real ? (greatest ? b.CreateFCmpOGT(x, y) : b.CreateFCmpOLT(x, y))
                       : (greatest ? b.CreateICmpSGT(x, y) : b.CreateICmpSLT(x, y));
  return b.CreateSelect(better, x, y);
}

Value *finish_extremum(llvm::IRBuilder<> &b, const compiler::Expr &reduction, Value *best) {
  const bool zero_may_be_negative = reduction.op != compiler::Op::Sum && best->getType()->getScalarType()->isFloatTy();
  return zero_may_be_negative ? b.CreateFAdd(best, llvm::ConstantFP::get(best->getType(), 0.0)) : best;
}

Value *f16_to_f32(KernelBuilder &builder, Value *bits) {
  const Shape s(builder, bits);
  if (llvm_target(builder.runs_on).half_floats)
    return s.b.CreateFPExt(s.b.CreateBitCast(bits, shaped(bits, s.b.getHalfTy())), s.f32);
  // Exponent and mantissa, moved into place, are the number times 2^-112, also when it is subnormal.
  Value *wide = s.b.CreateZExt(bits, s.i32);
  Value *magnitude = s.b.CreateAnd(wide, s.integer(0x7fff));
  Value *scaled = s.b.CreateFMul(s.number(s.b.CreateShl(magnitude, s.integer(13))), s.real(0x1p112));
  Value *special = s.b.CreateICmpUGE(magnitude, s.integer(0x7c00));
  Value *exponent = s.b.CreateSelect(special, s.integer(0x7f800000), s.integer(0));
  Value *sign = s.b.CreateShl(s.b.CreateAnd(wide, s.integer(0x8000)), s.integer(16));
  return s.number(s.b.CreateOr(s.b.CreateOr(s.bits(scaled), exponent), sign));
}

Value *f32_to_f16(KernelBuilder &builder, Value *x) {
  const Shape s(builder, x);
  if (llvm_target(builder.runs_on).half_floats)
    return s.b.CreateBitCast(s.b.CreateFPTrunc(x, shaped(x, s.b.getHalfTy())), s.i16);
  Value *all = s.bits(x);
  Value *magnitude = s.b.CreateAnd(all, s.integer(0x7fffffff));
  Value *sign = s.b.CreateLShr(s.b.CreateAnd(all, s.integer(0x80000000u)), s.integer(16));
  // Normal: rebias, add half of what is cut off (less one, plus the last bit kept: to even), cut.
  Value *odd = s.b.CreateAnd(s.b.CreateLShr(magnitude, s.integer(13)), s.integer(1));
  Value *rebiased = s.b.CreateAdd(s.b.CreateAdd(magnitude, s.integer(0xc8000fffu)), odd);
  Value *normal = s.b.CreateLShr(rebiased, s.integer(13));
  // Subnormal: the adder aligns and rounds.
  const uint32_t magic = (127 - 15 + 23 - 10 + 1) << 23;
  Value *aligned = s.b.CreateFAdd(s.number(magnitude), s.number(s.integer(magic)));
  Value *subnormal = s.b.CreateSub(s.bits(aligned), s.integer(magic));
  Value *special =
      s.b.CreateSelect(s.b.CreateICmpUGT(magnitude, s.integer(0x7f800000)), s.integer(0x7e00), s.integer(0x7c00));
  Value *finite = s.b.CreateSelect(s.b.CreateICmpULT(magnitude, s.integer(113u << 23)), subnormal, normal);
  Value *result = s.b.CreateSelect(s.b.CreateICmpUGE(magnitude, s.integer(143u << 23)), special, finite);
  return s.b.CreateTrunc(s.b.CreateOr(result, sign), s.i16);
}

Value *bf16_to_f32(KernelBuilder &builder, Value *bits) {
  const Shape s(builder, bits);
  return s.number(s.b.CreateShl(s.b.CreateZExt(bits, s.i32), s.integer(16)));
}

Value *f32_to_bf16(KernelBuilder &builder, Value *x) {
  const Shape s(builder, x);
  Value *all = s.bits(x);
  Value *last = s.b.CreateAnd(s.b.CreateLShr(all, s.integer(16)), s.integer(1));
  Value *rounded = s.b.CreateAdd(s.b.CreateAdd(all, s.integer(0x7fff)), last);
  Value *quiet = s.b.CreateOr(all, s.integer(0x400000));
  Value *result = s.b.CreateSelect(s.b.CreateFCmpUNO(x, x), quiet, rounded);
  return s.b.CreateTrunc(s.b.CreateLShr(result, s.integer(16)), s.i16);
}

}  // namespace bittern::codegen
