// See text.h.
#include "runtime/app/text.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "runtime/error.h"
#include "runtime/tokenizer/open_tokenizer.h"

namespace bittern::runtime {

std::unique_ptr<Tokenizer> open_tokenizer(const ModelSource &source) {
  const auto note = [](const std::string &what) { fmt::print(stderr, "note: {}\n", what); };
  std::unique_ptr<Tokenizer> tokenizer = open_tokenizer(source.path(), note);
  if (tokenizer->vocab_size() > source.config().vocab)
    throw Error(find_tokenizer(source.path()) + ": has ids up to " + std::to_string(tokenizer->vocab_size() - 1) +
                ", beyond the model's vocabulary of " + std::to_string(source.config().vocab));
  return tokenizer;
}

std::vector<int32_t> encode_with_bos(const Tokenizer &tokenizer, const ModelConfig &config, const std::string &text) {
  std::vector<int32_t> ids = tokenizer.encode(text, true);
  if (tokenizer.bos() < 0 && config.bos >= 0) ids.insert(ids.begin(), config.bos);
  return ids;
}

void check_numbers(std::span<const float> values, int64_t width, const char *what) {
  const auto bad = std::find_if(values.begin(), values.end(), [](float value) { return std::isnan(value); });
  if (bad == values.end()) return;
  const int64_t at = bad - values.begin();
  throw Error(fmt::format("{}: value {} of row {} is not a number", what, at % width, at / width));
}

}  // namespace bittern::runtime
