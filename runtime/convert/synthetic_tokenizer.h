// A tokenizer for synthetic models: byte-level BPE of any size, so that programs which want a vocabulary load them.
#pragma once
#include <string>

#include "runtime/model/model_source.h"

namespace bittern::runtime {

// A tokenizer.json with `config.vocab` tokens: 256 bytes, then merges of one earlier token and a byte, which exist in
// any number and are all different; BOS and EOS are special tokens at the ids that the configuration names.
std::string synthetic_tokenizer_json(const ModelConfig &config);

}  // namespace bittern::runtime
