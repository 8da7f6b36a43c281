// Float tensors of safetensors files: their type, their elements, and a matrix of them as a source gives it.
#pragma once
#include <cstdint>

#include "runtime/model/model_source.h"
#include "runtime/model/safetensors.h"

namespace bittern::runtime {

// Throws Error naming the tensor when it is not F32, F16 or BF16.
DType float_type(const Tensor &tensor);

// A two-dimensional float tensor, its rows read in place. `tensor` must stay where it is.
FloatMatrix float_matrix(const Tensor &tensor);

}  // namespace bittern::runtime
