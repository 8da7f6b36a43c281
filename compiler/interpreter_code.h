// The interpreter's instruction set: straight-line code over strips of lanes. A strip is a run of values of one index
// variable (the innermost of a definition, or a reduction's), so the cost of dispatch is shared by all lanes while
// every lane still sees each operation rounded on its own.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "compiler/ir.h"

namespace bittern::compiler {

inline constexpr int kLanes = 256;  // a multiple of 16, so that strips keep float sums' partials aligned

struct Code;

// A register is kLanes 32-bit values; integers, bools and floats share it as bits. A uniform register has one value.
struct Instruction {
  Op op = Op::IntConst;
  Type type = Type::I32;  // of the result; for comparisons, of the operands
  Type from = Type::I32;  // operand type of casts
  bool uniform = true;
  int dst = 0;
  std::vector<int> args;       // registers
  uint32_t bits = 0;           // constants, sizes and scalars
  int slot = -1;               // Var: slot of the variable. Load: number of the tensor. Reductions: the body's slot
  bool lane = false;           // Var: it is the strip's own variable
  std::shared_ptr<Code> body;  // of a reduction
  bool strips = false;         // reduction: the body is free of reductions and runs in strips of its variable
};

struct Code {
  std::vector<Instruction> instructions;
  std::vector<bool> uniform;  // by register
  std::vector<bool> lane;     // by register: holds the strip's variable itself
  int result = 0;
};

// Translates expressions of one kernel at fixed sizes and scalars.
class CodeBuilder {
 public:
  CodeBuilder(const KernelSpec &spec, const Sizes &sizes, const std::map<std::string, float> &scalars,
              const std::map<std::string, int> &tensor_numbers);

  // `slots` gives the slot of each variable in scope; `lane_slot` is the strip's variable, -1 for single values.
  std::shared_ptr<Code> build(const ExprPtr &expr, const std::map<std::string, int> &slots, int lane_slot);

  // Slots that the code may use in all.
  int slot_count() const { return next_slot_; }
  int new_slot() { return next_slot_++; }

 private:
  const KernelSpec &spec_;
  const Sizes &sizes_;
  const std::map<std::string, float> &scalars_;
  const std::map<std::string, int> &tensor_numbers_;
  int next_slot_ = 0;
};

}  // namespace bittern::compiler
