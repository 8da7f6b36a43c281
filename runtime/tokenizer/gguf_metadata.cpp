// Reads the tokenizer's keys of a GGUF file; every value is checked here, where its offset is known.
#include <fmt/format.h>

#include "runtime/io/utf8.h"
#include "runtime/model/gguf_file.h"
#include "runtime/tokenizer/gguf_tokenizer.h"
#include "runtime/tokenizer/sentencepiece.h"

namespace bittern::runtime {
namespace {

constexpr uint64_t kMostTokens = 1 << 22;

std::string text(const GgufFile &file, const char *key) {
  const GgufValue *value = file.find(key);
  return value ? std::string(value->string()) : std::string();
}

std::optional<bool> flag(const GgufFile &file, const char *key) {
  const GgufValue *value = file.find(key);
  return value ? std::optional(value->boolean()) : std::nullopt;
}

int32_t id(const GgufFile &file, const char *key, size_t tokens) {
  const GgufValue *value = file.find(key);
  if (!value) return -1;
  // Some writers put -1, as 32 bits, for "none".
  if (value->integer(INT64_MIN, INT64_MAX) == -1 || value->integer(INT64_MIN, INT64_MAX) == UINT32_MAX) return -1;
  return static_cast<int32_t>(value->integer(0, static_cast<int64_t>(tokens) - 1));
}

std::vector<std::string> strings(const GgufValue &value) {
  const GgufArray array = value.array();
  std::vector<std::string> out;
  for (const GgufValue item : array) {
    const std::string_view string = item.string();
    if (!utf8_valid(string)) item.fail("not UTF-8");
    out.emplace_back(string);
  }
  return out;
}

// An array of a value for each token, or nothing when there is none.
const GgufValue *one_each(const GgufFile &file, const char *key, size_t tokens) {
  const GgufValue *value = file.find(key);
  if (value && value->array().size() != tokens) {
    value->fail(fmt::format("{} values for {} tokens", value->array().size(), tokens));
  }
  return value;
}

}  // namespace

GgufTokenizer read_gguf_tokenizer(const GgufFile &file) {
  GgufTokenizer out;
  out.model = file.get("tokenizer.ggml.model").string();
  out.pre = text(file, "tokenizer.ggml.pre");
  const GgufValue &tokens = file.get("tokenizer.ggml.tokens");
  if (tokens.array().size() == 0 || tokens.array().size() > kMostTokens) {
    tokens.fail(fmt::format("{} tokens", tokens.array().size()));
  }
  out.tokens = strings(tokens);
  const size_t count = out.tokens.size();
  if (const GgufValue *scores = one_each(file, "tokenizer.ggml.scores", count)) {
    for (const GgufValue item : scores->array()) out.scores.push_back(static_cast<float>(item.number(-1e30, 1e30)));
  }
  if (const GgufValue *types = one_each(file, "tokenizer.ggml.token_type", count)) {
    for (const GgufValue item : types->array()) {
      const int32_t type = static_cast<int32_t>(item.integer(1, 6));
      const std::string &token = out.tokens[out.types.size()];
      if (type == static_cast<int32_t>(TokenType::Byte) && byte_of_piece(token) < 0) {
        item.fail(fmt::format("token '{}' is of type 6 (byte), which '<0x0A>' would be", token));
      }
      out.types.push_back(type);
    }
  }
  if (const GgufValue *merges = file.find("tokenizer.ggml.merges")) out.merges = strings(*merges);
  if (const GgufValue *map = file.find("tokenizer.ggml.precompiled_charsmap")) {
    for (const GgufValue item : map->array()) out.charsmap.push_back(static_cast<uint8_t>(item.integer(-128, 255)));
  }
  out.bos = id(file, "tokenizer.ggml.bos_token_id", count);
  out.eos = id(file, "tokenizer.ggml.eos_token_id", count);
  out.unk = id(file, "tokenizer.ggml.unknown_token_id", count);
  out.pad = id(file, "tokenizer.ggml.padding_token_id", count);
  out.add_bos = flag(file, "tokenizer.ggml.add_bos_token");
  out.add_eos = flag(file, "tokenizer.ggml.add_eos_token");
  out.add_space_prefix = flag(file, "tokenizer.ggml.add_space_prefix");
  out.remove_extra_whitespaces = flag(file, "tokenizer.ggml.remove_extra_whitespaces");
  if (const GgufValue *json = file.find("tokenizer.huggingface.json")) {
    out.huggingface_json = json->string();
    out.huggingface_json_at = json->offset() + sizeof(uint64_t);  // the text's length comes first
  }
  return out;
}

TokenizerSpec read_gguf_spec(const GgufFile &file, const std::function<void(const std::string &)> &note) {
  const GgufTokenizer metadata = read_gguf_tokenizer(file);
  try {
    return spec_of_gguf(metadata, file.file().path(), note);
  } catch (const GgufTokenizerError &error) {
    const GgufValue *value = file.find(error.key);
    if (!value) throw;  // the key is what is missing
    size_t number = 0;
    if (error.item) {
      for (const GgufValue item : value->array()) {
        if (number++ == *error.item) item.fail(error.problem);
      }
    }
    value->fail(error.problem);
  }
}

}  // namespace bittern::runtime
