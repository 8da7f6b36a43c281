// The transformer: weights packed for the chosen kernels, a paged KV cache, and the forward pass for any number of
// tokens of one sequence. Logits are the same bits for every thread count, every split of the tokens into calls and
// every choice of kernels. Memory is planned when the engine is made; decode() allocates nothing.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/engine/problems.h"
#include "runtime/kernels/dispatch.h"
#include "runtime/model/model_source.h"
#include "runtime/threads/pool.h"

namespace bittern::runtime {

struct EngineOptions {
  int threads = 0;      // 0: the physical cores this process may use
  int64_t context = 0;  // most positions of a sequence; 0: the model's, at most 4096
  KernelChoice kernels = KernelChoice::Tuned;
  KvType kv = KvType::F32;
  HeadType head = HeadType::File;
  bool prepacked_cache = true;  // read and write packed weights in cache_folder()/prepacked
  Warn warn = warn_stderr;
};

// Throws Error that names the command for embeddings when the model has no output head.
void check_has_head(const ModelSource &source);

// Bytes the model holds, and what one token must read.
struct Footprint {
  int64_t ternary_weights = 0;  // number of ternary weights
  int64_t ternary_bytes = 0;    // at 2 bits each, no padding
  int64_t head_bytes = 0;       // the output head at the precision it is held in
  int64_t kv_bytes_per_position = 0;
  int64_t kv_capacity_bytes = 0;  // for the whole context
  // Bytes that a token at this position reads: ternary weights, head, keys and values before it.
  int64_t bytes_per_token(int64_t position) const {
    return ternary_bytes + head_bytes + kv_bytes_per_position * position;
  }
};

// A kernel in use for a range of M.
struct KernelUse {
  std::string what;  // "qkv", "head", "attention", ...
  Role role;
  std::vector<int64_t> sizes;  // in the role's order, sizes[0] = m_min
  int64_t m_min = 1, m_max = 1;
  const bt_kernel *kernel = nullptr;
  KernelOrigin origin = KernelOrigin::Scalar;
  std::shared_ptr<const void> owner =
      {};  // keeps the pack that holds `kernel` loaded; null when the engine itself does
};

// The kernels an engine with these options would choose, without loading the weights. Not self-checked.
struct PlannedKernels {
  std::shared_ptr<const KernelSet> set;  // keeps the packs loaded that `uses` points into
  std::vector<KernelUse> uses;
};
PlannedKernels planned_kernels(const ModelSource &source, const EngineOptions &options);

class Engine {
 public:
  // Most tokens that one pass works on; longer prompts are cut. The result does not depend on it.
  static constexpr int64_t kChunk = 128;

  // Loads the weights and checks every kernel on them. Throws Error when the options are out of range or the model
  // cannot be run.
  Engine(std::unique_ptr<ModelSource> source, const EngineOptions &options);
  ~Engine();
  Engine(const Engine &) = delete;
  Engine &operator=(const Engine &) = delete;

  // Appends tokens to the sequence; gives the logits after the last one, valid until the next call. Throws Error when
  // there are none, an id is outside the vocabulary, the context is full or the model has no output head.
  // `stop`, when given, is looked at between chunks: once it is true, the rest is left out and the result is empty.
  std::span<const float> prefill(std::span<const int32_t> tokens, const std::atomic<bool> *stop = nullptr);
  std::span<const float> decode(int32_t token) { return prefill({&token, 1}); }
  // Appends tokens and gives the logits after every one, some rows at a time:
  // sink(first token's index, rows, rows x vocabulary floats).
  void logits(std::span<const int32_t> tokens, FunctionRef<void(int64_t first, int64_t rows, const float *data)> sink);

  // Appends tokens and gives the final-normed hidden states after every one, as logits() does with rows of `hidden`.
  void hidden(std::span<const int32_t> tokens, FunctionRef<void(int64_t first, int64_t rows, const float *data)> sink);
  // The same for whole texts, each a new sequence; what went before is forgotten. An embedding model runs many short
  // texts in one pass. sink(text, first token's index, rows, data). Throws Error naming the text that is empty, too
  // long or has an id outside the vocabulary, before any is run.
  void hidden_of_texts(std::span<const std::vector<int32_t>> texts,
                       FunctionRef<void(size_t text, int64_t first, int64_t rows, const float *data)> sink);

  void reset();  // forgets the sequence
  // Forgets all but the first `position` tokens, so that another continuation can be run. The logits that follow are
  // those of a sequence that never went further. Throws Error when the sequence is shorter.
  void rewind(int64_t position);
  int64_t position() const;  // tokens in the sequence
  int64_t context() const;

  const ModelConfig &config() const;
  const ModelSource &source() const;
  const EngineOptions &options() const;  // as resolved: no zeros left
  Footprint footprint() const;
  // Every kernel that tokens may run through, largest consumers first.
  std::vector<KernelUse> kernels() const;
  bool tuned() const;                  // whether any kernel in use was tuned for this machine
  std::string origin_summary() const;  // "tuned", "default", "scalar", or for example "tuned and default"
  const char *head_precision() const;  // "bf16", "f32", "int8", or "no" without a head
  bool prepacked() const;              // whether the weights came from the prepacked cache
  ThreadPool &pool();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bittern::runtime
