// See embed.h.
#include "runtime/engine/embed.h"

#include <algorithm>
#include <cmath>

#include "runtime/error.h"

namespace bittern::runtime {

Pooling parse_pooling_name(const std::string &name) {
  if (name == "last") return Pooling::Last;
  if (name == "mean") return Pooling::Mean;
  throw Error("pooling must be last or mean, not \"" + name + "\"");
}

std::vector<float> embed(Engine &engine, std::span<const std::vector<int32_t>> texts, Pooling pooling) {
  if (pooling == Pooling::None)
    throw Error(engine.source().path() + ": a " + engine.config().architecture +
                " does not say how tokens become one vector: give --pooling last or mean");
  const auto hidden = static_cast<size_t>(engine.config().hidden);
  std::vector<float> vectors(texts.size() * hidden);
  std::vector<double> sum(hidden);
  engine.hidden_of_texts(texts, [&](size_t text, int64_t first, int64_t rows, const float *data) {
    const auto count = static_cast<int64_t>(texts[text].size());
    if (first == 0) sum.assign(hidden, 0);
    for (int64_t row = pooling == Pooling::Last ? std::max<int64_t>(0, count - 1 - first) : 0; row < rows; ++row)
      for (size_t i = 0; i < hidden; ++i) sum[i] += static_cast<double>(data[static_cast<size_t>(row) * hidden + i]);
    if (first + rows < count) return;
    double squares = 0;  // a mean's divisor leaves the direction as it is
    for (const double value : sum) squares += value * value;
    const double scale = squares > 0 ? 1 / std::sqrt(squares) : 0;
    for (size_t i = 0; i < hidden; ++i) vectors[text * hidden + i] = static_cast<float>(sum[i] * scale);
  });
  return vectors;
}

}  // namespace bittern::runtime
