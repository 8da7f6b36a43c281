// What a kernel must satisfy before anything reads it: types, shapes, order of definition, and every index proved to
// lie inside its tensor for all sizes.
#pragma once
#include "compiler/ir.h"
#include "compiler/source.h"

namespace bittern::compiler {

// Throws Error naming the place (with the quoted line when `source` is given) and the reason.
void verify(const KernelSpec &spec, const Source *source = nullptr);

// Whether the kernel can run at these sizes: every size parameter given and at least 1, every `require` true, index
// arithmetic within i32, tensors of a sane size (2^40 elements), i32 sums and conversions proved (value_fault in
// bounds.h). Throws Error naming the size or the tensor, or the place in the text, quoted when `source` is given.
void check_sizes(const KernelSpec &spec, const Sizes &sizes, const Source *source = nullptr);

}  // namespace bittern::compiler
