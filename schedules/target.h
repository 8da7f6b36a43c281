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
  int vector_bytes;
  int vector_registers;
};

const std::vector<Target> &targets();
// Throws Error that lists the known names.
const Target &find_target(const std::string &name);
// The widest target in the table that this machine can run.
const Target &host_target();

}  // namespace bittern::schedules
