#include "runtime/tokenizer/sentencepiece.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "runtime/error.h"
#include "runtime/tokenizer/spaces.h"

namespace bittern::runtime {
namespace {

int digit(char c) {
  const size_t at = std::string_view("0123456789ABCDEF").find(c);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

}  // namespace

int byte_of_piece(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return -1;
  const int high = digit(text[3]), low = digit(text[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

void finish_sentencepiece(TokenizerSpec &spec, const SentencePieceSpaces &spaces) {
  std::array<bool, 256> bytes{};
  spec.unk = -1;
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    const SpecToken &token = spec.tokens[i];
    const int32_t id = static_cast<int32_t>(i);
    if (token.type == TokenType::Unknown) {
      if (spec.unk >= 0) throw Error(fmt::format("{}: pieces {} and {} are both unknown", spec.name, spec.unk, id));
      spec.unk = id;
    }
    if (token.type == TokenType::Byte) bytes[static_cast<size_t>(byte_of_piece(token.text))] = true;
    const bool special = token.type == TokenType::Control || token.type == TokenType::Unknown;
    // Unigram finds user-defined pieces itself, with a score that wins.
    const bool whole = token.type == TokenType::UserDefined && spec.model == TokenizerSpec::Model::ScoredBpe;
    if (special || whole)
      spec.added.push_back({.id = id, .content = token.text, .special = special, .normalized = whole});
  }
  if (spec.unk < 0 && !spec.byte_fallback) throw Error(spec.name + ": there is no unknown piece");
  for (size_t byte = 0; spec.byte_fallback && byte < bytes.size(); ++byte) {
    if (!bytes[byte]) throw Error(fmt::format("{}: no piece for the byte 0x{:02X}", spec.name, byte));
  }
  spec.fuse_unk = true;
  spec.single_precision = true;
  spec.normalizer = {{.kind = NormalizerStep::Kind::SentencePiece,
                      .content = spaces.charsmap,
                      .dummy_prefix = spaces.dummy_prefix,
                      .remove_extra_spaces = spaces.remove_extra,
                      .escape_spaces = spaces.escape,
                      .space_as_suffix = spaces.as_suffix}};
  spec.space_mark = kSpaceMark;
  spec.strip_spaces = spaces.dummy_prefix && !spaces.as_suffix ? 1 : 0;
}

}  // namespace bittern::runtime
