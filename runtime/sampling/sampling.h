// Choosing the next token from logits. The result is a function of (logits, history, seed, token index) and of nothing
// else: no state is carried from one draw to the next, sums are exact, exp is our own, ties go to the lower
// id.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "runtime/model/model_source.h"

namespace bittern::runtime {

// What the user asked for; an unset field means "as the model's generation_config.json says".
struct SamplingParams {
  std::optional<float> temperature;         // 0: greedy
  std::optional<int> top_k;                 // 0: off
  std::optional<float> top_p;               // 1: off
  std::optional<float> min_p;               // 0: off
  std::optional<float> repetition_penalty;  // 1: off
  uint64_t seed = 0;
};

// How tokens are chosen, nothing left open.
struct Sampling {
  bool greedy = true;
  float temperature = 1, top_p = 1, min_p = 0, repetition_penalty = 1;
  int top_k = 0;
  uint64_t seed = 0;
};

// Flags over the file: a flag replaces the file's value, other values stay as the file says. Any of temperature, top_k,
// top_p, min_p turns sampling on even when the file says do_sample false; temperature 0 means greedy. No flag and no
// do_sample: greedy. Throws Error naming the parameter when a value is out of range or not a number.
Sampling resolve_sampling(const SamplingParams &flags, const ModelConfig::Generation &file);

// Chooses tokens; keeps only scratch memory between calls. One per sequence or thread.
class Sampler {
 public:
  explicit Sampler(const Sampling &sampling) : sampling_(sampling) {}

  // The token that follows `history` (prompt and generated ids; used by the repetition penalty only). `index` is the
  // position of the new token in the sequence: the draw depends on it and on the seed. Filters in the order of Hugging
  // Face transformers: repetition penalty, temperature, top-k, top-p, min-p; each works on what the one before left.
  // Throws Error when a logit is NaN or +infinity, or all are -infinity.
  int32_t sample(std::span<const float> logits, std::span<const int32_t> history, uint64_t index);

 private:
  struct Candidate {
    int32_t id;
    float logit;
    int64_t weight;  // proportional to the probability, see sampling.cpp
    static bool more_likely(const Candidate &a, const Candidate &b) {
      return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
    }
  };
  using Iterator = std::vector<Candidate>::iterator;
  static int64_t total_weight(Iterator first, Iterator last);
  void keep_top_k();
  void keep_top_p();
  void sort_by_id();
  void penalise(std::span<const int32_t> history);

  Sampling sampling_;
  std::vector<float> logits_;
  std::vector<Candidate> candidates_;  // in the order of ids between steps
  std::vector<int32_t> seen_;
};

// Index of the largest logit, the lowest index among equals. Throws like Sampler::sample.
int32_t argmax(std::span<const float> logits);

// A number in [0, 1) with 53 random bits: Philox4x32-10 of key `seed` and counter `index`.
double uniform_draw(uint64_t seed, uint64_t index);

}  // namespace bittern::runtime
