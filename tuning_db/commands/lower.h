// bitnet-tune lower: one kernel on its way from text to machine code, so that a developer reads what each step did.
#pragma once
#include <string>
#include <vector>

namespace bittern::tuning {

struct LowerCommand {
  std::string shape, kernel_file;  // one of them: "NxK", weights of the built-in ternary product, or a kernel text
  std::string dims;                // "M=1,N=4096,K=4096"; the size that counts tokens is 1 unless given
  std::string schedule;            // printed form; empty: the target's default
  std::string target;              // empty: the widest that the machine runs
  std::string emit;                // a stage's name; empty: all that the schedule has
};

// Names of the stages in the order in which they happen: spec, plan, halide, ir, asm.
std::vector<std::string> lower_stages();

// Prints the stages to stdout and returns the exit status. Compiles only: the target may be one that this machine
// lacks. Throws Error that says why the kernel, the sizes, the target or the schedule will not do.
int run_lower(const LowerCommand &command);

}  // namespace bittern::tuning
