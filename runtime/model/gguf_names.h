// Names and type numbers that GGUF readers and writers share: tensors as llama.cpp's TensorNameMap calls them, the
// norms inside linear layers as bitnet.cpp's utils/convert-bitnet-embedding-to-gguf.py does, types as ggml.h of
// llama.cpp, bitnet.cpp's fork of it and ik_llama.cpp number them.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/model/model_source.h"

namespace bittern::runtime {

// A number alone does not name a type: forks gave the same number to different ones (39: TL2 of bitnet.cpp, MXFP4 of
// llama.cpp; 42: Q2_0 of llama.cpp, TL2 of bitnet.cpp since 2026; 36: I2_S, and in 2024 a kind of IQ4_NL).
struct GgmlType {
  static constexpr uint32_t F32 = 0, F16 = 1, Q4_0 = 2, Q8_0 = 8, Q6_K = 14, BF16 = 30, TQ1_0 = 34, TQ2_0 = 35,
                            I2_S = 36, TL1 = 38, TL2 = 39, Q2_0 = 42, TL2_2026 = 42, IQ1_BN = 134, IQ2_BN = 135,
                            PQ2_0 = 142, IQ2_BN_R4 = 335;
};

inline constexpr std::string_view kGgufLayers = "blk.";
inline constexpr std::string_view kGgufEmbedding = "token_embd.weight", kGgufHead = "output.weight";
inline constexpr std::string_view kGgufRopeFactors = "rope_freqs.weight";

// In the order of Linear and Vector; final_norm stands outside the layers.
inline constexpr std::array<std::string_view, kLinearCount> kGgufLinears{"attn_q",   "attn_k", "attn_v",  "attn_output",
                                                                         "ffn_gate", "ffn_up", "ffn_down"};
inline constexpr std::array<std::string_view, kVectorCount> kGgufVectors{
    "attn_norm",   "ffn_norm",    "attn_sub_norm",       "ffn_sub_norm", "output_norm",
    "attn_q_norm", "attn_k_norm", "post_attention_norm", "post_ffw_norm"};

inline std::string gguf_layer_name(int64_t layer, std::string_view part) {
  return std::string(kGgufLayers) + std::to_string(layer) + "." + std::string(part) + ".weight";
}
inline std::string gguf_name(int64_t layer, Linear which) {
  return gguf_layer_name(layer, kGgufLinears[static_cast<size_t>(which)]);
}
inline std::string gguf_name(int64_t layer, Vector which) {
  const std::string_view part = kGgufVectors[static_cast<size_t>(which)];
  return which == Vector::FinalNorm ? std::string(part) + ".weight" : gguf_layer_name(layer, part);
}
// The norm inside a linear layer.
inline std::string gguf_norm_in_name(int64_t layer, Linear which) {
  return gguf_layer_name(layer, std::string(kGgufLinears[static_cast<size_t>(which)]) + "_norm_in");
}

}  // namespace bittern::runtime
