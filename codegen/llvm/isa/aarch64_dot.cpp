// AArch64's sums straight into int32 lanes: sdot of the dot-product extension (Cortex-A55 and A76, Neoverse N1, Apple
// M1 and later), and smmla of the int8 matrix extension (Neoverse V1 and N2, Apple M2 and later), which takes two rows
// and two tokens at once.
#include <llvm/IR/IntrinsicsAArch64.h>

#include "codegen/llvm/isa/rows.h"
#include "runtime/abi/kernel_abi.h"

namespace bittern::codegen {
namespace {

const Instruction kSdot{
    "sdot.4s", "sdot", BT_ISA_DOTPROD, llvm::Intrinsic::aarch64_neon_sdot, {{32, 4}, {8, 16}}, meaning::dot_signed};
const Instruction kSmmla{"smmla.4s",         "smmla",
                         BT_ISA_I8MM,        llvm::Intrinsic::aarch64_neon_smmla,
                         {{32, 4}, {8, 16}}, meaning::matrix_multiply_signed};

class DotIsa : public NeonIsa {
 public:
  using NeonIsa::NeonIsa;
  llvm::Type *partial() const override { return words(); }
  llvm::Value *accumulate(llvm::Value *sum, llvm::Value *codes, llvm::Value *activations) override {
    return in_registers(16, kSdot, {sum, codes, activations});
  }
  llvm::Value *widen(llvm::Value *sum) override { return sum; }
};

class MatrixIsa : public DotIsa {
 public:
  using DotIsa::DotIsa;
  bool has_pairs() const override { return true; }

  // Lane 4 i + 2 j + t of the sum is row 2 i + j and token t: a register holds two rows of 8 k.
  llvm::Value *accumulate_pair(llvm::Value *sum, llvm::Value *codes, llvm::Value *activations) override {
    llvm::Value *repeated = f_.b.CreateShuffleVector(activations, repeat(16, 64));
    return in_registers(16, kSmmla, {sum, codes, repeated});
  }

 private:
  static std::vector<int> repeat(int period, int count) {
    std::vector<int> lanes;
    for (int lane = 0; lane < count; ++lane) lanes.push_back(lane % period);
    return lanes;
  }
};

}  // namespace

std::unique_ptr<Isa> make_neon_dot(FunctionBuilder &f, unsigned lanes) { return std::make_unique<DotIsa>(f, lanes); }
std::unique_ptr<Isa> make_neon_matrix(FunctionBuilder &f, unsigned lanes) {
  return std::make_unique<MatrixIsa>(f, lanes);
}

const std::vector<Instruction> &neon_dot_instructions() {
  static const std::vector<Instruction> rows = {kSdot};
  return rows;
}

const std::vector<Instruction> &neon_matrix_instructions() {
  static const std::vector<Instruction> rows = {kSmmla};
  return rows;
}

}  // namespace bittern::codegen
