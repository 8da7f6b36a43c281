// Where a model's numbers come from: a Hugging Face folder, later GGUF, or synthetic weights of true shape. The engine
// sees only this interface; the meaning of weight scales, packing and dtypes is settled behind it.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace bittern::runtime {

enum class Activation { Relu2, Silu, GeluTanh };
enum class DType { F32, F16, BF16 };

// The shape and numerics of a model, from config.json and generation_config.json.
struct ModelConfig {
  std::string architecture;  // "BitNetForCausalLM"
  int64_t vocab = 0, hidden = 0, ffn = 0, layers = 0, heads = 0, kv_heads = 0, head_dim = 0, max_positions = 0;
  float rms_eps = 1e-5f;
  double rope_theta = 10000;
  Activation activation = Activation::Relu2;
  bool tied_head = false;
  bool sub_norms = true;  // attn_sub_norm and ffn_sub_norm
  int32_t bos = -1;
  std::vector<int32_t> eos;  // generation_config.json, else config.json
  // generation_config.json's sampling, used when no sampling flag is given.
  struct Generation {
    bool do_sample = false;
    float temperature = 1, top_p = 1, min_p = 0, repetition_penalty = 1;
    int top_k = 0;
  } generation;
};

enum class Linear { Q, K, V, O, Gate, Up, Down };
enum class Vector { InputNorm, PostAttentionNorm, AttentionSubNorm, FfnSubNorm, FinalNorm };

// One ternary matrix [rows, cols] with a single multiplier: W = scale * trits.
struct TernaryMatrix {
  int64_t rows = 0, cols = 0;
  float scale = 0;
  // Writes trits of rows [row0, row0 + count) to out, row_stride apart. Thread-safe; throws Error for a value that is
  // not a trit. Valid as long as the source.
  std::function<void(int64_t row0, int64_t count, int8_t *out, int64_t row_stride)> decode;
};

// Raw rows of a float matrix in the file (embedding, head).
struct FloatMatrix {
  int64_t rows = 0, cols = 0;
  DType dtype = DType::BF16;
  const uint8_t *data = nullptr;  // row-major, possibly unaligned; null when `fill` makes the rows instead
  std::function<void(int64_t row0, int64_t count, void *out)> fill;  // writes rows in `dtype`; always set; thread-safe
  // Drops the source's pages of these rows once they were copied; empty when there is nothing to drop. Thread-safe.
  std::function<void(int64_t row0, int64_t count)> release;
};

class ModelSource {
 public:
  virtual ~ModelSource() = default;
  virtual const ModelConfig &config() const = 0;
  // For float masters this reads the whole matrix (its scale is their mean). Thread-safe.
  virtual TernaryMatrix linear(int64_t layer, Linear which) const = 0;
  virtual std::vector<float> vector(int64_t layer, Vector which) const = 0;  // layer ignored for FinalNorm
  virtual FloatMatrix embedding() const = 0;
  virtual FloatMatrix head() const = 0;  // the embedding when tied
  // The source's pages of this matrix are no longer needed: drop them from memory.
  virtual void release(int64_t layer, Linear which) const = 0;
  // Identifies the exact file contents for the prepacked cache: path, size, mtime, header hash of each file.
  virtual std::string identity() const = 0;
  virtual std::string path() const = 0;
};

// Opens a Hugging Face folder. Throws Error naming file, field and offset when anything is wrong.
std::unique_ptr<ModelSource> open_model(const std::string &path);

// Synthetic weights of a preset's true shapes ("2b-4t", "demo"), the same for every run.
std::unique_ptr<ModelSource> synthetic_model(const std::string &preset);
std::vector<std::string> preset_names();

}  // namespace bittern::runtime
