// The shared plan of a kernel as Halide and the thunk in front of it divide it: which loops are the thunk's, which
// index the tiles cut, which numbers the thunk computes for Halide.
#pragma once
#include <vector>

#include "codegen/backend.h"
#include "codegen/loop_plan.h"

namespace bittern::codegen::halide {

struct Plan {
  LoopPlan loops;
  bool one_nest = false;  // all outputs have the same indices and are computed in one loop nest
  // Loops that the thunk runs round the whole Halide function, outermost first; they are the first of every stage's
  // order. None where no local is kept: then nothing is gained by them.
  struct Loop {
    compiler::IndexVar var;
    bool tiled;
  };
  std::vector<Loop> outer;
  // Extents that depend on the caller's data through the outer loops' indices. Halide's reductions cannot load their
  // own extents, so the thunk computes these and passes them.
  std::vector<compiler::ExprPtr> extents;
  int64_t tile = 1;  // values of the parallel size in a tile

  // Positions of the indices of `stage` that Halide loops over, innermost first.
  std::vector<size_t> inner(const Stage &stage) const;
  // Whether Halide sees only the tile's part of the output index at `position`.
  bool cut(const Stage &stage, size_t position) const {
    return outer.empty() && stage.tensor->role == compiler::Role::Out && stage.tiled == static_cast<int>(position);
  }
  const Stage &stage_of(const compiler::Tensor &output) const;
};

// Throws Error when the kernel has no size parameter or, for the ternary templates, no contraction.
Plan make_plan(const Request &request);

}  // namespace bittern::codegen::halide
