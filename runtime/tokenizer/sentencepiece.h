// What every SentencePiece vocabulary has in common, whether it comes from tokenizer.model or from GGUF.
#pragma once
#include <string>
#include <string_view>

#include "runtime/tokenizer/spec.h"

namespace bittern::runtime {

// The normaliser's settings.
struct SentencePieceSpaces {
  bool dummy_prefix = false;  // a space in front of a text
  bool remove_extra = false;  // spaces at the ends, and all but one between words
  bool escape = false;        // spaces become U+2581
  bool as_suffix = false;     // the dummy space goes to the end
  std::string charsmap = {};  // or empty
};

// What SentencePiece decodes an unknown piece to, where the file does not say.
inline constexpr std::string_view kUnknownText = " \xE2\x81\x87 ";  // U+2047 between spaces

// The byte that a piece such as "<0x0A>" stands for, or -1.
int byte_of_piece(std::string_view text);

// Given model, tokens, byte_fallback and unk_text, fills in how SentencePiece encodes with them: normaliser, added
// tokens, unknown characters, decoding. Throws Error when there is more than one unknown piece, a byte piece is
// missing, or neither can stand for an unknown character.
void finish_sentencepiece(TokenizerSpec &spec, const SentencePieceSpaces &spaces);

}  // namespace bittern::runtime
