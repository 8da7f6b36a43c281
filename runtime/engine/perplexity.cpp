// See perplexity.h.
#include "runtime/engine/perplexity.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "runtime/error.h"

namespace bittern::runtime {
namespace {

double negative_log_likelihood(const float *logits, int64_t count, int32_t token) {
  const float top = *std::max_element(logits, logits + count);
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += std::exp(static_cast<double>(logits[i] - top));
  return std::log(sum) - static_cast<double>(logits[token] - top);
}

}  // namespace

double Perplexity::perplexity() const { return std::exp(nll); }

Perplexity perplexity(Engine &engine, std::span<const int32_t> tokens, int64_t window,
                      FunctionRef<void(int64_t, int64_t)> progress) {
  if (tokens.size() < 2) throw Error("the text has fewer than two tokens: there is nothing to predict");
  if (window < 1 || window > engine.context())
    throw Error("the window must be between 1 and the context of " + std::to_string(engine.context()) + ", not " +
                std::to_string(window));
  const int64_t inputs = static_cast<int64_t>(tokens.size()) - 1, vocab = engine.config().vocab;
  std::vector<double> losses(static_cast<size_t>(inputs));
  for (int64_t begin = 0; begin < inputs; begin += window) {
    const int64_t count = std::min(window, inputs - begin);
    engine.reset();
    engine.logits(tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(count)),
                  [&](int64_t first, int64_t rows, const float *logits) {
                    engine.pool().parallel(rows, [&](int64_t row, int) {
                      const int64_t at = begin + first + row;
                      losses[static_cast<size_t>(at)] =
                          negative_log_likelihood(logits + row * vocab, vocab, tokens[static_cast<size_t>(at) + 1]);
                    });
                  });
    progress(begin + count, inputs);
  }
  Perplexity result;
  for (double loss : losses) result.nll += loss;
  result.nll /= static_cast<double>(inputs);
  result.tokens = inputs;
  return result;
}

}  // namespace bittern::runtime
