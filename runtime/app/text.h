// What the commands of bitnet-run share: prompt text to token ids, a look at results, and the speed that they report.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/model/model_source.h"
#include "runtime/tokenizer/tokenizer.h"

namespace bittern::runtime {

// The tokenizer of a model (runtime/tokenizer/open_tokenizer.h), which must fit the model's vocabulary; what had to be
// assumed goes to standard error. Throws Error when there is none.
std::unique_ptr<Tokenizer> open_tokenizer(const ModelSource &source);

// Ids with the beginning-of-text token in front: the tokenizer's own, else config.json's.
std::vector<int32_t> encode_with_bos(const Tokenizer &tokenizer, const ModelConfig &config, const std::string &text);

// Throws Error for the first of `values`, rows of `width`, that is NaN: weights that are numbers can overflow. `what`
// names the values.
void check_numbers(std::span<const float> values, int64_t width, const char *what);

// 0 where no time was measured.
inline double tokens_per_second(int64_t tokens, double seconds) {
  return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
}

}  // namespace bittern::runtime
