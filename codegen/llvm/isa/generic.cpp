// Arithmetic without any instruction of a target: what LLVM can lower everywhere. A base for instruction sets that have
// better instructions for a part of it.
#include <llvm/IR/Constants.h>

#include "codegen/llvm/isa/rows.h"

namespace bittern::codegen {

using llvm::Value;

// Even and odd bytes apart, as 16-bit lanes: lane i takes the products of bytes 2 i and 2 i + 1.
Value *GenericIsa::accumulate(Value *sum, Value *codes, Value *activations) {
  llvm::IRBuilder<> &b = f_.b;
  Value *c = b.CreateBitCast(codes, halves()), *a = b.CreateBitCast(activations, halves());
  Value *even = b.CreateMul(b.CreateAnd(c, llvm::ConstantInt::get(halves(), 0xff)),
                            b.CreateAShr(b.CreateShl(a, uint64_t{8}), uint64_t{8}));
  Value *odd = b.CreateMul(b.CreateLShr(c, uint64_t{8}), b.CreateAShr(a, uint64_t{8}));
  return b.CreateAdd(sum, b.CreateAdd(even, odd));
}

Value *GenericIsa::widen(Value *sum) { return multiply_add_halves(sum, llvm::ConstantInt::get(sum->getType(), 1)); }

const std::vector<Instruction> &no_instructions() {
  static const std::vector<Instruction> none;
  return none;
}

}  // namespace bittern::codegen
