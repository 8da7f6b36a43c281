// The arithmetic of a layout's cells in LLVM IR: digits (trit + 1) to code and back, one cell a lane. The same formulas
// as the reference's in schedules/layout.cpp.
#pragma once
#include <llvm/IR/IRBuilder.h>

#include <vector>

#include "schedules/layout.h"

namespace bittern::codegen {

class CellCode {
 public:
  CellCode(llvm::IRBuilder<> &builder, const schedules::Layout &layout) : b_(builder), layout_(layout) {}

  // The narrowest type that every step of a code fits, as a vector of `lanes` or a scalar.
  llvm::Type *type(unsigned lanes) const;
  // Digits 0, 1, 2 of that type, as many as a cell has, to what a plane stores.
  llvm::Value *encode(const std::vector<llvm::Value *> &digits, schedules::Layout::Part part);
  // A code to digits. For planes apart, `code` is the magnitude and `sign` is 0 or 1.
  std::vector<llvm::Value *> decode(llvm::Value *code, llvm::Value *sign = nullptr);

 private:
  llvm::IRBuilder<> &b_;
  const schedules::Layout &layout_;
};

}  // namespace bittern::codegen
