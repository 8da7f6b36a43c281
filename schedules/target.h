// What a target is: a name, instruction-set bits, and the facts that every schedule goes by. What only some need to
// know of it is in tables of their own: schedules/ternary_facts.cpp (products and look-ups),
// codegen/llvm/llvm_target.cpp, codegen/halide/halide_target.cpp.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace bittern::schedules {

struct Target {
  std::string name;          // "x86-64", "x86-64-avx2", ...
  uint32_t isa_needs;        // BT_ISA_* bits of runtime/abi
  std::string architecture;  // "x86_64", "aarch64"
  int vector_bytes;
  int vector_registers;
  bool built_in;  // programs carry default kernels for it; others are for tuned machines and for bitnet-emit
};

const std::vector<Target> &targets();
// Throws Error that lists the known names.
const Target &find_target(const std::string &name);
// What every processor of an architecture runs: the first row of it. Throws Error that lists the known architectures.
const Target &baseline_target(const std::string &architecture);
// The widest target in the table that a machine with these BT_ISA_* bits (runtime::machine_isa()) can run.
const Target &host_target(uint32_t isa);

}  // namespace bittern::schedules
