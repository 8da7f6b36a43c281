// Perplexity is the mean of what the logits say: checked against sums made from the logits themselves.
#include "runtime/engine/perplexity.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "runtime/error.h"
#include "tests/demo_engine.h"

using namespace bittern::runtime;
using namespace bittern::test;

TEST_CASE("the mean times the tokens is the sum over all predicted tokens, each window on its own") {
  Engine engine(synthetic_model("demo"), options_of(2, 32));
  const std::vector<int32_t> tokens = some_tokens(45);
  const auto vocab = static_cast<size_t>(engine.config().vocab);
  for (const size_t window : {size_t{1}, size_t{7}, size_t{16}, size_t{32}}) {
    double sum = 0;
    for (size_t begin = 0; begin + 1 < tokens.size(); begin += window) {
      const size_t count = std::min(window, tokens.size() - 1 - begin);
      engine.reset();
      engine.logits(std::span(tokens).subspan(begin, count), [&](int64_t first, int64_t rows, const float *data) {
        for (size_t row = 0; row < static_cast<size_t>(rows); ++row) {
          const float *logits = data + row * vocab;
          const auto next = static_cast<size_t>(tokens[begin + static_cast<size_t>(first) + row + 1]);
          const float top = *std::max_element(logits, logits + vocab);
          double exps = 0;
          for (size_t i = 0; i < vocab; ++i) exps += std::exp(static_cast<double>(logits[i] - top));
          sum += std::log(exps) - static_cast<double>(logits[next] - top);
        }
      });
    }
    const Perplexity result = perplexity(engine, tokens, static_cast<int64_t>(window), [](int64_t, int64_t) {});
    CHECK(result.tokens == static_cast<int64_t>(tokens.size()) - 1);
    CHECK(std::fabs(result.nll * static_cast<double>(result.tokens) - sum) < 1e-9);
    CHECK(result.perplexity() == std::exp(result.nll));
  }
}
