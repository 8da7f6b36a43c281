// The pre-tokenizer of a tokenizer.json: cuts text into the pieces within which tokens are merged.
#pragma once
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/io/json.h"
#include "runtime/tokenizer/regex.h"

namespace bittern::runtime {

class PreTokenizer {
 public:
  // Reads the pre_tokenizer field. Throws Error for a type that is not supported, and when there is no ByteLevel step.
  explicit PreTokenizer(const Json &field);

  // The pieces of `text` (valid UTF-8), in order. They are views of `text` or of strings added to `storage`.
  std::vector<std::string_view> split(std::string_view text, std::deque<std::string> &storage) const;

 private:
  // First a space is put in front of a piece that has none, if asked for; then the pattern, if any, cuts it.
  struct Step {
    bool prefix_space = false;
    std::optional<Regex> pattern;
    bool drop_matches = false;  // pieces are what lies between matches
    bool invert = false;        // matches are what lies between what the pattern finds
  };
  void read(const Json &field);
  static Step read_split(const Json &field);

  std::vector<Step> steps_;
  bool byte_level_ = false;
};

}  // namespace bittern::runtime
