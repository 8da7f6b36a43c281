// Weights must be numbers: one NaN or infinity in an embedding makes every logit of every text one, and each command
// would say so in its own words or not at all. So rows are looked at where they are read, while they are in the cache.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "runtime/model/model_source.h"

namespace bittern::runtime {

// Calls `fail` with "element N is nan" and the byte offset of that element in its tensor for the first of `count`
// values of `dtype` at `values` (any alignment) that is NaN or infinite. `first` is the first value's N.
void require_finite(const void *values, DType dtype, int64_t first, int64_t count,
                    const std::function<void(const std::string &what, uint64_t offset)> &fail);

}  // namespace bittern::runtime
