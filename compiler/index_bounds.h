// Proof that every index of every load lies inside its tensor for all sizes that the kernel's requirements allow.
#pragma once
#include "compiler/ir.h"
#include "compiler/source.h"

namespace bittern::compiler {

// `spec` has passed the structural checks of the verifier. Throws Error (see fail_at) at the first index, extent,
// divisor or shift that cannot be proved in range, with the bounds that were found.
void prove_index_bounds(const KernelSpec &spec, const Source &source);

}  // namespace bittern::compiler
