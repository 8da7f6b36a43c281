// NEON of every AArch64 processor: smlal into int16 lanes, widened by sadalp before they can overflow; schedules prove
// how long that is. Vectors of 32 bytes are two registers.
#include <llvm/IR/IntrinsicsAArch64.h>

#include "codegen/llvm/isa/rows.h"
#include "runtime/abi/kernel_abi.h"

namespace bittern::codegen {
namespace {

const Instruction kSmull{
    "smull.8h", "smull", BT_ISA_NEON, llvm::Intrinsic::aarch64_neon_smull, {{16, 8}}, meaning::multiply_long};
const Instruction kSaddlp{"saddlp.4s",        "saddlp",
                          BT_ISA_NEON,        llvm::Intrinsic::aarch64_neon_saddlp,
                          {{32, 4}, {16, 8}}, meaning::add_neighbours_long};
const Instruction kTbl{
    "tbl.16b", "tbl", BT_ISA_NEON, llvm::Intrinsic::aarch64_neon_tbl1, {{8, 16}}, meaning::look_up_or_zero};

// Lanes first, first + 2, ... of 32.
std::vector<int> alternate(int first) {
  std::vector<int> lanes;
  for (int lane = first; lane < 32; lane += 2) lanes.push_back(lane);
  return lanes;
}

}  // namespace

// Even bytes and odd bytes apart, so that lane i takes the products of bytes 2 i and 2 i + 1.
llvm::Value *NeonIsa::accumulate(llvm::Value *sum, llvm::Value *codes, llvm::Value *activations) {
  llvm::IRBuilder<> &b = f_.b;
  for (int parity = 0; parity < 2; ++parity) {
    const std::vector<int> lanes = alternate(parity);
    sum = b.CreateAdd(
        sum, in_registers(8, kSmull, {b.CreateShuffleVector(codes, lanes), b.CreateShuffleVector(activations, lanes)}));
  }
  return sum;
}

llvm::Value *NeonIsa::widen(llvm::Value *sum) { return in_registers(16, kSaddlp, {sum}); }

llvm::Value *NeonIsa::look_up(llvm::Value *tables, llvm::Value *indices) {
  return in_registers(16, kTbl, {tables, indices});
}

const std::vector<Instruction> &neon_instructions() {
  static const std::vector<Instruction> rows = {kSmull, kSaddlp, kTbl};
  return rows;
}

}  // namespace bittern::codegen
