// How one linear layer's tensors in a Hugging Face file become trits and a scale.
#pragma once
#include <cstdint>

#include "runtime/model/hf_config.h"
#include "runtime/model/safetensors.h"

namespace bittern::runtime {

// Checks type and shape (`weight` must be `rows` x `cols` in the form that `meaning` says). Throws Error naming the
// tensor.
void check_ternary(const Tensor &weight, WeightMeaning meaning, int64_t rows, int64_t cols);

// The multiplier of packed weights, from their weight_scale tensor. Throws Error unless it is one finite positive
// float.
float packed_scale(const Tensor &weight_scale, WeightMeaning meaning);

// The quantiser of float masters: trit = clamp(round_half_even(w * inverse), -1, 1), W = trit / inverse. It is
// 1 / max(mean |w|, 1e-5) in float32, the mean summed in double over the whole matrix in a fixed order. Reads the whole
// tensor. Throws Error when an element is NaN or infinite.
float master_inverse_scale(const Tensor &weight);

// Trits of rows [row0, row0 + count). Throw Error for packed code 3.
void decode_packed(const Tensor &weight, int64_t rows, int64_t cols, int64_t row0, int64_t count, int8_t *out,
                   int64_t row_stride);
void decode_masters(const Tensor &weight, float inverse, int64_t cols, int64_t row0, int64_t count, int8_t *out,
                    int64_t row_stride);

// Elements [first, first + count) of a float tensor (F32, F16 or BF16) as float.
void read_floats(const Tensor &tensor, int64_t first, int64_t count, float *out);

}  // namespace bittern::runtime
