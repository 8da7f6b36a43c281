// Where a model's numbers come from: a folder, a GGUF or Bittern file, or synthetic weights of true shape. The engine
// sees only this interface; the meaning of weight scales, packing and dtypes is settled behind it.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bittern::runtime {

enum class Activation { Relu2, Silu, GeluTanh };
// "relu2", "silu", "gelu_tanh"; none for another name.
const char *activation_name(Activation activation);
std::optional<Activation> find_activation(std::string_view name);
enum class DType { F32, F16, BF16 };

// The widest vector of a model, whatever file it comes from. Integer sums reach 127 * K: up to this K they stay below
// 2^24 and convert to float32 exactly.
constexpr int64_t kMaxWidth = 131072;

// How an embedding model makes one vector of a text: none for models that predict tokens.
enum class Pooling { None, Last, Mean };

// The shape and numerics of a model, whatever file they come from (config.json and generation_config.json, GGUF
// metadata). A family (runtime/model/families) fills it; the engine knows no family by name.
struct ModelConfig {
  std::string architecture;  // "BitNetForCausalLM"
  int64_t vocab = 0, hidden = 0, ffn = 0, layers = 0, heads = 0, kv_heads = 0, head_dim = 0, max_positions = 0;
  float rms_eps = 1e-5f;
  double rope_theta = 10000;
  Activation activation = Activation::Relu2;
  bool tied_head = false;
  std::string activation_from;  // where the activation was read, for `info`: "config.json", "table", "--activation"
  bool sub_norms = true;        // attn_sub_norm and ffn_sub_norm
  bool linear_norms = false;    // an RMSNorm of its own inside every linear layer, before its quantiser (Falcon-E)
  float linear_norm_eps = 1e-6f;
  bool qk_norm = false;       // an RMSNorm over each head of q and k, before RoPE (Qwen3, Gemma3)
  bool post_norms = false;    // RMSNorms on the outputs of attention and FFN, before the residual sum (Gemma3)
  float embedding_scale = 1;  // what embedding rows are multiplied by
  float attention_scale = 0;  // what scores are multiplied by; 0: head_dim^-0.5
  // Sliding attention: layer l is local unless (l + 1) % global_every == 0. A local layer sees the last `window`
  // positions, itself included, and turns by rope_theta_local. window 0: every layer is global.
  int64_t window = 0, global_every = 1;
  double rope_theta_local = 0;
  int64_t scale_group = 0;  // weights of a row that share a scale; 0: one scale a matrix
  Pooling pooling = Pooling::None;
  bool has_head = true;  // false: hidden states are the output (embedding models)
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
// Norm weights as multipliers of the normalised value: a source whose file holds w of (1 + w) (Gemma3) adds the 1.
// PostAttentionNorm is the norm before the FFN; AttentionOutNorm and FfnOutNorm are those of post_norms; QNorm and
// KNorm have head_dim elements.
enum class Vector {
  InputNorm,
  PostAttentionNorm,
  AttentionSubNorm,
  FfnSubNorm,
  FinalNorm,
  QNorm,
  KNorm,
  AttentionOutNorm,
  FfnOutNorm
};

inline constexpr size_t kLinearCount = 7, kVectorCount = 9;

// {rows, columns} of a linear layer's matrix.
std::pair<int64_t, int64_t> linear_shape(const ModelConfig &config, Linear which);
// Elements of a norm's weight, and whether the model has that norm.
int64_t vector_size(const ModelConfig &config, Vector which);
bool has_vector(const ModelConfig &config, Vector which);
// Whether the layer's attention sees a window only and turns by rope_theta_local.
bool is_local_layer(const ModelConfig &config, int64_t layer);

// One ternary matrix [rows, cols]: W = scale * trits, or with groups of columns that have a scale each.
struct TernaryMatrix {
  int64_t rows = 0, cols = 0;
  float scale = 0;    // when group is 0
  int64_t group = 0;  // columns that share a scale, or 0
  // With groups: writes the scales of rows [row0, row0 + count), cols / group a row. Thread-safe.
  std::function<void(int64_t row0, int64_t count, float *out)> group_scales;
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
  // The norm inside a linear layer, [its columns]; only with linear_norms.
  virtual std::vector<float> linear_norm(int64_t layer, Linear which) const = 0;
  virtual FloatMatrix embedding() const = 0;
  virtual FloatMatrix head() const = 0;  // the embedding when tied
  // The source's pages of this matrix are no longer needed: drop them from memory.
  virtual void release(int64_t layer, Linear which) const = 0;
  // Identifies the exact file contents for the prepacked cache: path, size, mtime, header hash of each file.
  virtual std::string identity() const = 0;
  virtual std::string path() const = 0;
  // For people: the file's format and what was chosen to read it. Empty where the path says it all.
  virtual std::string format() const { return {}; }
};

// What a user may say about a model file that the file itself leaves open.
struct OpenOptions {
  std::optional<Activation> activation;  // --activation: replaces what the file or the table of families says
  std::string i2s_layout = "128";        // --i2s-layout: "128", "64" or "rows4", which layout I2_S tensors have
  std::string tl_config;                 // --tl-config: file with the tile sizes of TL1 and TL2 tensors
  std::function<void(const std::string &)> note;  // is told what was assumed; may be empty
};

// Opens a model of any known format (runtime/model/open_model.cpp has the table). Throws Error naming file, field and
// offset when anything is wrong.
std::unique_ptr<ModelSource> open_model(const std::string &path, const OpenOptions &options = {});

// Synthetic weights of a preset's true shapes (synthetic_source.cpp has the table), the same for every run.
std::unique_ptr<ModelSource> synthetic_model(const std::string &preset);
std::vector<std::string> preset_names();

}  // namespace bittern::runtime
