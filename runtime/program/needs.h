// Which kernels a program needs and for which sizes: what a device chooses kernels for and what the tuner works on.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "runtime/program/program.h"

namespace bittern::runtime {

// A role at the sizes of a model. `sizes` are in the role's order; sizes[0], the number of tokens, is 1 here.
struct KernelNeed {
  StepId id;
  Role role;
  std::vector<int64_t> sizes;
};

// One for each id among the program's steps, ternary products first, the largest of them first.
std::vector<KernelNeed> kernel_needs(const Program &program);

// For the tuner: each need at each number of tokens, as a kernel name and named sizes. Needs of equal sizes appear
// once.
struct KernelProblem {
  std::string what, spec;
  std::vector<std::pair<std::string, int64_t>> sizes;
};
std::vector<KernelProblem> kernel_problems(const Program &program, const std::vector<int64_t> &m_values);
// Of the program that a model's file gives without options.
std::vector<KernelProblem> kernel_problems(const ModelSource &source, const std::vector<int64_t> &m_values);

}  // namespace bittern::runtime
