// Tokens that are found in the text as they are, before any splitting: "<|eot_id|>" and the like.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/tokenizer/parse_special.h"
#include "runtime/tokenizer/prefix_index.h"
#include "runtime/tokenizer/spec.h"

namespace bittern::runtime {

class AddedTokens {
 public:
  using Normalize = std::function<std::string(std::string_view)>;

  AddedTokens() = default;
  // `normalize` is applied to the contents of the normalized ones.
  AddedTokens(const std::vector<AddedToken> &tokens, const Normalize &normalize);

  // Cuts `text` at the added tokens: calls `ordinary(text, first)` with normalised text and `token(id)`, in the order
  // of the text. `first`: the part begins where the text does. Tokens that are not normalized are looked for in the
  // text, the others in what `normalize` makes of the parts between. Where several match, the leftmost and then the
  // longest wins. Special tokens count as ordinary text where `special` does not let them.
  void split(std::string_view text, const ParseSpecial &special, const Normalize &normalize,
             const std::function<void(std::string_view, bool first)> &ordinary,
             const std::function<void(int32_t)> &token) const;

 private:
  struct Match {
    const AddedToken *token = nullptr;
    size_t length = 0;
  };
  Match match(const PrefixIndex &index, std::string_view text, size_t at, const ParseSpecial &special) const;
  // Whether literal text in `part`, which begins at byte `begin` of the text, spells a special token that is looked for
  // in normal form.
  bool spells_special(std::string_view part, size_t begin, const ParseSpecial &special,
                      const Normalize &normalize) const;
  void split_by(const PrefixIndex &index, std::string_view text, const ParseSpecial &special,
                const std::function<void(std::string_view, bool first)> &ordinary,
                const std::function<void(int32_t)> &token) const;

  std::vector<AddedToken> tokens_;
  PrefixIndex as_written_, normalized_;
};

}  // namespace bittern::runtime
