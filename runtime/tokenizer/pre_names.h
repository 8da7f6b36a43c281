// What the names in tokenizer.ggml.pre stand for: GGUF keeps no pattern, only a name for what cuts the text of a
// byte-level BPE. The patterns are those of the models' own tokenizer.json files.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "runtime/tokenizer/spec.h"

namespace bittern::runtime {

struct PreName {
  std::vector<std::string_view> names;  // the first is the one that is written
  std::vector<NormalizerStep> normalizer;
  std::vector<PreTokenizerStep> pre_tokenizer;
  bool ignore_merges;
  bool add_bos;  // where tokenizer.ggml.add_bos_token is missing
};

const std::vector<PreName> &pre_names();

// The row of a name, or null.
const PreName *find_pre_name(std::string_view name);

// The row that a vocabulary was most likely trained with, where a file names none. Llama-3's own "<|begin_of_text|>"
// tells Llama-3's. Else the digits do: GPT-2's pattern keeps a space with the digits after it, so a token that is a
// space and digits tells it; without one, tokens of up to three digits tell Llama-3's, tokens of one digit at most
// Qwen2's, and longer ones GPT-2's again.
const PreName &guess_pre_name(const std::vector<std::string> &tokens);

}  // namespace bittern::runtime
