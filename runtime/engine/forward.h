// The forward pass: tokens of one sequence, or of several at once, through all layers to hidden states, and from these
// to logits. It knows no family: which steps there are follows from ModelConfig, settled when it is made. Memory is
// planned then as well; no call allocates.
#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

#include "runtime/engine/kv_cache.h"
#include "runtime/engine/plan.h"
#include "runtime/engine/rope_angles.h"
#include "runtime/engine/weights.h"
#include "runtime/kernels/launch.h"
#include "runtime/memory/huge_buffer.h"
#include "runtime/model/model_source.h"
#include "runtime/threads/pool.h"

namespace bittern::runtime {

class Forward {
 public:
  // Most tokens of one pass; `context` bounds a sequence. All arguments but the numbers stay in use.
  Forward(const ModelSource &source, const Plan &plan, const Weights &weights, ThreadPool &pool, int64_t most_tokens,
          int64_t context, KvType kv);

  // Tokens that follow in a sequence (0 .. sequences() - 1).
  struct Part {
    int sequence;
    std::span<const int32_t> tokens;
  };
  // Appends the parts, of different sequences and together at most `most_tokens`; hidden states of their tokens, one
  // part after the other, are then in states(). With last_only, which takes one part, only that of its last token.
  // Throws Error when a sequence or the KV cache is full.
  void run(std::span<const Part> parts, bool last_only);
  void run(std::span<const int32_t> tokens, bool last_only) {
    const Part part{0, tokens};
    run({&part, 1}, last_only);
  }

  // [tokens, hidden], before the final norm.
  const float *states() const { return x_; }
  // The final norm of m rows, and the logits of m rows (which apply it).
  void final_norm(const float *in, int64_t m, float *out);
  void head(const float *in, int64_t m, float *out);

  int sequences() const { return static_cast<int>(sequences_.size()); }
  int64_t most_tokens() const { return most_tokens_; }
  int64_t length(int sequence) const { return sequences_[static_cast<size_t>(sequence)]->length(); }
  int64_t free_pages() const { return kv_.free_pages(); }
  void clear();  // forgets all sequences
  // Keeps the first `length` positions of a sequence.
  void truncate(int sequence, int64_t length) { sequences_[static_cast<size_t>(sequence)]->truncate(length); }
  int64_t kv_element_bytes() const { return kv_.element_bytes(); }
  int64_t kv_bytes() const { return kv_.bytes(); }

 private:
  // The steps that turn `width` floats a token into what a matrix product reads.
  struct Input {
    int64_t width;
    const Choice *quantise, *norm, *group_sums;  // norm: RMSNorm to floats; group_sums: null without scale groups
  };

  void find_steps(const Plan &plan);
  void plan_buffers();
  void embed(int64_t m);
  void layer(int64_t index, int64_t m, bool last_only);
  void store_keys_values(int64_t index, int64_t m);
  void attend(int64_t index, int64_t first, int64_t rows);
  void find_cached(int64_t index, int64_t tokens);
  void add(float *in, const float *norm, int64_t rows);

  // Runs a step for m tokens; `work` is its elements per token.
  void step(const Choice &choice, int64_t m, int64_t work, std::initializer_list<bt_tensor> tensors,
            const float *scalars = nullptr);
  void quantise(const Input &input, const float *in, const float *norm, const float *eps, int64_t m);
  void matmul(const Input &input, const PackedMatrix &matrix, Linear which, int64_t m, float *out, int64_t stride);
  void project(const Input &input, const float *in, const float *norm, const LayerWeights &w,
               std::initializer_list<Linear> parts, int64_t m, float *out, int64_t stride);

  const ModelConfig config_;
  const Weights &weights_;
  ThreadPool &pool_;
  int64_t most_tokens_;
  RopeAngles angles_, local_angles_;
  KvCache kv_;
  std::vector<std::unique_ptr<Sequence>> sequences_;
  std::vector<ThreadPool::Announced>
      cached_;                       // what this layer's attention will read of the KV cache, first things first
  std::vector<int32_t> page_table_;  // of all sequences, when there are several
  Scratch scratch_;
  FloatMatrix embedding_;
  bool embed_from_head_ = false;

  Input hidden_{}, query_{}, ffn_{};
  std::array<const Choice *, kLinearCount> products_{};
  struct {
    const Choice *head, *attention, *local_attention, *activation, *final_norm, *q_norm, *k_norm, *rope_q, *rope_k,
        *store_v, *residual, *embedding;
  } steps_{};

  // Activations of one pass, all in one buffer.
  HugeBuffer activations_;
  float *x_, *wide_, *queries_, *attended_, *keys_, *narrow_, *gated_, *normed_, *inverse_;
  float *cosines_, *sines_, *local_cosines_, *local_sines_;
  int8_t *codes_;
  int32_t *code_sums_, *group_sums_, *ids_, *positions_, *sequence_ids_;
  uint8_t *embedding_rows_;
  int64_t code_stride_ = 0;
};

}  // namespace bittern::runtime
