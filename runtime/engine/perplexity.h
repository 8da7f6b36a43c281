// How well a model predicts a text: windows that follow one another without overlap, so that every token but the first
// is predicted exactly once.
#pragma once
#include <cstdint>
#include <span>

#include "runtime/engine/engine.h"

namespace bittern::runtime {

struct Perplexity {
  double nll = 0;      // mean over the predicted tokens, in nats
  int64_t tokens = 0;  // predicted tokens
  double perplexity() const;
};

// `window` inputs at a time; log-softmax in double. progress(done, all) is called after every window. Throws Error when
// there are fewer than two tokens or the window does not fit in the context.
Perplexity perplexity(Engine &engine, std::span<const int32_t> tokens, int64_t window,
                      FunctionRef<void(int64_t done, int64_t all)> progress);

}  // namespace bittern::runtime
