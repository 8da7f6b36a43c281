// bitnet.cpp's GPU checkpoint in safetensors form: a folder with config.json (as for packed weights), the tokenizer,
// and model_state_int2.safetensors, which has the tensors of gpu/convert_checkpoint.py's model_state_int2.pt by the
// same names, types and shapes. Loading the .pt itself would run what it contains, so it is not read; a line of Python
// turns one into the other (docs/formats.md).
//
// Fused matrices: wqkv is q, k and v one below the other, w13 gate and up; weight_scale has four numbers, one for each
// part and zeros. Rows of q and k are interleaved within a head, since that program's RoPE turns neighbours.
#pragma once
#include <array>
#include <string>
#include <vector>

#include "runtime/model/model_source.h"

namespace bittern::runtime {

inline constexpr const char *kInt2File = "model_state_int2.safetensors";
inline constexpr int64_t kInt2Scales = 4;

struct Int2Matrix {
  const char *name;  // "layers.N." in front, ".weight" behind
  std::vector<Linear> parts;
};
const std::vector<Int2Matrix> &int2_matrices();

struct Int2Vector {
  Vector which;
  const char *name;
};
inline constexpr std::array<Int2Vector, 4> kInt2Vectors{{{Vector::InputNorm, "attention_norm.weight"},
                                                         {Vector::PostAttentionNorm, "ffn_norm.weight"},
                                                         {Vector::AttentionSubNorm, "attention.attn_sub_norm.weight"},
                                                         {Vector::FfnSubNorm, "feed_forward.ffn_sub_norm.weight"}}};
inline constexpr const char *kInt2Embedding = "tok_embeddings.weight", *kInt2Head = "output.weight",
                            *kInt2FinalNorm = "norm.weight";

}  // namespace bittern::runtime
