// The operations of kernels on codes and int8 activations that differ between instruction sets. One thin file per
// instruction set implements them with its rows of instructions; registry.cpp lists the files. What all share is plain
// IR (isa.cpp). Everything wraps or is exact; a schedule's legality says how many products an int16 lane may hold.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "codegen/llvm/isa/instruction.h"

namespace bittern::codegen {

class Isa {
 public:
  // Vectors of `lanes` bytes, 32 or 64.
  Isa(FunctionBuilder &f, unsigned lanes) : f_(f), lanes_(lanes) {}
  virtual ~Isa() = default;
  Isa(const Isa &) = delete;
  Isa &operator=(const Isa &) = delete;

  // A vector of codes or activations, and the same as int16 and int32 lanes. LLVM splits it where registers are
  // shorter.
  unsigned lanes() const { return lanes_; }
  llvm::Type *bytes() const;   // <32 x i8>, or <64 x i8>
  llvm::Type *halves() const;  // <16 x i16>, or <32 x i16>
  llvm::Type *words() const;   // <8 x i32>, or <16 x i32>

  // What products are added to before widen(): int16 lanes, each taking TernaryFacts::int16_products products an
  // accumulate(), or int32 lanes when that is 0. Which lane takes which product is the instruction set's choice, as
  // long as widen() knows it.
  virtual llvm::Type *partial() const = 0;
  // `sum` (a partial) with 32 or 64 more products; codes are unsigned, at most 8, activations signed.
  virtual llvm::Value *accumulate(llvm::Value *sum, llvm::Value *codes, llvm::Value *activations) = 0;
  // A partial as words: lane i is the sum of the products of bytes 4 i .. 4 i + 3.
  virtual llvm::Value *widen(llvm::Value *sum) = 0;

  // Whether one instruction multiplies two rows by two tokens, and that: `codes` (<64 x i8>) are 8 k of each of 8 rows,
  // `activations` (<16 x i8>) 8 k of each of two tokens, `sum` <16 x i32>, lane 2 r + t for row r and token t.
  virtual bool has_pairs() const { return false; }
  virtual llvm::Value *accumulate_pair(llvm::Value *sum, llvm::Value *codes, llvm::Value *activations);

  // int16 lanes to half as many int32 lanes: x[2 i] * y[2 i] + x[2 i + 1] * y[2 i + 1], wrapping. Of 8, 16 or 32 lanes.
  virtual llvm::Value *multiply_add_halves(llvm::Value *x, llvm::Value *y);
  // The upper halves of products of unsigned int16 lanes. Of 8 or 16 lanes.
  virtual llvm::Value *multiply_high(llvm::Value *x, llvm::Value *y);
  // Table look-up: byte i of the result is tables[i / 16 * 16 + indices[i]]. Indices lie in 0 .. 15. Vectors of a
  // multiple of 16 bytes; every 16 bytes have a table of their own.
  virtual llvm::Value *look_up(llvm::Value *tables, llvm::Value *indices);
  // Look-up in a table of 64 bytes: table and indices are <64 x i8>, byte i is table[indices[i]], indices in 0 .. 63.
  // Only where TernaryFacts::look_up_table says that one instruction does it.
  virtual llvm::Value *look_up_64(llvm::Value *table, llvm::Value *indices);

  // Lane r: the sum of vector r's lanes. `vectors`: 1, 2, 4 or 8 of <8 x i32>; gives an i32 or as many lanes.
  virtual llvm::Value *sums_of(std::vector<llvm::Value *> vectors);

  // 2-bit field of every byte, moved down to bits 0 and 1; `shift` is a constant or an i64 below 8.
  llvm::Value *field(llvm::Value *packed, int shift);
  llvm::Value *field(llvm::Value *packed, llvm::Value *shift);
  // The bytes masked, the 16-bit lanes first shifted right: a field that keeps its place in the byte.
  llvm::Value *masked(llvm::Value *packed, int shift, uint8_t mask);

 protected:
  // `operation` on the operands' pieces of `register_bytes`, joined again: where LLVM's intrinsic is of one width only.
  llvm::Value *in_registers(unsigned register_bytes, const Values &operands,
                            const std::function<llvm::Value *(const Values &)> &operation);
  // The same with a row of instructions.
  llvm::Value *in_registers(unsigned register_bytes, const Instruction &row, const Values &operands);

  FunctionBuilder &f_;
  unsigned lanes_;
};

// The instruction set that the function's target names (LlvmTarget::instructions), for vectors of `lanes` bytes. Throws
// Error that lists the known ones.
std::unique_ptr<Isa> make_isa(FunctionBuilder &f, unsigned lanes = 32);

// A row of the registry: a name that targets use, the class, and its instructions.
struct IsaRow {
  const char *name;
  std::unique_ptr<Isa> (*make)(FunctionBuilder &, unsigned lanes);
  const std::vector<Instruction> &(*instructions)();
};
const std::vector<IsaRow> &isa_registry();

}  // namespace bittern::codegen
