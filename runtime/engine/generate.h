// The generation loop: prompt in, tokens out, until a stop id, the wanted count, the end of the context or the caller
// ends it.
#pragma once
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
};

enum class StopReason { Count, StopId, Context, Caller };

struct Generation {
  std::vector<int32_t> tokens;  // a stop id that ended it is the last one
  StopReason reason = StopReason::Count;
  double prefill_seconds = 0;  // the prompt, up to its last token's logits
  double decode_seconds = 0;   // decode_steps further tokens
  int64_t decode_steps = 0;
};

// Throws Error when the prompt is empty or longer than the context.
void check_prompt(const Engine &engine, std::span<const int32_t> prompt);

// Starts a new sequence. on_token(id) is called for each token as it is made; false ends the generation. Throws as
// check_prompt does. The same prompt, seed and sampling give the same tokens.
Generation generate(Engine &engine, std::span<const int32_t> prompt, const GenerateOptions &options,
                    FunctionRef<bool(int32_t)> on_token);

}  // namespace bittern::runtime
