// The two halves of a kernel of this backend, as the rest sees them, free of Halide's header: what Halide compiles, and
// the C ABI in front of it.
#pragma once
#include <string>

#include "codegen/backend.h"
#include "codegen/halide/plan.h"

namespace bittern::codegen::halide {

struct Code {
  std::string object, assembly;
  std::string statement, ir;  // Halide's lowered statement and LLVM IR, when listings are asked for
};

// A function that takes, in this order: a void pointer to the arena that halide_malloc draws from, every size as i32,
// every scalar as f32, the indices of plan.outer as i32, the values of plan.extents as i32, the number of the first
// tile as i32, a halide_buffer_t per input tensor in ABI order, and one per output in ABI order, whose dimensions are
// plan.inner, each with min 0. Adds to the descriptor's scratch memory what halide_malloc may be asked for at once.
// Throws Error when the kernel or schedule is out of reach, or with Halide's message.
Code lower(const Request &request, const Plan &plan, const std::string &function, Descriptor &descriptor);

// `void symbol(const bt_args *)`: builds halide_buffer_t structs on the stack, runs the plan's outer loops, calls
// `function` and zero-fills the padding of padded outputs. With `allocator` the object also defines <symbol>_malloc and
// <symbol>_free, hidden, which hand out the call's scratch. Uses descriptor.tile and tile_size_index.
Code make_thunk(const Request &request, const Plan &plan, Descriptor &descriptor, const std::string &function,
                bool allocator);

}  // namespace bittern::codegen::halide
