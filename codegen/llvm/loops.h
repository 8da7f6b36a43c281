// The llvm.loops template: lowers any verified kernel.
#pragma once
#include "codegen/llvm/kernel_builder.h"

namespace bittern::codegen {

// Parameters: rows, tokens (sums that advance together), prefetch (bytes ahead), unroll, parallel (index of the size
// that tiles divide), tile. See schedules/templates_llvm_loops.cpp.
void emit_loops(KernelBuilder &builder);

}  // namespace bittern::codegen
