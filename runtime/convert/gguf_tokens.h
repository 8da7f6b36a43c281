// The tokenizer of a model as GGUF metadata.
#pragma once
#include "runtime/convert/conversion.h"
#include "runtime/convert/gguf_metadata.h"

namespace bittern::runtime {

// Adds tokenizer.ggml.* and tokenizer.chat_template, as far as the model has them.
void add_gguf_tokens(const Conversion &conversion, GgufMetadata &metadata);

}  // namespace bittern::runtime
