// What instructions do, in plain IR: written from the manuals' pseudocode, lane by lane in vectors.
#include <llvm/IR/Constants.h>

#include "codegen/llvm/isa/instruction.h"

namespace bittern::codegen::meaning {
namespace {

using llvm::Value;

unsigned lanes_of(Value *x) { return llvm::cast<llvm::FixedVectorType>(x->getType())->getNumElements(); }

llvm::Type *lanes(llvm::Type *element, unsigned count) { return llvm::FixedVectorType::get(element, count); }

// Lanes first, first + step, ... of x.
Value *every(llvm::IRBuilder<> &b, Value *x, int first, int step) {
  std::vector<int> mask;
  for (int lane = first; lane < static_cast<int>(lanes_of(x)); lane += step) mask.push_back(lane);
  return b.CreateShuffleVector(x, mask);
}

Value *bytes_of(llvm::IRBuilder<> &b, Value *x) {
  const auto *type = llvm::cast<llvm::FixedVectorType>(x->getType());
  return b.CreateBitCast(x, lanes(b.getInt8Ty(), type->getNumElements() * type->getScalarSizeInBits() / 8));
}

// The byte of each 16 (or of the whole) that stands in `position` of its `group`, repeated over the group.
Value *spread(llvm::IRBuilder<> &b, Value *table, unsigned position, unsigned group) {
  std::vector<int> mask;
  for (unsigned lane = 0; lane < lanes_of(table); ++lane)
    mask.push_back(static_cast<int>(lane / group * group + position));
  return b.CreateShuffleVector(table, mask);
}

Value *select_from(llvm::IRBuilder<> &b, Value *table, Value *indices, unsigned group) {
  llvm::Type *type = indices->getType();
  Value *own = b.CreateAnd(indices, llvm::ConstantInt::get(type, group - 1));
  Value *result = llvm::Constant::getNullValue(type);
  for (unsigned position = 0; position < group; ++position)
    result = b.CreateSelect(b.CreateICmpEQ(own, llvm::ConstantInt::get(type, position)),
                            spread(b, table, position, group), result);
  return result;
}

}  // namespace

Value *multiply_add_bytes(llvm::IRBuilder<> &b, const Values &operands) {
  llvm::Type *wide = lanes(b.getInt32Ty(), lanes_of(operands[0]));
  Value *products = b.CreateMul(b.CreateZExt(operands[0], wide), b.CreateSExt(operands[1], wide));
  Value *sums = b.CreateAdd(every(b, products, 0, 2), every(b, products, 1, 2));
  const auto at_most = [&](Value *x, int64_t bound, llvm::CmpInst::Predicate beyond) {
    Value *limit = llvm::ConstantInt::getSigned(x->getType(), bound);
    return b.CreateSelect(b.CreateICmp(beyond, x, limit), limit, x);
  };
  sums = at_most(at_most(sums, 32767, llvm::CmpInst::ICMP_SGT), -32768, llvm::CmpInst::ICMP_SLT);
  return b.CreateTrunc(sums, lanes(b.getInt16Ty(), lanes_of(sums)));
}

Value *multiply_add_halves(llvm::IRBuilder<> &b, const Values &operands) {
  llvm::Type *wide = lanes(b.getInt32Ty(), lanes_of(operands[0]));
  Value *products = b.CreateMul(b.CreateSExt(operands[0], wide), b.CreateSExt(operands[1], wide));
  return b.CreateAdd(every(b, products, 0, 2), every(b, products, 1, 2));
}

Value *multiply_high(llvm::IRBuilder<> &b, const Values &operands) {
  llvm::Type *wide = lanes(b.getInt32Ty(), lanes_of(operands[0]));
  Value *products = b.CreateMul(b.CreateZExt(operands[0], wide), b.CreateZExt(operands[1], wide));
  return b.CreateTrunc(b.CreateLShr(products, uint64_t{16}), operands[0]->getType());
}

Value *dot_unsigned_signed(llvm::IRBuilder<> &b, const Values &operands) {
  Value *codes = bytes_of(b, operands[1]), *activations = bytes_of(b, operands[2]);
  llvm::Type *wide = lanes(b.getInt32Ty(), lanes_of(codes));
  Value *products = b.CreateMul(b.CreateZExt(codes, wide), b.CreateSExt(activations, wide));
  Value *sum = operands[0];
  for (int place = 0; place < 4; ++place) sum = b.CreateAdd(sum, every(b, products, place, 4));
  return sum;
}

Value *shuffle_bytes(llvm::IRBuilder<> &b, const Values &operands) {
  Value *zero = llvm::Constant::getNullValue(operands[1]->getType());
  return b.CreateSelect(b.CreateICmpSLT(operands[1], zero), zero, select_from(b, operands[0], operands[1], 16));
}

Value *permute_bytes(llvm::IRBuilder<> &b, const Values &operands) {
  return select_from(b, operands[0], operands[1], lanes_of(operands[0]));
}

namespace {

// x with integer lanes of twice the width.
Value *widened(llvm::IRBuilder<> &b, Value *x, unsigned times) {
  const auto *type = llvm::cast<llvm::FixedVectorType>(x->getType());
  return b.CreateSExt(x, lanes(b.getIntNTy(type->getScalarSizeInBits() * times), type->getNumElements()));
}

}  // namespace

Value *multiply_long(llvm::IRBuilder<> &b, const Values &operands) {
  return b.CreateMul(widened(b, operands[0], 2), widened(b, operands[1], 2));
}

Value *add_neighbours_long(llvm::IRBuilder<> &b, const Values &operands) {
  Value *wide = widened(b, operands[0], 2);
  return b.CreateAdd(every(b, wide, 0, 2), every(b, wide, 1, 2));
}

Value *dot_signed(llvm::IRBuilder<> &b, const Values &operands) {
  Value *products = b.CreateMul(widened(b, operands[1], 4), widened(b, operands[2], 4));
  Value *sum = operands[0];
  for (int place = 0; place < 4; ++place) sum = b.CreateAdd(sum, every(b, products, place, 4));
  return sum;
}

Value *matrix_multiply_signed(llvm::IRBuilder<> &b, const Values &operands) {
  Value *x = widened(b, operands[1], 4), *y = widened(b, operands[2], 4);
  Value *sum = operands[0];
  for (int k = 0; k < 8; ++k) {
    Value *left = b.CreateShuffleVector(x, {k, k, 8 + k, 8 + k});
    Value *right = b.CreateShuffleVector(y, {k, 8 + k, k, 8 + k});
    sum = b.CreateAdd(sum, b.CreateMul(left, right));
  }
  return sum;
}

Value *look_up_or_zero(llvm::IRBuilder<> &b, const Values &operands) {
  llvm::Type *type = operands[1]->getType();
  return b.CreateSelect(b.CreateICmpULT(operands[1], llvm::ConstantInt::get(type, 16)),
                        select_from(b, operands[0], operands[1], 16), llvm::Constant::getNullValue(type));
}

}  // namespace bittern::codegen::meaning
