// AVX512-BW: the AVX2 instructions on 64 bytes, for processors that have no vpdpbusd (Skylake-X). Shorter vectors are
// AVX2's.
#include <llvm/IR/IntrinsicsX86.h>

#include "codegen/llvm/isa/rows.h"
#include "runtime/abi/kernel_abi.h"

namespace bittern::codegen {
namespace {

const Instruction kPmaddubsw{"pmaddubsw.512",
                             "vpmaddubsw",
                             BT_ISA_AVX512,
                             llvm::Intrinsic::x86_avx512_pmaddubs_w_512,
                             {},
                             meaning::multiply_add_bytes};
const Instruction kPmaddwd{"pmaddwd.512",
                           "vpmaddwd",
                           BT_ISA_AVX512,
                           llvm::Intrinsic::x86_avx512_pmaddw_d_512,
                           {},
                           meaning::multiply_add_halves};

const Instruction kPshufb{"pshufb.512",          "vpshufb", BT_ISA_AVX512, llvm::Intrinsic::x86_avx512_pshuf_b_512, {},
                          meaning::shuffle_bytes};

}  // namespace

llvm::Value *Avx512BwIsa::accumulate(llvm::Value *sum, llvm::Value *codes, llvm::Value *activations) {
  if (lanes_ < 64) return Avx2Isa::accumulate(sum, codes, activations);
  return f_.b.CreateAdd(sum, in_registers(64, kPmaddubsw, {codes, activations}));
}

llvm::Value *Avx512BwIsa::multiply_add_halves(llvm::Value *x, llvm::Value *y) {
  if (lanes_ < 64) return Avx2Isa::multiply_add_halves(x, y);
  return in_registers(64, kPmaddwd, {x, y});
}

llvm::Value *Avx512BwIsa::look_up(llvm::Value *tables, llvm::Value *indices) {
  if (lanes_ < 64) return Avx2Isa::look_up(tables, indices);
  return in_registers(64, kPshufb, {tables, indices});
}

const std::vector<Instruction> &avx512_bw_instructions() {
  static const std::vector<Instruction> rows = {kPmaddubsw, kPmaddwd, kPshufb};
  return rows;
}

}  // namespace bittern::codegen
