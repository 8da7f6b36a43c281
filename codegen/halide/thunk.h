// The C ABI in front of a Halide function: `void symbol(const bt_args *)`.
#pragma once
#include <string>

#include "codegen/backend.h"
#include "codegen/halide/structure.h"

namespace bittern::codegen::halide {

struct ThunkCode {
  std::string object, assembly;
};

// Builds halide_buffer_t structs on the stack, runs the loops over the structure's prefix, zero-fills the padding of
// padded outputs and calls `function` (see pipeline.h for its arguments). With `allocator` the object also defines
// <symbol>_malloc and <symbol>_free, hidden, which hand out the call's scratch. Uses descriptor.tile and
// tile_size_index.
ThunkCode make_thunk(const Request &request, const Structure &structure, Descriptor &descriptor,
                     const std::string &function, bool allocator);

}  // namespace bittern::codegen::halide
