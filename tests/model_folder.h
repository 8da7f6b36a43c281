// Small Hugging Face folders made by a test: a BitNetForCausalLM of two layers with every tensor the runtime needs,
// to be changed before it is written. Also safetensors files from a header and data.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/scratch_folder.h"

namespace bittern::test {

using nlohmann::json;

struct TestTensor {
  std::string dtype;
  std::vector<int64_t> shape;
  std::string bytes;
};
using TestTensors = std::map<std::string, TestTensor>;

// Length field, header, data.
inline std::string safetensors_bytes(const std::string &header, const std::string &data = "") {
  std::string out;
  for (int i = 0; i < 8; ++i) out += static_cast<char>(header.size() >> (8 * i) & 0xff);
  return out + header + data;
}

inline std::string safetensors_bytes(const TestTensors &tensors) {
  json header = {{"__metadata__", {{"format", "pt"}}}};
  std::string data;
  for (const auto &[name, tensor] : tensors) {
    header[name] = {{"dtype", tensor.dtype},
                    {"shape", tensor.shape},
                    {"data_offsets", {data.size(), data.size() + tensor.bytes.size()}}};
    data += tensor.bytes;
  }
  return safetensors_bytes(header.dump(), data);
}

inline std::string bf16_bytes(const std::vector<uint16_t> &bits) {
  std::string out;
  for (const uint16_t value : bits) {
    out += static_cast<char>(value & 0xff);
    out += static_cast<char>(value >> 8);
  }
  return out;
}

// hidden 8, ffn 12, 2 layers, 2 heads of 4, 1 KV head, vocabulary 16.
inline json small_config() {
  return {{"architectures", {"BitNetForCausalLM"}},
          {"model_type", "bitnet"},
          {"vocab_size", 16},
          {"hidden_size", 8},
          {"intermediate_size", 12},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 2},
          {"num_key_value_heads", 1},
          {"max_position_embeddings", 64},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 500000.0},
          {"hidden_act", "relu2"},
          {"tie_word_embeddings", true},
          {"bos_token_id", 1},
          {"eos_token_id", 2},
          {"quantization_config",
           {{"quant_method", "bitnet"}, {"linear_class", "autobitlinear"}, {"quantization_mode", "offline"}}}};
}

inline TestTensors small_tensors() {
  TestTensors out;
  const auto ones = [](int64_t count) { return bf16_bytes(std::vector<uint16_t>(static_cast<size_t>(count), 0x3f80)); };
  const auto vector = [&](const std::string &name, int64_t size) { out[name] = {"BF16", {size}, ones(size)}; };
  const auto linear = [&](const std::string &name, int64_t rows, int64_t cols) {
    // All four trits of a byte differ in a way that depends on its place: 0x00, 0x55, 0xaa and mixtures.
    std::string bytes;
    for (int64_t i = 0; i < rows / 4 * cols; ++i)
      bytes += static_cast<char>(i * 37 % 3 | (i % 3) << 2 | (i / 2 % 3) << 6);
    out[name + ".weight"] = {"U8", {rows / 4, cols}, bytes};
    out[name + ".weight_scale"] = {"BF16", {1}, bf16_bytes({0x3f00})};  // 0.5
  };
  for (const char *layer : {"model.layers.0.", "model.layers.1."}) {
    const std::string p = layer;
    linear(p + "self_attn.q_proj", 8, 8);
    linear(p + "self_attn.k_proj", 4, 8);
    linear(p + "self_attn.v_proj", 4, 8);
    linear(p + "self_attn.o_proj", 8, 8);
    linear(p + "mlp.gate_proj", 12, 8);
    linear(p + "mlp.up_proj", 12, 8);
    linear(p + "mlp.down_proj", 8, 12);
    vector(p + "input_layernorm.weight", 8);
    vector(p + "post_attention_layernorm.weight", 8);
    vector(p + "self_attn.attn_sub_norm.weight", 8);
    vector(p + "mlp.ffn_sub_norm.weight", 12);
  }
  vector("model.norm.weight", 8);
  out["model.embed_tokens.weight"] = {"BF16", {16, 8}, ones(16 * 8)};
  return out;
}

// A folder with that model.
struct SmallModel {
  json config = small_config();
  TestTensors tensors = small_tensors();
  ScratchFolder folder;

  // Writes both files; returns the folder's path.
  const std::string &write() const {
    folder.write("config.json", config.dump());
    folder.write("model.safetensors", safetensors_bytes(tensors));
    return folder.root();
  }
};

}  // namespace bittern::test
