// The operations of contraction kernels that differ between instruction sets, and the walk over packed units.
#include <llvm/IR/Constants.h>
#include <llvm/IR/IntrinsicsX86.h>

#include "codegen/llvm/contraction.h"
#include "compiler/error.h"
#include "schedules/layout.h"

namespace bittern::codegen {

using llvm::Value;

llvm::Type *PairArithmetic::bytes() const { return kb_.vector(kb_.b.getInt8Ty(), 32); }
llvm::Type *PairArithmetic::halves() const { return kb_.vector(kb_.b.getInt16Ty(), 16); }
llvm::Type *PairArithmetic::words() const { return kb_.vector(kb_.b.getInt32Ty(), 8); }

Value *PairArithmetic::pair_products(Value *codes, Value *activations) {
  llvm::IRBuilder<> &b = kb_.b;
  if (kb_.avx2()) return kb_.call(llvm::Intrinsic::x86_avx2_pmadd_ub_sw, {}, {codes, activations});
  // SSE2 has no byte multiply: even and odd bytes apart, as 16-bit lanes.
  Value *c = b.CreateBitCast(codes, halves()), *a = b.CreateBitCast(activations, halves());
  Value *even = b.CreateMul(b.CreateAnd(c, llvm::ConstantInt::get(halves(), 0xff)),
                            b.CreateAShr(b.CreateShl(a, uint64_t{8}), uint64_t{8}));
  Value *odd = b.CreateMul(b.CreateLShr(c, uint64_t{8}), b.CreateAShr(a, uint64_t{8}));
  return b.CreateAdd(even, odd);
}

Value *PairArithmetic::accumulate(Value *sum, Value *codes, Value *activations) {
  llvm::IRBuilder<> &b = kb_.b;
  if (!direct()) return b.CreateAdd(sum, pair_products(codes, activations));
  return kb_.call(llvm::Intrinsic::x86_avx512_vpdpbusd_256, {},
                  {sum, b.CreateBitCast(codes, words()), b.CreateBitCast(activations, words())});
}

Value *PairArithmetic::widen(Value *x) {
  llvm::IRBuilder<> &b = kb_.b;
  if (direct()) return x;
  if (kb_.avx2()) return kb_.call(llvm::Intrinsic::x86_avx2_pmadd_wd, {}, {x, llvm::ConstantInt::get(halves(), 1)});
  llvm::Type *eight = kb_.vector(b.getInt16Ty(), 8);
  Value *parts[2];
  for (int part = 0; part < 2; ++part) {
    std::vector<int> lanes;
    for (int lane = 0; lane < 8; ++lane) lanes.push_back(8 * part + lane);
    parts[part] = kb_.call(llvm::Intrinsic::x86_sse2_pmadd_wd, {},
                           {b.CreateShuffleVector(x, lanes), llvm::ConstantInt::get(eight, 1)});
  }
  return b.CreateShuffleVector(parts[0], parts[1], {0, 1, 2, 3, 4, 5, 6, 7});
}

// Shifts go by 16-bit lanes (there is no byte shift); the mask drops what crossed from the neighbouring byte.
Value *PairArithmetic::masked(Value *packed, int shift, uint8_t mask) {
  llvm::IRBuilder<> &b = kb_.b;
  Value *shifted = packed;
  if (shift > 0)
    shifted = b.CreateBitCast(b.CreateLShr(b.CreateBitCast(packed, halves()), static_cast<uint64_t>(shift)), bytes());
  return b.CreateAnd(shifted, llvm::ConstantInt::get(bytes(), mask));
}

Value *PairArithmetic::field(Value *packed, int shift) { return masked(packed, shift, 3); }

Value *PairArithmetic::field(Value *packed, Value *shift) {
  llvm::IRBuilder<> &b = kb_.b;
  Value *amount = b.CreateVectorSplat(16, b.CreateTrunc(shift, b.getInt16Ty()));
  Value *shifted = b.CreateBitCast(b.CreateLShr(b.CreateBitCast(packed, halves()), amount), bytes());
  return b.CreateAnd(shifted, llvm::ConstantInt::get(bytes(), 3));
}

namespace {

// Adds neighbouring lanes of x and y within 128-bit halves: vphaddd's pattern.
Value *add_neighbours(llvm::IRBuilder<> &b, Value *x, Value *y) {
  return b.CreateAdd(b.CreateShuffleVector(x, y, {0, 2, 8, 10, 4, 6, 12, 14}),
                     b.CreateShuffleVector(x, y, {1, 3, 9, 11, 5, 7, 13, 15}));
}

}  // namespace

Value *PairArithmetic::sums_of(std::vector<Value *> v) {
  llvm::IRBuilder<> &b = kb_.b;
  if (v.size() == 1) return b.CreateAddReduce(v[0]);
  if (v.size() == 2) {
    Value *pairs = add_neighbours(b, v[0], v[1]);
    Value *once = add_neighbours(b, pairs, pairs);
    return b.CreateAdd(b.CreateShuffleVector(once, {0, 1}), b.CreateShuffleVector(once, {4, 5}));
  }
  std::vector<Value *> fours;
  for (size_t i = 0; i < v.size(); i += 4)
    fours.push_back(add_neighbours(b, add_neighbours(b, v[i], v[i + 1]), add_neighbours(b, v[i + 2], v[i + 3])));
  if (fours.size() == 1)
    return b.CreateAdd(b.CreateShuffleVector(fours[0], {0, 1, 2, 3}), b.CreateShuffleVector(fours[0], {4, 5, 6, 7}));
  return b.CreateAdd(b.CreateShuffleVector(fours[0], fours[1], {0, 1, 2, 3, 8, 9, 10, 11}),
                     b.CreateShuffleVector(fours[0], fours[1], {4, 5, 6, 7, 12, 13, 14, 15}));
}

PackedWalk::PackedWalk(const std::string &layout_name) {
  const schedules::Layout &layout = schedules::find_layout(layout_name);
  quads = layout.k_tile == 16;
  rows_a_unit = quads ? 8 : 1;
  k_a_unit = layout.k_tile;
  interleave = layout.row_tile / rows_a_unit;
  if (layout.k_tile != 16 && layout.k_tile != 128)
    throw Error("layout " + layout_name + " is of no family that the contraction kernels walk");
}

}  // namespace bittern::codegen
