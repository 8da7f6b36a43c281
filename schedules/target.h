// What a target is: name, instruction-set bits, vector facts. ISA facts live in one table (target.cpp), nowhere else.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace bittern::schedules {

struct Target {
  std::string name;    // "x86-64", "x86-64-avx2", ...
  uint32_t isa_needs;  // BT_ISA_* bits of runtime/abi
  std::string llvm_triple;
  std::string llvm_cpu;  // "x86-64", "x86-64-v3", ...
  std::string llvm_features;
  std::string halide_target;  // for example "x86-64-linux-avx2-fma-f16c"; empty when Halide cannot
  std::string instructions;   // row of codegen/llvm/isa/registry.cpp: how codes and activations are multiplied
  int vector_bytes;
  int vector_registers;
  // Products of codes and activations that one accumulation adds to an int16 lane, whose bound legality proves; 0: sums
  // go straight to int32 lanes.
  int int16_products;
  int look_up_bytes = 32;  // of the longest vector of bytes that one instruction looks up
  int look_up_table = 16;  // bytes of the table that it looks them up in
  bool rounds;             // rounding to integers is an instruction
  bool half_floats;        // f16 to f32 and back are instructions
  bool ships;              // programs carry default kernels for it; others are for tuned machines and for bitnet-emit
};

const std::vector<Target> &targets();
// Throws Error that lists the known names.
const Target &find_target(const std::string &name);
// "x86_64", "aarch64": what the target's code is for.
std::string architecture(const Target &target);
// What every processor of an architecture runs: the first row of it. Throws Error that lists the known architectures.
const Target &baseline_target(const std::string &architecture);
// The widest target in the table that a machine with these BT_ISA_* bits (runtime::machine_isa()) can run.
const Target &host_target(uint32_t isa);

}  // namespace bittern::schedules
