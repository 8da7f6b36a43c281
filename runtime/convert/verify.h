// Compares two models weight for weight: what --verify does with a result and its source.
#pragma once
#include <cstdint>
#include <string>

#include "runtime/convert/conversion.h"

namespace bittern::runtime {

struct Comparison {
  int64_t trits = 0, scales = 0, norms = 0, floats = 0;  // how many were compared, all equal bit for bit
};

// Throws Error "PATH: what differs, where" at the first difference of `result` from the source: the configuration's
// numbers, trits, scales, norms, embedding and head. Embedding and head may have another dtype if the values are equal.
Comparison compare_models(const Conversion &conversion, const ModelSource &result);

}  // namespace bittern::runtime
