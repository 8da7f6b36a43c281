// SentencePiece's tokenizer.model: a protobuf message (https://github.com/google/sentencepiece,
// src/sentencepiece_model.proto), of which the pieces, the trainer's and the normaliser's settings are read.
#pragma once
#include <string>
#include <string_view>

#include "runtime/tokenizer/spec.h"

namespace bittern::runtime {

// Reads the bytes of a tokenizer.model; `name` stands for the file in messages. Encodes like SentencePiece; what is
// special (control and unknown pieces) can be recognised in the text as well. The beginning-of-text piece, if any, is
// the prefix. Throws Error naming file, field and byte offset.
TokenizerSpec parse_sentencepiece_model(std::string_view bytes, const std::string &name);

}  // namespace bittern::runtime
