// The Halide side of the backend as the rest sees it, free of Halide's header: a kernel in, an object out.
#pragma once
#include <string>

#include "codegen/backend.h"
#include "codegen/halide/structure.h"

namespace bittern::codegen::halide {

// The function in `object` takes, in this order: a void pointer to the arena that halide_malloc draws from, every size
// as i32, every scalar as f32, `structure.prefix` indices as i32, the values of structure.extents as i32, the number of
// the first tile as i32, a halide_buffer_t per input tensor in ABI order, and one per output in ABI order, whose
// dimensions are the output's without the prefix, innermost first, each with min 0.
struct HalideCode {
  std::string object, assembly;
  std::string statement, ir;  // Halide's lowered statement and LLVM IR, when listings are asked for
  Linear scratch;             // bytes that halide_malloc may be asked for at once
};

// Throws Error when the kernel or schedule is out of reach, or with Halide's message.
HalideCode lower(const Request &request, const Structure &structure, int64_t tile, const std::string &function);

}  // namespace bittern::codegen::halide
