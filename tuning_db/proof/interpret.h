// The interpreter's results in the proof's own arrays.
#pragma once
#include <vector>

#include "tuning_db/proof/array.h"

namespace bittern::tuning {

// Every Given and Out of the kernel, by compiler/interpreter.h.
Arrays interpret_arrays(const compiler::KernelSpec &spec, const compiler::Sizes &sizes, const Arrays &inputs,
                        const std::vector<float> &scalars);

}  // namespace bittern::tuning
