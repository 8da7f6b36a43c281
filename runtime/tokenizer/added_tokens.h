// Tokens that are found in the text as they are, before any splitting: "<|eot_id|>" and the like.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/io/json.h"
#include "runtime/tokenizer/parse_special.h"

namespace bittern::runtime {

struct AddedToken {
  int32_t id = 0;
  std::string content;
  bool special = false;
  bool normalized = false;                       // looked for after all tokens that are not
  bool strip_left = false, strip_right = false;  // swallows white space beside it
};

class AddedTokens {
 public:
  AddedTokens() = default;
  // Reads the added_tokens field; ids must be below `id_limit`.
  AddedTokens(const Json &field, int64_t id_limit);
  const std::vector<AddedToken> &tokens() const { return tokens_; }

  // Cuts `text` at the added tokens: calls `ordinary(text)` and `token(id)` in the order of the text. Where several
  // match, the leftmost and then the longest wins. Special tokens count as ordinary text where `special` does not let
  // them.
  void split(std::string_view text, const ParseSpecial &special, const std::function<void(std::string_view)> &ordinary,
             const std::function<void(int32_t)> &token) const;

 private:
  using Index = std::vector<std::vector<uint32_t>>;  // by first byte: tokens, longest first
  // `origin`: the whole text's first byte, from which the ranges of `special` count.
  const AddedToken *match(const Index &index, std::string_view rest, const char *origin,
                          const ParseSpecial &special) const;
  void split_by(const Index &index, std::string_view text, const char *origin, const ParseSpecial &special,
                const std::function<void(std::string_view)> &ordinary, const std::function<void(int32_t)> &token) const;

  std::vector<AddedToken> tokens_;
  Index as_written_, normalized_;
};

}  // namespace bittern::runtime
