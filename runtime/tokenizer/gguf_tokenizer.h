// A tokenizer as GGUF keeps it: the metadata under "tokenizer." as plain arrays, so that reading and writing a GGUF
// file and understanding its vocabulary stay apart (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "runtime/error.h"
#include "runtime/tokenizer/spec.h"

namespace bittern::runtime {

// The comment behind each field is its metadata key. Fields that are empty (no value, empty string, empty array, -1)
// are not in the file and are not to be written.
struct GgufTokenizer {
  std::string model = {};                // tokenizer.ggml.model: "gpt2", "llama" or "t5"
  std::string pre = {};                  // tokenizer.ggml.pre: which pattern cuts the text of "gpt2"
  std::vector<std::string> tokens = {};  // tokenizer.ggml.tokens, array of strings
  std::vector<float> scores = {};        // tokenizer.ggml.scores, array of float32; one a token
  std::vector<int32_t> types = {};       // tokenizer.ggml.token_type, array of int32; one a token, TokenType's numbers
  std::vector<std::string> merges = {};  // tokenizer.ggml.merges, array of strings "left right"
  int32_t bos = -1;                      // tokenizer.ggml.bos_token_id, uint32, as are the next three
  int32_t eos = -1;                      // tokenizer.ggml.eos_token_id
  int32_t unk = -1;                      // tokenizer.ggml.unknown_token_id
  int32_t pad = -1;                      // tokenizer.ggml.padding_token_id
  std::optional<bool> add_bos = {};      // tokenizer.ggml.add_bos_token
  std::optional<bool> add_eos = {};      // tokenizer.ggml.add_eos_token
  std::optional<bool> add_space_prefix = {};          // tokenizer.ggml.add_space_prefix
  std::optional<bool> remove_extra_whitespaces = {};  // tokenizer.ggml.remove_extra_whitespaces
  std::vector<uint8_t> charsmap = {};                 // tokenizer.ggml.precompiled_charsmap, array of uint8
  std::string huggingface_json = {};                  // tokenizer.huggingface.json: the whole tokenizer.json
  uint64_t huggingface_json_at = 0;                   // where that text stands in the file, for messages about it
};

// What spec_of_gguf() has against a key. It knows no file; who has one can say at which byte the key or item stands.
struct GgufTokenizerError : Error {
  GgufTokenizerError(const std::string &file, const std::string &in_key, const std::string &in_what,
                     std::optional<size_t> in_item);
  std::string key, problem;    // the problem names the item
  std::optional<size_t> item;  // of the key's array, where it is about one
};

class GgufFile;

// The tokenizer.* metadata of a file. Throws Error naming file, key and byte offset for values of the wrong type or
// length and for token ids that are none.
GgufTokenizer read_gguf_tokenizer(const GgufFile &file);

// The tokenizer of a file: read_gguf_tokenizer() and spec_of_gguf(), whose errors then name the byte as well.
TokenizerSpec read_gguf_spec(const GgufFile &file, const std::function<void(const std::string &)> &note = {});

// What the metadata means. `tokenizer.huggingface.json`, where it is there, is followed and nothing else. `note` is
// told what was assumed, such as the pattern of a file that names none; `name` stands for the file in messages. Throws
// GgufTokenizerError for anything unknown or contradictory.
TokenizerSpec spec_of_gguf(const GgufTokenizer &metadata, const std::string &name,
                           const std::function<void(const std::string &)> &note = {});

// The metadata that describes `spec`: spec_of_gguf() of it encodes every text to the same ids. Where the arrays alone
// cannot say it (a pattern that has no name, tokens that swallow spaces), huggingface_json is filled as well. Ids below
// `vocab` (the rows of the model's embedding) that have no token get one named "[PAD<id>]" of type Unused. Throws Error
// when the tokenizer has ids from `vocab` on.
GgufTokenizer gguf_of_spec(const TokenizerSpec &spec, int64_t vocab);

}  // namespace bittern::runtime
