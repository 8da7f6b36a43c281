// The steps of planning loops, one file each; loop_plan.cpp runs them.
#pragma once
#include <set>
#include <string>
#include <vector>

#include "codegen/loop_plan.h"

namespace bittern::codegen {

// loop_stages.cpp: locals that are recomputed where they are read, and the definitions that remain, every index
// variable under a name of its own.
std::set<std::string> tensors_to_inline(const compiler::KernelSpec &spec);
std::vector<Stage> make_stages(const compiler::KernelSpec &spec, const std::set<std::string> &inlined);
// Loads of a tensor in a stage's value and extents.
std::vector<const compiler::Expr *> loads_of(const Stage &stage, const std::string &tensor);

// loop_storage.cpp: gives every kept local its buffer. Returns one that cannot have any; empty when all have.
std::string choose_buffers(const compiler::KernelSpec &spec, const compiler::Sizes &fixed, LoopPlan &plan);

}  // namespace bittern::codegen
