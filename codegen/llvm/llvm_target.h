// What LLVM must know of a target: for which processor it compiles, and which instructions the emitters may count on.
#pragma once
#include "schedules/target.h"

namespace bittern::codegen {

struct LlvmTarget {
  const char *name;  // of the target
  const char *triple, *cpu, *features;
  const char *instructions;  // row of isa/registry.cpp: how codes and activations are multiplied
  bool rounds;               // rounding to integers is an instruction
  bool half_floats;          // f16 to f32 and back are instructions
};

// Throws Error for a target without a row.
const LlvmTarget &llvm_target(const schedules::Target &target);

}  // namespace bittern::codegen
