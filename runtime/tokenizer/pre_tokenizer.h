// Cuts text into the pieces within which tokens are merged.
#pragma once
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/tokenizer/regex.h"
#include "runtime/tokenizer/spec.h"

namespace bittern::runtime {

// What ByteLevel cuts by when its use_regex is on: GPT-2's pattern.
extern const char *const kGpt2Pattern;

class PreTokenizer {
 public:
  PreTokenizer() = default;
  // Throws Error for a pattern that is not a regular expression.
  explicit PreTokenizer(const std::vector<PreTokenizerStep> &steps);

  // The pieces of `text` (valid UTF-8), in order. They are views of `text` or of strings added to `storage`. With a
  // ByteLevel step they are bytes as they stand in the text, no longer whole characters if a later step cut them.
  // `first`: the text begins where the whole text does.
  std::vector<std::string_view> split(std::string_view text, bool first, std::deque<std::string> &storage) const;

 private:
  struct Step {
    PreTokenizerStep what;
    std::optional<Regex> pattern;
  };
  using Pieces = std::vector<std::string_view>;
  static void cut(const Step &step, std::string_view piece, Pieces &out);

  std::vector<Step> steps_;
};

}  // namespace bittern::runtime
