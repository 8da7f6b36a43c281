// Which size parameters of a kernel may be cut into tiles for threads, read from its definitions alone: the schedule
// templates offer them as values and the loop generator uses the same list.
#pragma once
#include <vector>

#include "compiler/ir.h"

namespace bittern::schedules {

// Indices of the size parameters that are the extent of an index of every output, so that each output element belongs
// to exactly one tile; best choice first, and none that repeats reductions in every tile when another does not. Empty
// when no size divides all outputs: then one tile does everything.
std::vector<int> parallel_sizes(const compiler::KernelSpec &spec);

// The position of the index of `definition` that runs over size parameter `size`, or -1.
int index_over_size(const compiler::Definition &definition, const std::string &size);

}  // namespace bittern::schedules
