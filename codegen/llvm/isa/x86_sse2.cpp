// SSE2, which every x86-64 processor has: no byte multiply, but pmaddwd for sums of int16 pairs.
#include <llvm/IR/IntrinsicsX86.h>

#include "codegen/llvm/isa/rows.h"
#include "runtime/abi/kernel_abi.h"

namespace bittern::codegen {
namespace {

const Instruction kPmaddwd{
    "pmaddwd.128", "pmaddwd", BT_ISA_BASELINE, llvm::Intrinsic::x86_sse2_pmadd_wd, {}, meaning::multiply_add_halves};

const Instruction kPmulhuw{"pmulhuw.128",         "pmulhuw", BT_ISA_BASELINE, llvm::Intrinsic::x86_sse2_pmulhu_w, {},
                           meaning::multiply_high};

}  // namespace

llvm::Value *Sse2Isa::multiply_add_halves(llvm::Value *x, llvm::Value *y) { return in_registers(16, kPmaddwd, {x, y}); }
llvm::Value *Sse2Isa::multiply_high(llvm::Value *x, llvm::Value *y) { return in_registers(16, kPmulhuw, {x, y}); }

const std::vector<Instruction> &sse2_instructions() {
  static const std::vector<Instruction> rows = {kPmaddwd, kPmulhuw};
  return rows;
}

}  // namespace bittern::codegen
