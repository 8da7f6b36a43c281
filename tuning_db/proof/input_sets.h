// The inputs every candidate is tried on, generated from a kernel's declarations alone: seeded random, the extremes of
// every accumulator, one-hot and zeros. A set fixes what each element type holds, so any kernel text gets all of them.
#pragma once
#include <string>
#include <vector>

#include "tuning_db/proof/array.h"

namespace bittern::tuning {

// Tiny and Special are for floats: signed zeros and denormals among ordinary values; infinities and NaN.
enum class Fill { Random, PlusOne, MinusOne, Extremes, OneHot, Zero, Greatest, Least, Tiny, Special };

struct InputSet {
  std::string name;
  Fill ternary, i8, real, index;  // per element type; `index` is for i32
};

// Row 0 is the seeded random set.
const std::vector<InputSet> &input_sets();

// The In tensors of a spec filled as the set says; the same for every machine and run.
Arrays make_inputs(const compiler::KernelSpec &spec, const compiler::Sizes &sizes, const InputSet &set);
// Scalars in ABI order: positive and small, since kernels take them as epsilons and scales.
std::vector<float> make_scalars(const compiler::KernelSpec &spec);

}  // namespace bittern::tuning
