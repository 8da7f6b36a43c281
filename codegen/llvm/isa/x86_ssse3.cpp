// SSSE3 (with SSE4.1, as BT_ISA_SSE41 means both): pmaddubsw and pshufb on 16 bytes.
#include <llvm/IR/IntrinsicsX86.h>

#include "codegen/llvm/isa/rows.h"
#include "runtime/abi/kernel_abi.h"

namespace bittern::codegen {
namespace {

const Instruction kPmaddubsw{"pmaddubsw.128",
                             "pmaddubsw",
                             BT_ISA_SSE41,
                             llvm::Intrinsic::x86_ssse3_pmadd_ub_sw_128,
                             {},
                             meaning::multiply_add_bytes};
const Instruction kPshufb{"pshufb.128",          "pshufb", BT_ISA_SSE41, llvm::Intrinsic::x86_ssse3_pshuf_b_128, {},
                          meaning::shuffle_bytes};

}  // namespace

llvm::Value *Ssse3Isa::accumulate(llvm::Value *sum, llvm::Value *codes, llvm::Value *activations) {
  return f_.b.CreateAdd(sum, in_registers(16, kPmaddubsw, {codes, activations}));
}

llvm::Value *Ssse3Isa::look_up(llvm::Value *tables, llvm::Value *indices) {
  return in_registers(16, kPshufb, {tables, indices});
}

const std::vector<Instruction> &ssse3_instructions() {
  static const std::vector<Instruction> rows = {kPmaddubsw, kPshufb};
  return rows;
}

}  // namespace bittern::codegen
