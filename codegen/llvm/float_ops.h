// Float operations that need more than one LLVM instruction or differ between targets: rounding to integers, and the
// 16-bit formats. All work on scalars and vectors alike and never become library calls.
#pragma once
#include "codegen/llvm/kernel_builder.h"

namespace bittern::codegen {

llvm::Value *round_even(KernelBuilder &builder, llvm::Value *x);
llvm::Value *round_down(KernelBuilder &builder, llvm::Value *x);
// x > y ? x : y, or x < y ? x : y: one instruction of x86, also for NaN and zeros.
llvm::Value *extremum(llvm::IRBuilder<> &b, bool greatest, llvm::Value *x, llvm::Value *y);
// What a max or min over floats still needs: of equal zeros any may have been kept, so a zero is made +0. Other
// reductions stay as they are.
llvm::Value *finish_extremum(llvm::IRBuilder<> &b, const compiler::Expr &reduction, llvm::Value *best);
// i16 bits to float and back, to nearest even.
llvm::Value *f16_to_f32(KernelBuilder &builder, llvm::Value *bits);
llvm::Value *f32_to_f16(KernelBuilder &builder, llvm::Value *x);
llvm::Value *bf16_to_f32(KernelBuilder &builder, llvm::Value *bits);
llvm::Value *f32_to_bf16(KernelBuilder &builder, llvm::Value *x);

}  // namespace bittern::codegen
