// Hugging Face's tokenizer.json, read and written (https://github.com/huggingface/tokenizers: the serde forms of its
// normalizers, pre_tokenizers, models, processors and decoders).
#pragma once
#include <string>
#include <string_view>

#include "runtime/tokenizer/spec.h"

namespace bittern::runtime {

// Reads the text of a tokenizer.json; `name` stands for the file in messages, `offset` is the text's place in it.
// Throws Error naming file, field and byte offset for what is damaged, unknown or not supported.
TokenizerSpec parse_tokenizer_json(std::string_view json, const std::string &name, uint64_t offset = 0);

// Writes a spec as a tokenizer.json that Hugging Face's `tokenizers` loads and that encodes every text to the same ids
// here. SentencePiece's scored merges become ranked ones: all pairs that make a token, in order of its score. Where
// Hugging Face has no exact form it is an Error, with three exceptions: a token
// whose overlapping occurrences are made of different pairs; graphemes that a character map replaces in part (Hugging
// Face looks them up whole); and unigram splits that tie in single but not in double precision.
std::string to_tokenizer_json(const TokenizerSpec &spec);

}  // namespace bittern::runtime
