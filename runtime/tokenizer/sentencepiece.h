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

// The byte that a piece such as "<0x0A>" stands for, or -1.
int byte_of_piece(std::string_view text);

// Given model, tokens, byte_fallback and unk_text, fills in how SentencePiece encodes with them: normaliser, added
// tokens, unknown characters, decoding. Throws Error when there is no unknown piece or more than one, or a byte piece
// is missing.
void finish_sentencepiece(TokenizerSpec &spec, const SentencePieceSpaces &spaces);

}  // namespace bittern::runtime
