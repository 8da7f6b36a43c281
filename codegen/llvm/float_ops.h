// Float operations that need more than one LLVM instruction or differ between targets: rounding to integers, and the
// 16-bit formats. All work on scalars and vectors alike and never become library calls.
#pragma once
#include "codegen/llvm/kernel_builder.h"

namespace bittern::codegen {

llvm::Value *round_even(KernelBuilder &builder, llvm::Value *x);
llvm::Value *round_down(KernelBuilder &builder, llvm::Value *x);
// i16 bits to float and back, to nearest even.
llvm::Value *f16_to_f32(KernelBuilder &builder, llvm::Value *bits);
llvm::Value *f32_to_f16(KernelBuilder &builder, llvm::Value *x);
llvm::Value *bf16_to_f32(KernelBuilder &builder, llvm::Value *bits);
llvm::Value *f32_to_bf16(KernelBuilder &builder, llvm::Value *x);

}  // namespace bittern::codegen
