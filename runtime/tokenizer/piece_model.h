// How one piece of text becomes tokens. A kind of model is a class; pipeline.cpp has the table.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "runtime/tokenizer/spec.h"

namespace bittern::runtime {

class PieceModel {
 public:
  virtual ~PieceModel() = default;
  // Appends the tokens of `piece` to `out`. Thread-safe.
  virtual void encode(std::string_view piece, std::vector<int32_t> &out) const = 0;
};

// Ids by text, of all tokens but control tokens. The views point into a spec's tokens, which outlive the map.
using TokenIds = std::unordered_map<std::string_view, int32_t>;

// Each maker throws Error for a spec that its model cannot work with. `spec` and `ids` outlive the model.
std::unique_ptr<PieceModel> make_byte_level_bpe(const TokenizerSpec &spec, const TokenIds &ids);
std::unique_ptr<PieceModel> make_character_bpe(const TokenizerSpec &spec, const TokenIds &ids);
std::unique_ptr<PieceModel> make_scored_bpe(const TokenizerSpec &spec, const TokenIds &ids);
std::unique_ptr<PieceModel> make_unigram(const TokenizerSpec &spec, const TokenIds &ids);

// What becomes of a character that is no token: the tokens of its bytes, or `unk`, or nothing.
class Fallback {
 public:
  Fallback(const TokenizerSpec &spec, const TokenIds &ids);
  // Appends what stands for `text`. Returns whether that is `unk`; `after_unknown` is what the call for the character
  // before returned, false if that one was a token.
  bool append(std::string_view text, bool after_unknown, std::vector<int32_t> &out) const;

 private:
  std::array<int32_t, 256> bytes_{};
  int32_t unk_;
  bool fuse_;
};

}  // namespace bittern::runtime
