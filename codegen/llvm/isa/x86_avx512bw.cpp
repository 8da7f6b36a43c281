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

class Avx512BwIsa : public Avx2Isa {
 public:
  using Avx2Isa::Avx2Isa;
  llvm::Value *accumulate(llvm::Value *sum, llvm::Value *codes, llvm::Value *activations) override {
    if (lanes_ < 64) return Avx2Isa::accumulate(sum, codes, activations);
    return f_.b.CreateAdd(sum, in_registers(64, kPmaddubsw, {codes, activations}));
  }
  llvm::Value *multiply_add_halves(llvm::Value *x, llvm::Value *y) override {
    if (lanes_ < 64) return Avx2Isa::multiply_add_halves(x, y);
    return in_registers(64, kPmaddwd, {x, y});
  }
};

}  // namespace

std::unique_ptr<Isa> make_avx512_bw(FunctionBuilder &f, unsigned lanes) {
  return std::make_unique<Avx512BwIsa>(f, lanes);
}

const std::vector<Instruction> &avx512_bw_instructions() {
  static const std::vector<Instruction> rows = {kPmaddubsw, kPmaddwd};
  return rows;
}

}  // namespace bittern::codegen
