// How a kernel divides between the generated thunk and Halide: which index variables the thunk's loops run over, which
// one the tiles cut, which intermediates get storage. Pure reading of the IR, shared by both sides.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "compiler/ir.h"

namespace bittern::codegen::halide {

// A bound on a number of elements, linear in the size parameters: base + sum of per[i] * sizes[i].
struct Linear {
  int64_t base = 0;
  std::vector<int64_t> per;
  bool loaded =
      false;  // follows from values in tensors: Halide cannot know the true number, even when this is constant
};

struct Structure {
  std::vector<const compiler::Definition *> definitions;  // without the givens', which the caller supplies
  // The outermost `prefix` variables of every definition are the same indices; the thunk loops over them and Halide
  // sees one value of each. 0 when Halide loops over all of every output.
  size_t prefix = 0;
  bool one_nest = false;  // all outputs have the same indices and are computed in one loop nest
  // Position of the variable that tiles cut: below `prefix` the thunk's loop does it, else Halide's outputs cover the
  // tile range only. -1: one tile does everything.
  int parallel = -1;
  int tile_size_index = 0;
  // Extents that depend on the caller's data through the prefix indices. Halide's reductions cannot load their own
  // extents, so the thunk computes these and passes them. The prefix variables are named "0", "1", ...
  std::vector<compiler::ExprPtr> extents;
  // Locals that are computed into memory; the others are expanded where they are used.
  std::vector<std::string> stored;

  bool is_stored(const std::string &tensor) const;
};

// With `weights_stream` (the ternary templates) the outputs are one nest cut along the innermost index wherever their
// indices allow, even if that repeats the work of small locals. Throws Error when the kernel has no size parameter.
Structure analyse(const compiler::KernelSpec &spec, bool weights_stream);

// Whether the value contains a reduction, in itself or through locals that are expanded where they are used.
bool expands_to_reduction(const compiler::KernelSpec &spec, const Structure &structure, const compiler::ExprPtr &value);

// The position in structure.extents of an extent, whose variables `prefix` maps to positions in the prefix; -1 if none.
int find_extent(const Structure &structure, const compiler::ExprPtr &extent, const std::map<std::string, int> &prefix);

// An upper bound of an i32 expression of sizes, constants, index variables and ranged tensors, with fixed sizes
// replaced. Throws Error naming the expression when there is no linear one.
Linear upper_bound(const compiler::KernelSpec &spec, const compiler::Sizes &fixed, const compiler::ExprPtr &value);

// Product and sum of bounds; the product throws Error when both depend on sizes.
Linear multiply(const Linear &a, const Linear &b);
Linear add(const Linear &a, const Linear &b);

}  // namespace bittern::codegen::halide
