// The parts of a tokenizer.json that are lists of steps: normalizer, pre_tokenizer, post_processor, decoder. Each
// type of step is a row of a table in json_steps.cpp; others are refused by name.
#pragma once
#include "runtime/io/json.h"
#include "runtime/tokenizer/spec.h"

namespace bittern::runtime {

// Each reads its field, which may be absent or null, into `spec`. They throw Error naming field and byte offset.
void read_normalizer(const Json &root, TokenizerSpec &spec);
void read_pre_tokenizer(const Json &root, TokenizerSpec &spec);
void read_decoder(const Json &root, TokenizerSpec &spec);
// Needs the spec's tokens: what is put around a text are their ids.
void read_post_processor(const Json &root, TokenizerSpec &spec);

// Whether the pre-tokenizer has a ByteLevel step.
bool is_byte_level(const TokenizerSpec &spec);

}  // namespace bittern::runtime
