// Regular expressions of tokenizer files, run by PCRE2 with the meaning that Hugging Face's engine (Oniguruma) gives
// them: Unicode classes, and \s as the Unicode property White_Space.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace bittern::runtime {

class Regex {
 public:
  // Compiles a pattern. Throws Error with PCRE2's reason and the place in the pattern.
  explicit Regex(const std::string &pattern);

  // Calls `match(begin, end)` for every match in order, leftmost first, without overlap; empty matches are skipped.
  // `text` must be valid UTF-8. Throws Error when the pattern needs too many steps on this text. Thread-safe.
  void for_each_match(std::string_view text, const std::function<void(size_t begin, size_t end)> &match) const;

 private:
  struct Code;
  std::shared_ptr<const Code> code_;
};

}  // namespace bittern::runtime
