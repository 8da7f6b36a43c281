// The fast reference: what a kernel's outputs must be, computed by plain loops over the IR, a block of lanes at a time.
// It exists because interpreting 10^9 multiply-adds node by node takes minutes. It shares no code with codegen and
// none with the interpreter, to which tests prove it equal on small and odd shapes.
#pragma once
#include <string>
#include <vector>

#include "tuning_db/proof/array.h"

namespace bittern::tuning {

// Whether the fast reference can evaluate this kernel: every local's extents must depend on sizes alone.
bool reference_supports(const compiler::KernelSpec &spec);

// Every Given, Out and Local of the kernel. `threads` split the rows of large definitions. Throws Error when the spec
// is not supported or an index leaves its tensor.
Arrays reference_evaluate(const compiler::KernelSpec &spec, const compiler::Sizes &sizes, const Arrays &inputs,
                          const std::vector<float> &scalars, int threads = 1);

}  // namespace bittern::tuning
