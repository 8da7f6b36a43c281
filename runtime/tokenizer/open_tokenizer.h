// The tokenizer of a model, from whatever the model is: a folder's tokenizer.json, else its tokenizer.model (with
// add_bos_token and add_eos_token of tokenizer_config.json); or a file that carries it. A new file format is a row of
// the table in open_tokenizer.cpp.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "runtime/tokenizer/spec.h"
#include "runtime/tokenizer/tokenizer.h"

namespace bittern::runtime {

using TokenizerNote = std::function<void(const std::string &)>;

// What tokenizer a model has. `note` is told what had to be assumed; it may be empty. Throws Error naming the file when
// there is no tokenizer, or it is damaged or of a kind that is not known.
TokenizerSpec read_tokenizer_spec(const std::string &model_path, const TokenizerNote &note = {});

// The same, ready to use.
std::unique_ptr<Tokenizer> open_tokenizer(const std::string &model_path, const TokenizerNote &note = {});

// Where a model's tokenizer is ("F/tokenizer.json", the file itself), or "" when it has none. Reads no tokenizer.
std::string find_tokenizer(const std::string &model_path);

}  // namespace bittern::runtime
