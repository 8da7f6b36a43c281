// The generation loop: prompt in, tokens out, until a stop id, the wanted count, the end of the context or the caller
// ends it.
#pragma once
#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/engine/engine.h"
#include "runtime/sampling/sampling.h"

namespace bittern::runtime {

struct GenerateOptions {
  int64_t count = 128;      // most tokens to make
  bool ignore_eos = false;  // go on after a stop id
  Sampling sampling;
  std::vector<int32_t> stops;  // ids that stop it as the model's own do
  int64_t kept = 0;            // how many of the prompt's first tokens the engine's sequence begins with already
  const std::atomic<bool> *interrupt = nullptr;  // ends it between the prompt's chunks and between tokens
};

enum class StopReason { Count, StopId, Context, Caller };

struct Generation {
  std::vector<int32_t> tokens;  // a stop id that ended it is the last one
  int64_t prefilled = 0;        // tokens of the prompt that were run
  StopReason reason = StopReason::Count;
  double prefill_seconds = 0;  // the prompt, up to its last token's logits
  double decode_seconds = 0;   // decode_steps further tokens
  int64_t decode_steps = 0;
};

// Throws Error when the prompt is empty or longer than the context.
void check_prompt(const Engine &engine, std::span<const int32_t> prompt);

// Starts a new sequence, or goes on with the first `kept` tokens of the old one. on_token(id) is called for each token
// as it is made; false ends the generation. Throws as check_prompt does. The same prompt, seed and sampling give the
// same tokens.
Generation generate(Engine &engine, std::span<const int32_t> prompt, const GenerateOptions &options,
                    FunctionRef<bool(int32_t)> on_token);

}  // namespace bittern::runtime
