// What every backend says about a kernel in the same way.
#pragma once
#include "codegen/backend.h"

namespace bittern::codegen {

// The descriptor of a request, all but what the chosen code decides: tile_size_index, tile and scratch.
Descriptor describe(const Request &request);

}  // namespace bittern::codegen
