// Prompt text to token ids, as every command of bitnet-run wants it, and the speed that they report.
#pragma once
#include <cstdint>
#include <memory>
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

// 0 where no time was measured.
inline double tokens_a_second(int64_t tokens, double seconds) {
  return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
}

}  // namespace bittern::runtime
