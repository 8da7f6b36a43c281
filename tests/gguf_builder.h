// GGUF files made by a test: metadata and tensors in the order they were added, every field open to be spoiled.
#pragma once
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/io/float_formats.h"
#include "runtime/model/gguf_file.h"
#include "runtime/model/gguf_names.h"
#include "tests/scratch_folder.h"

namespace bittern::test {

using runtime::GgmlType;
using runtime::GgufType;

template <typename T>
std::string le(T value) {
  std::string out(sizeof value, '\0');
  std::memcpy(out.data(), &value, sizeof value);
  return out;
}
inline std::string gguf_string(std::string_view text) { return le(uint64_t{text.size()}) + std::string(text); }

struct GgufBuilder {
  struct Key {
    std::string name;
    uint32_t type;
    std::string bytes;
  };
  struct Info {
    std::string name;
    std::vector<uint64_t> dims;  // fastest first
    uint32_t type;
    std::string data;
  };
  std::string magic = "GGUF";
  uint32_t version = 3;
  uint64_t alignment = 32;
  std::vector<Key> keys;
  std::vector<Info> tensors;

  Key &key(const std::string &name) {
    for (Key &k : keys) {
      if (k.name == name) return k;
    }
    return keys.emplace_back(Key{name, 0, {}});
  }
  void remove(const std::string &name) {
    std::erase_if(keys, [&](const Key &k) { return k.name == name; });
  }
  void set(const std::string &name, GgufType type, const std::string &bytes) {
    Key &k = key(name);
    k.type = static_cast<uint32_t>(type);
    k.bytes = bytes;
  }
  void u32(const std::string &name, uint32_t value) { set(name, GgufType::U32, le(value)); }
  void f32(const std::string &name, float value) { set(name, GgufType::F32, le(value)); }
  void boolean(const std::string &name, bool value) { set(name, GgufType::Bool, le(static_cast<uint8_t>(value))); }
  void string(const std::string &name, const std::string &value) { set(name, GgufType::String, gguf_string(value)); }
  // `items` are whole items, one after the other.
  void array(const std::string &name, GgufType type, uint64_t count, const std::string &items) {
    set(name, GgufType::Array, le(static_cast<uint32_t>(type)) + le(count) + items);
  }

  Info &tensor(const std::string &name) {
    for (Info &t : tensors) {
      if (t.name == name) return t;
    }
    return tensors.emplace_back();
  }
  void add(const std::string &name, const std::vector<uint64_t> &dims, uint32_t type, const std::string &data) {
    tensor(name) = {name, dims, type, data};
  }

  // `header_bytes` receives where the data begins, padding not counted.
  std::string bytes(size_t *header_bytes = nullptr) const {
    std::string out = magic + le(version) + le(uint64_t{tensors.size()}) + le(uint64_t{keys.size()});
    for (const Key &k : keys) out += gguf_string(k.name) + le(k.type) + k.bytes;
    uint64_t offset = 0;
    for (const Info &t : tensors) {
      out += gguf_string(t.name) + le(static_cast<uint32_t>(t.dims.size()));
      for (const uint64_t dim : t.dims) out += le(dim);
      out += le(t.type) + le(offset);
      offset += padded(t.data.size());
    }
    if (header_bytes) *header_bytes = out.size();
    out.resize(padded(out.size()));
    for (const Info &t : tensors) {
      out += t.data;
      out.resize(padded(out.size()));
    }
    return out;
  }
  size_t padded(size_t size) const { return (size + alignment - 1) / alignment * alignment; }
};

inline std::string f32_bytes(const std::vector<float> &values) {
  std::string out(values.size() * sizeof(float), '\0');
  std::memcpy(out.data(), values.data(), out.size());
  return out;
}

// f16 of a value that has one.
inline uint16_t f16_of(float value) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    if (runtime::f16_to_f32(static_cast<uint16_t>(bits)) == value) return static_cast<uint16_t>(bits);
  }
  throw std::runtime_error("no such f16");
}

inline std::vector<int8_t> random_trits(int64_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<int8_t> out(static_cast<size_t>(count));
  for (int8_t &trit : out) trit = static_cast<int8_t>(static_cast<int>(random() % 3) - 1);
  return out;
}

// I2_S in blocks of 128, as its description says: byte j of a block holds values j, 32 + j, 64 + j and 96 + j, the
// first in the top bits.
inline std::string i2s_bytes(const std::vector<int8_t> &trits, float scale) {
  std::string out(trits.size() / 4, '\0');
  for (size_t i = 0; i < trits.size(); ++i) {
    out[i / 128 * 32 + i % 32] |= static_cast<char>((trits[i] + 1) << (6 - 2 * (i % 128 / 32)));
  }
  out += le(scale);
  out.resize(trits.size() / 4 + 32);
  return out;
}

// A BitNet of two layers: hidden 128, ffn 256, 2 heads of 64, 1 KV head, vocabulary 16, all linear layers I2_S with
// scale 0.5.
inline GgufBuilder small_gguf(const std::string &architecture = "bitnet-b1.58") {
  GgufBuilder b;
  const std::string a = architecture + ".";
  b.string("general.architecture", architecture);
  b.u32(a + "context_length", 64);
  b.u32(a + "embedding_length", 128);
  b.u32(a + "block_count", 2);
  b.u32(a + "feed_forward_length", 256);
  b.u32(a + "attention.head_count", 2);
  b.u32(a + "attention.head_count_kv", 1);
  b.f32(a + "attention.layer_norm_rms_epsilon", 1e-5f);
  b.f32(a + "rope.freq_base", 500000);
  b.u32("tokenizer.ggml.bos_token_id", 1);
  b.u32("tokenizer.ggml.eos_token_id", 2);
  const auto ones = [&](const std::string &name, uint64_t size) {
    b.add(name, {size}, GgmlType::F32, f32_bytes(std::vector<float>(size, 1.0f)));
  };
  unsigned seed = 1;
  std::vector<float> embedding(16 * 128);
  for (size_t i = 0; i < embedding.size(); ++i) embedding[i] = static_cast<float>(i % 37) / 16 - 1;
  b.add("token_embd.weight", {128, 16}, GgmlType::F32, f32_bytes(embedding));
  ones("output_norm.weight", 128);
  for (const std::string layer : {"blk.0.", "blk.1."}) {
    const auto linear = [&](const std::string &name, uint64_t rows, uint64_t cols) {
      b.add(layer + name + ".weight", {cols, rows}, GgmlType::I2_S,
            i2s_bytes(random_trits(static_cast<int64_t>(rows * cols), seed++), 0.5f));
    };
    linear("attn_q", 128, 128);
    linear("attn_k", 64, 128);
    linear("attn_v", 64, 128);
    linear("attn_output", 128, 128);
    linear("ffn_gate", 256, 128);
    linear("ffn_up", 256, 128);
    linear("ffn_down", 128, 256);
    ones(layer + "attn_norm.weight", 128);
    ones(layer + "ffn_norm.weight", 128);
    if (architecture.starts_with("bitnet")) {
      ones(layer + "attn_sub_norm.weight", 128);
      ones(layer + "ffn_sub_norm.weight", 256);
    }
  }
  return b;
}

}  // namespace bittern::test
