// Sums of weighted digits; digits by comparison, or by multiplying a fraction by 3.
#include "codegen/llvm/cell_code.h"

#include <llvm/IR/Constants.h>

namespace bittern::codegen {

using llvm::Value;
using schedules::Layout;

llvm::Type *CellCode::type(unsigned lanes) const {
  llvm::Type *scalar = layout_.cell.fraction_bits != 0 ? b_.getInt32Ty() : b_.getInt8Ty();
  return lanes > 1 ? llvm::FixedVectorType::get(scalar, lanes) : scalar;
}

Value *CellCode::encode(const std::vector<Value *> &digits, Layout::Part part) {
  const Layout::Cell &cell = layout_.cell;
  llvm::Type *type = digits.front()->getType();
  const auto constant = [&](int64_t value) { return llvm::ConstantInt::get(type, static_cast<uint64_t>(value)); };
  Value *sum = nullptr;
  for (size_t i = 0; i < digits.size(); ++i) {
    Value *term = cell.weights[i] == 1 ? digits[i] : b_.CreateMul(digits[i], constant(cell.weights[i]));
    sum = sum ? b_.CreateAdd(sum, term) : term;
  }
  if (cell.fraction_bits != 0) {
    int64_t states = 1;
    for (int64_t i = 0; i < cell.trits(); ++i) states *= 3;
    // At most 3^10 * 2^16, which 32 bits without a sign hold.
    sum = b_.CreateAdd(b_.CreateShl(sum, constant(cell.fraction_bits)), constant(states - 1));
    sum = b_.CreateUDiv(sum, constant(states));
  }
  if (part == Layout::Part::Code) return sum;
  Value *distance = b_.CreateSub(sum, constant(cell.middle()));
  Value *below = b_.CreateICmpSLT(distance, constant(0));
  if (part == Layout::Part::Sign) return b_.CreateZExt(below, type);
  return b_.CreateSelect(below, b_.CreateNeg(distance), distance);
}

std::vector<Value *> CellCode::decode(Value *code, Value *sign) {
  const Layout::Cell &cell = layout_.cell;
  llvm::Type *type = code->getType();
  const auto constant = [&](int64_t value) { return llvm::ConstantInt::get(type, static_cast<uint64_t>(value)); };
  if (sign) {
    Value *distance = b_.CreateSelect(b_.CreateICmpNE(sign, constant(0)), b_.CreateNeg(code), code);
    code = b_.CreateAdd(distance, constant(cell.middle()));
  }
  std::vector<Value *> digits;
  for (const int64_t weight : cell.weights) {
    if (cell.fraction_bits != 0) {
      code = b_.CreateMul(code, constant(3));
      digits.push_back(b_.CreateLShr(code, constant(cell.fraction_bits)));
      code = b_.CreateAnd(code, constant((int64_t{1} << cell.fraction_bits) - 1));
      continue;
    }
    Value *digit = b_.CreateAdd(b_.CreateZExt(b_.CreateICmpUGE(code, constant(weight)), type),
                                b_.CreateZExt(b_.CreateICmpUGE(code, constant(2 * weight)), type));
    digits.push_back(digit);
    code = b_.CreateSub(code, b_.CreateMul(digit, constant(weight)));
  }
  return digits;
}

}  // namespace bittern::codegen
