// The transformer on a device: sequences, the pages of the KV cache that they hold, and passes over any number of their
// tokens. Logits are the same bits for every thread count, every split of the tokens into calls, every choice of
// kernels and whatever other sequences are in the pass. Memory is planned when the engine is made; decode() allocates
// nothing. Calls that name no sequence mean the first.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/device/device.h"
#include "runtime/kernels/dispatch.h"
#include "runtime/model/model_source.h"
#include "runtime/program/program.h"
#include "runtime/threads/pool.h"

namespace bittern::runtime {

struct EngineOptions {
  int threads = 0;      // 0: the physical cores this process may use
  int64_t context = 0;  // most positions of a sequence; 0: the model's, at most 4096
  KernelChoice kernels = KernelChoice::Tuned;
  KvType kv = KvType::F32;
  HeadType head = HeadType::File;
  int64_t sequences = 1;  // at most kMostSequences; a model that makes embeddings has its own number
  // Pages of the KV cache for all sequences, which bound the context as well; 0: what one full sequence needs, four
  // times that for several sequences, within the memory that is free.
  int64_t kv_pages = 0;
  bool prepacked_cache = true;  // read and write packed weights in cache_folder()/prepacked
  Warn warn = warn_stderr;
};

// The program that an engine with these options executes.
Program engine_program(const ModelSource &source, const EngineOptions &options);

// Throws Error that names the command for embeddings when the model has no output head.
void check_has_head(const ModelSource &source);

// The kernels an engine with these options would choose, without loading the weights. Not self-checked.
struct PlannedKernels {
  std::shared_ptr<const KernelSet> set;  // keeps the packs loaded that `uses` points into
  std::vector<KernelUse> uses;
};
PlannedKernels planned_kernels(const ModelSource &source, const EngineOptions &options);

class Engine {
 public:
  // Most tokens that one pass works on; longer prompts are cut. The result does not depend on it.
  static constexpr int64_t kChunk = Device::kMostTokens;
  static constexpr int64_t kMostSequences = 64;

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

  // Tokens that follow in a sequence (0 .. sequences() - 1), and whether the logits after the last one are wanted.
  struct Part {
    int sequence;
    std::span<const int32_t> tokens;
    bool wanted = true;
  };
  // Appends all parts, of different sequences and together at most kChunk tokens, in one pass; gives a row of logits
  // for each wanted part, in the order of the parts, valid until the next call. A sequence's logits do not depend on
  // what else is in the pass. Throws Error as prefill() does, or when the pages do not suffice, before anything is
  // changed.
  std::span<const float> step(std::span<const Part> parts);

  int64_t most_tokens() const;  // of one step: kChunk, or less when all sequences together are shorter
  int sequences() const;
  int64_t position(int sequence) const;
  void rewind(int sequence, int64_t position);
  // `sequence` becomes the first `length` positions of another one; their pages are shared until one of both writes.
  void begin_as(int sequence, int other, int64_t length);
  int64_t pages() const;
  int64_t free_pages() const;
  // Pages that `count` more tokens of a sequence would take.
  int64_t pages_to_take(int sequence, int64_t count) const;

  void reset();  // forgets all sequences
  // Forgets all but the first `position` tokens, so that another continuation can be run. The logits that follow are
  // those of a sequence that never went further. Throws Error when the sequence is shorter.
  void rewind(int64_t position);
  int64_t position() const;  // tokens in the sequence
  int64_t context() const;

  const ModelConfig &config() const;
  const ModelSource &source() const;
  const EngineOptions &options() const;  // as resolved: no zeros left
  const Program &program() const;
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
