// What instruction sets share, in plain IR.
#include "codegen/llvm/isa/isa.h"

#include <fmt/format.h>
#include <llvm/IR/Constants.h>
#include <llvm/IR/Intrinsics.h>

#include "compiler/error.h"

namespace bittern::codegen {

using llvm::Value;

llvm::FunctionType *type_of(const Instruction &row, llvm::LLVMContext &context) {
  std::vector<llvm::Type *> overloads;
  for (const Instruction::Shape &shape : row.overloads)
    overloads.push_back(llvm::FixedVectorType::get(llvm::Type::getIntNTy(context, shape.bits), shape.lanes));
  return llvm::Intrinsic::getType(context, row.intrinsic, overloads);
}

Value *emit(FunctionBuilder &f, const Instruction &row, const Values &operands) {
  if ((row.isa_needs & ~f.target.isa_needs) != 0)
    throw Error(fmt::format("target {} has no instruction {}", f.target.name, row.name));
  if (f.from_meanings()) return row.meaning(f.b, operands);
  std::vector<llvm::Type *> overloads;
  for (const Instruction::Shape &shape : row.overloads)
    overloads.push_back(f.vector(f.b.getIntNTy(shape.bits), shape.lanes));
  return f.call(row.intrinsic, overloads, operands);
}

llvm::Type *Isa::bytes() const { return f_.vector(f_.b.getInt8Ty(), lanes_); }
llvm::Type *Isa::halves() const { return f_.vector(f_.b.getInt16Ty(), lanes_ / 2); }
llvm::Type *Isa::words() const { return f_.vector(f_.b.getInt32Ty(), lanes_ / 4); }

namespace {

unsigned bytes_of(const Value *x) { return static_cast<unsigned>(x->getType()->getPrimitiveSizeInBits() / 8); }
unsigned lanes_of(const Value *x) { return llvm::cast<llvm::FixedVectorType>(x->getType())->getNumElements(); }

std::vector<int> counting(unsigned first, unsigned count) {
  std::vector<int> lanes(count);
  for (unsigned i = 0; i < count; ++i) lanes[i] = static_cast<int>(first + i);
  return lanes;
}

// Adds neighbouring lanes of x and y within 128-bit halves: vphaddd's pattern.
Value *add_neighbours(llvm::IRBuilder<> &b, Value *x, Value *y) {
  return b.CreateAdd(b.CreateShuffleVector(x, y, {0, 2, 8, 10, 4, 6, 12, 14}),
                     b.CreateShuffleVector(x, y, {1, 3, 9, 11, 5, 7, 13, 15}));
}

}  // namespace

Value *Isa::in_registers(unsigned register_bytes, const Values &operands,
                         const std::function<Value *(const Values &)> &operation) {
  const unsigned pieces = bytes_of(operands[0]) / register_bytes;
  if (pieces <= 1) return operation(operands);
  Values results;
  for (unsigned piece = 0; piece < pieces; ++piece) {
    Values own;
    for (Value *x : operands) {
      const unsigned lanes = lanes_of(x) / pieces;
      own.push_back(f_.b.CreateShuffleVector(x, counting(piece * lanes, lanes)));
    }
    results.push_back(operation(own));
  }
  while (results.size() > 1) {
    Values joined;
    for (size_t i = 0; i < results.size(); i += 2)
      joined.push_back(f_.b.CreateShuffleVector(results[i], results[i + 1], counting(0, 2 * lanes_of(results[i]))));
    results = joined;
  }
  return results[0];
}

Value *Isa::in_registers(unsigned register_bytes, const Instruction &row, const Values &operands) {
  return in_registers(register_bytes, operands, [&](const Values &own) { return codegen::emit(f_, row, own); });
}

Value *Isa::multiply_add_halves(Value *x, Value *y) { return meaning::multiply_add_halves(f_.b, {x, y}); }

Value *Isa::multiply_high(Value *x, Value *y) { return meaning::multiply_high(f_.b, {x, y}); }

Value *Isa::look_up(Value *tables, Value *indices) { return meaning::shuffle_bytes(f_.b, {tables, indices}); }

Value *Isa::accumulate_pair(Value *, Value *, Value *) {
  throw Error(fmt::format("target {} has no products of rows and tokens in pairs", f_.target.name));
}

Value *Isa::look_up_64(Value *, Value *) {
  throw Error(fmt::format("target {} has no look-up in tables of 64 bytes", f_.target.name));
}

// Shifts go by 16-bit lanes (x86 has no byte shift); the mask drops what crossed from the neighbouring byte.
Value *Isa::masked(Value *packed, int shift, uint8_t mask) {
  llvm::IRBuilder<> &b = f_.b;
  Value *shifted = packed;
  if (shift > 0)
    shifted = b.CreateBitCast(b.CreateLShr(b.CreateBitCast(packed, halves()), static_cast<uint64_t>(shift)), bytes());
  return b.CreateAnd(shifted, llvm::ConstantInt::get(bytes(), mask));
}

Value *Isa::field(Value *packed, int shift) { return masked(packed, shift, 3); }

Value *Isa::field(Value *packed, Value *shift) {
  llvm::IRBuilder<> &b = f_.b;
  Value *amount = b.CreateVectorSplat(lanes_of(packed) / 2, b.CreateTrunc(shift, b.getInt16Ty()));
  Value *shifted = b.CreateBitCast(b.CreateLShr(b.CreateBitCast(packed, halves()), amount), bytes());
  return b.CreateAnd(shifted, llvm::ConstantInt::get(bytes(), 3));
}

Value *Isa::sums_of(std::vector<Value *> v) {
  llvm::IRBuilder<> &b = f_.b;
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

}  // namespace bittern::codegen
