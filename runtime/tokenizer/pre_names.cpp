#include "runtime/tokenizer/pre_names.h"

#include <algorithm>

namespace bittern::runtime {
namespace {

// Llama-3's and Qwen2's patterns, which differ in how many digits stay together.
std::string llama_pattern(const std::string &digits) {
  return R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)" + digits +
         R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
}

PreTokenizerStep split(std::string pattern, SplitBehavior behavior = SplitBehavior::Isolated) {
  PreTokenizerStep step;
  step.pattern = std::move(pattern);
  step.behavior = behavior;
  return step;
}

PreTokenizerStep bytes(bool use_regex) {
  PreTokenizerStep step;
  step.kind = PreTokenizerStep::Kind::ByteLevel;
  step.use_regex = use_regex;
  return step;
}

constexpr const char *kDigit = R"(\p{N})";

}  // namespace

const std::vector<PreName> &pre_names() {
  static const std::vector<PreName> rows = {
      {{"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1"},
       {},
       {split(llama_pattern(R"(\p{N}{1,3})")), bytes(false)},
       true,
       true},
      {{"qwen2"}, {{.kind = NormalizerStep::Kind::Nfc}}, {split(llama_pattern(kDigit)), bytes(false)}, false, false},
      {{"gpt-2", "phi-2", "olmo", "mpt"}, {}, {bytes(true)}, false, false},
      {{"smollm", "starcoder", "refact", "command-r"}, {}, {split(kDigit), bytes(true)}, false, false},
      {{"falcon"},
       {},
       {split(R"([!-/:-@\[-`{-~\p{P}])", SplitBehavior::Contiguous), bytes(true),
        split(kDigit, SplitBehavior::Contiguous), split("[0-9][0-9][0-9]")},
       false,
       false},
  };
  return rows;
}

const PreName *find_pre_name(std::string_view name) {
  for (const PreName &row : pre_names()) {
    if (std::find(row.names.begin(), row.names.end(), name) != row.names.end()) return &row;
  }
  return nullptr;
}

const PreName &guess_pre_name(const std::vector<std::string> &tokens) {
  constexpr std::string_view kSpace = "\xC4\xA0";  // U+0120, a space in GPT-2's alphabet
  const auto digits = [](std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  };
  size_t longest = 0;
  bool with_space = false, llama3 = false;
  for (const std::string_view token : tokens) {
    llama3 = llama3 || token == "<|begin_of_text|>";
    if (digits(token)) longest = std::max(longest, token.size());
    with_space = with_space || (token.starts_with(kSpace) && digits(token.substr(kSpace.size())));
  }
  const char *name = llama3 ? "llama-bpe" : with_space || longest > 3 ? "gpt-2" : longest > 1 ? "llama-bpe" : "qwen2";
  return *find_pre_name(name);
}

}  // namespace bittern::runtime
