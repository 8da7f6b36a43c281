// Float tensors of GGUF files: embedding, head, norms, and linear layers of files that nobody quantised. F32, F16 and
// BF16 are used as they are; Q8_0, Q6_K and Q4_0 are widened to F32, exactly as ggml's quants dequantise them.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/model/gguf_file.h"
#include "runtime/model/model_source.h"
#include "runtime/model/safetensors.h"

namespace bittern::runtime {

// A matrix of `rows` x `cols`. Throws Error naming the tensor when its shape is another one, its type is none of these,
// or its bytes are not all there. The tensor must outlive the result. Rows with a scale that is not finite throw when
// they are read.
FloatMatrix gguf_float_matrix(const GgufTensor &tensor, int64_t rows, int64_t cols);

// A vector of `size` finite values of type F32, F16 or BF16.
void check_gguf_vector(const GgufTensor &tensor, int64_t size);
std::vector<float> read_gguf_vector(const GgufTensor &tensor);

// Whether the type is F32, F16 or BF16; as the same kind of tensor that safetensors files have.
bool is_plain_float(uint32_t type);
Tensor as_plain_tensor(const GgufTensor &tensor);

// What a linear layer's plain floats mean. A matrix whose values are -s, 0 and s for one s is a ternary matrix that was
// written as floats (f16 and f32 files of BitNet models): s. Any other holds the masters that training leaves, whose
// scale is their absolute mean: 0. Reads the whole tensor. Throws Error for values that are not finite, and when all
// are 0.
float ternary_magnitude(const Tensor &tensor);

}  // namespace bittern::runtime
