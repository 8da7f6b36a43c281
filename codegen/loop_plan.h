// Decides, from a kernel's definitions alone, how loops compute it: which locals are recomputed where they are
// read and which are kept, which loops are shared by several definitions, and which index the tiles divide. Plain IR
// in, plain data out: LLVM and Halide lower from the same plan.
#pragma once
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "codegen/linear.h"
#include "compiler/ir.h"
#include "schedules/schedule.h"

namespace bittern::codegen {

// One definition that is computed by loops of its own. Every index variable of a plan has a name of its own, except
// that definitions which share a loop share its variable.
struct Stage {
  const compiler::Tensor *tensor;
  std::vector<compiler::IndexVar> vars;  // by position in the tensor
  compiler::ExprPtr value;               // inlined locals substituted
  std::vector<size_t> order;             // positions, outermost loop first
  int tiled = -1;                        // position of the index that the tiles divide, -1: every tile does all of it
  size_t shared = 0;                     // how many of `order` are loops shared with other stages
};

// A loop shared by several stages, or one stage (with the rest of its loops).
struct Node {
  std::optional<size_t> stage;
  compiler::IndexVar var;
  bool tiled = false;
  std::vector<Node> children;
};

// A local that is kept in scratch memory: the positions that are stored, each with its greatest extent.
struct Buffer {
  std::vector<size_t> positions;
  std::vector<Linear> extents;
  Linear elements;
};

struct LoopPlan {
  int parallel = -1;  // index of the size parameter that tiles divide; -1: one tile does everything
  std::vector<Stage> stages;
  std::vector<Node> nest;
  std::map<std::string, Buffer> buffers;  // locals with no stored position are single values
};

// Throws Error when the schedule's choices do not fit the kernel.
LoopPlan plan_loops(const compiler::KernelSpec &spec, const compiler::Sizes &fixed,
                    const schedules::Schedule &schedule);

// The plan as text: its loops, what is kept, and what is computed where it is read.
std::string print_loop_plan(const LoopPlan &plan, const compiler::KernelSpec &spec);

}  // namespace bittern::codegen
