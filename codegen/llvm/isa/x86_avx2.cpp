// AVX2: the SSSE3 instructions on 32 bytes.
#include <llvm/IR/IntrinsicsX86.h>

#include "codegen/llvm/isa/rows.h"
#include "runtime/abi/kernel_abi.h"

namespace bittern::codegen {
namespace {

const Instruction kPmaddubsw{
    "pmaddubsw.256", "vpmaddubsw", BT_ISA_AVX2, llvm::Intrinsic::x86_avx2_pmadd_ub_sw, {}, meaning::multiply_add_bytes};
const Instruction kPmaddwd{
    "pmaddwd.256", "vpmaddwd", BT_ISA_AVX2, llvm::Intrinsic::x86_avx2_pmadd_wd, {}, meaning::multiply_add_halves};
const Instruction kPmulhuw{"pmulhuw.256",         "vpmulhuw", BT_ISA_AVX2, llvm::Intrinsic::x86_avx2_pmulhu_w, {},
                           meaning::multiply_high};
const Instruction kPshufb{"pshufb.256",          "vpshufb", BT_ISA_AVX2, llvm::Intrinsic::x86_avx2_pshuf_b, {},
                          meaning::shuffle_bytes};

}  // namespace

llvm::Value *Avx2Isa::accumulate(llvm::Value *sum, llvm::Value *codes, llvm::Value *activations) {
  return f_.b.CreateAdd(sum, in_registers(32, kPmaddubsw, {codes, activations}));
}

llvm::Value *Avx2Isa::multiply_add_halves(llvm::Value *x, llvm::Value *y) { return in_registers(32, kPmaddwd, {x, y}); }

llvm::Value *Avx2Isa::multiply_high(llvm::Value *x, llvm::Value *y) { return in_registers(32, kPmulhuw, {x, y}); }

llvm::Value *Avx2Isa::look_up(llvm::Value *tables, llvm::Value *indices) {
  return in_registers(32, kPshufb, {tables, indices});
}

const std::vector<Instruction> &avx2_instructions() {
  static const std::vector<Instruction> rows = {kPmaddubsw, kPmaddwd, kPmulhuw, kPshufb};
  return rows;
}

}  // namespace bittern::codegen
