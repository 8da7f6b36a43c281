// Instructions of targets as rows, each with an executable meaning: generic LLVM IR that gives the same bits. A
// schedule for any target can so be compiled for, and proved on, a machine that lacks the instructions; where a machine
// has them, a test holds every row to its meaning (tests/unit/codegen/instructions_test.cpp). The idea is Exo's
// (Ikarashi et al., PLDI 2022).
#pragma once
#include <string>
#include <vector>

#include "codegen/llvm/function_builder.h"

namespace bittern::codegen {

using Values = FunctionBuilder::Values;

struct Instruction {
  std::string name;      // unique: the assembler's word and the bits of its vectors, "pmaddubsw.256"
  std::string mnemonic;  // what assembly of a target that has it contains
  uint32_t isa_needs;    // BT_ISA_* bits
  unsigned intrinsic;    // llvm::Intrinsic::ID
  // Types that the intrinsic is overloaded on, as lanes of an integer's bits; most have none.
  struct Shape {
    unsigned bits, lanes;
  };
  std::vector<Shape> overloads;
  // The same result from the same operands, in IR without intrinsics of any target.
  llvm::Value *(*meaning)(llvm::IRBuilder<> &, const Values &);
};

// Every row of every instruction set.
const std::vector<Instruction> &instructions();

// The intrinsic's type for a row: what its operands and result are.
llvm::FunctionType *type_of(const Instruction &row, llvm::LLVMContext &context);

// Emits the instruction, or its meaning where the function is built from meanings. Throws Error when the target of the
// function has no such instruction.
llvm::Value *emit(FunctionBuilder &f, const Instruction &row, const Values &operands);

// Meanings that several instruction sets share. "Lanes" are of the operands, whatever their number.
namespace meaning {

// Unsigned bytes times signed bytes, neighbouring products added, saturated to int16 (pmaddubsw).
llvm::Value *multiply_add_bytes(llvm::IRBuilder<> &b, const Values &operands);
// int16 times int16, neighbouring products added in int32, wrapping (pmaddwd).
llvm::Value *multiply_add_halves(llvm::IRBuilder<> &b, const Values &operands);
// The upper halves of the products of unsigned int16 lanes (pmulhuw).
llvm::Value *multiply_high(llvm::IRBuilder<> &b, const Values &operands);
// {sums, unsigned bytes, signed bytes}, the bytes as int32 lanes: four products added to every sum, wrapping
// (vpdpbusd).
llvm::Value *dot_unsigned_signed(llvm::IRBuilder<> &b, const Values &operands);
// {table, indices}: in every 16 bytes, the byte of the table that an index's low four bits name, 0 where its highest
// bit is set (pshufb).
llvm::Value *shuffle_bytes(llvm::IRBuilder<> &b, const Values &operands);
// {table, indices} over the whole vector, whose length is a power of two; higher bits of an index are ignored (vpermb).
llvm::Value *permute_bytes(llvm::IRBuilder<> &b, const Values &operands);

// AArch64: signed bytes times signed bytes in int16 lanes (smull); neighbouring lanes added in lanes of twice the width
// (saddlp); {sums, bytes, bytes}: four products added to every int32 sum (sdot); {sums, bytes, bytes}: the products of
// two rows of 8 bytes with two rows of 8, sums of the first row first (smmla); {table, indices}: the byte of the 16
// that an index names, 0 where there is none (tbl).
llvm::Value *multiply_long(llvm::IRBuilder<> &b, const Values &operands);
llvm::Value *add_neighbours_long(llvm::IRBuilder<> &b, const Values &operands);
llvm::Value *dot_signed(llvm::IRBuilder<> &b, const Values &operands);
llvm::Value *matrix_multiply_signed(llvm::IRBuilder<> &b, const Values &operands);
llvm::Value *look_up_or_zero(llvm::IRBuilder<> &b, const Values &operands);

}  // namespace meaning
}  // namespace bittern::codegen
