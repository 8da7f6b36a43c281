// From GGUF's arrays to a spec.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "runtime/error.h"
#include "runtime/tokenizer/gguf_tokenizer.h"
#include "runtime/tokenizer/pre_names.h"
#include "runtime/tokenizer/sentencepiece.h"
#include "runtime/tokenizer/spaces.h"
#include "runtime/tokenizer/tokenizer_json.h"

namespace bittern::runtime {
namespace {

using Note = std::function<void(const std::string &)>;

[[noreturn]] void fail(const TokenizerSpec &spec, const std::string &key, const std::string &what) {
  throw GgufTokenizerError(spec.name, "tokenizer.ggml." + key, what, std::nullopt);
}
[[noreturn]] void fail_item(const TokenizerSpec &spec, const std::string &key, size_t item, const std::string &what) {
  throw GgufTokenizerError(spec.name, "tokenizer.ggml." + key, fmt::format("item {}: {}", item, what), item);
}

// The tokens with scores and types; without types, the ids that have a role tell the special ones.
void read_tokens(const GgufTokenizer &metadata, TokenizerSpec &spec) {
  const size_t count = metadata.tokens.size();
  if (!metadata.scores.empty() && metadata.scores.size() != count) fail(spec, "scores", "not one a token");
  if (!metadata.types.empty() && metadata.types.size() != count) fail(spec, "token_type", "not one a token");
  spec.tokens.resize(count);
  for (size_t i = 0; i < count; ++i) {
    SpecToken &token = spec.tokens[i];
    token.text = metadata.tokens[i];
    token.type = TokenType::Normal;
    if (!metadata.scores.empty()) token.score = static_cast<double>(metadata.scores[i]);
    if (!std::isfinite(token.score)) fail_item(spec, "scores", i, "not a finite number");
    if (!metadata.types.empty()) {
      const int32_t type = metadata.types[i];
      if (type < 1 || type > 6) fail_item(spec, "token_type", i, fmt::format("{} is outside 1..6", type));
      token.type = static_cast<TokenType>(type);
      if (token.type == TokenType::Byte && byte_of_piece(token.text) < 0)
        fail_item(spec, "token_type", i, fmt::format("'{}' is no byte", token.text));
    } else if (byte_of_piece(token.text) >= 0 && metadata.model != "gpt2") {
      token.type = TokenType::Byte;
    }
    if (token.text.empty()) token.type = TokenType::Absent;
  }
  const auto role = [&](const char *key, int32_t id, TokenType type) {
    if (id < 0) return;
    if (static_cast<size_t>(id) >= count) fail(spec, key, fmt::format("{} is outside 0..{}", id, count - 1));
    TokenType &now = spec.tokens[static_cast<size_t>(id)].type;
    if (metadata.types.empty() && now == TokenType::Normal) now = type;
  };
  role("unknown_token_id", metadata.unk, TokenType::Unknown);
  role("bos_token_id", metadata.bos, TokenType::Control);
  role("eos_token_id", metadata.eos, TokenType::Control);
  role("padding_token_id", metadata.pad, TokenType::Control);
  spec.bos = metadata.bos;
  spec.eos = metadata.eos;
  spec.pad = metadata.pad;
}

void add_ends(const GgufTokenizer &metadata, bool bos, bool eos, TokenizerSpec &spec) {
  if (metadata.add_bos.value_or(bos) && spec.bos >= 0) spec.prefix = {spec.bos};
  if (metadata.add_eos.value_or(eos) && spec.eos >= 0) spec.suffix = {spec.eos};
}

void read_merges(const GgufTokenizer &metadata, TokenizerSpec &spec) {
  std::unordered_map<std::string_view, int32_t> ids;
  for (size_t i = 0; i < spec.tokens.size(); ++i) ids.emplace(spec.tokens[i].text, static_cast<int32_t>(i));
  spec.merges.reserve(metadata.merges.size());
  std::string whole;
  for (size_t i = 0; i < metadata.merges.size(); ++i) {
    const std::string_view merge = metadata.merges[i];
    const size_t space = merge.find(' ', 1);
    if (space == std::string_view::npos || merge.find(' ', space + 1) != std::string_view::npos)
      fail_item(spec, "merges", i, "expected two tokens with a space between them");
    const auto id = [&](std::string_view token) {
      const auto found = ids.find(token);
      if (found == ids.end()) fail_item(spec, "merges", i, fmt::format("'{}' is not in the vocabulary", token));
      return found->second;
    };
    const int32_t left = id(merge.substr(0, space)), right = id(merge.substr(space + 1));
    whole.assign(merge.substr(0, space)).append(merge.substr(space + 1));
    spec.merges.push_back({left, right, id(whole)});
  }
}

void read_gpt2(const GgufTokenizer &metadata, TokenizerSpec &spec, const Note &note) {
  spec.model = TokenizerSpec::Model::ByteLevelBpe;
  const PreName *pre = find_pre_name(metadata.pre);
  // "default" is what converters write that did not know the model.
  if (!pre && (metadata.pre.empty() || metadata.pre == "default")) {
    pre = &guess_pre_name(metadata.tokens);
    if (note) {
      note(fmt::format("{}: metadata 'tokenizer.ggml.pre' {}; its tokens look like those of '{}', which is used",
                       spec.name, metadata.pre.empty() ? "is missing" : "is 'default'", pre->names[0]));
    }
  }
  if (!pre) {
    std::string known;
    for (const PreName &row : pre_names()) {
      for (const std::string_view name : row.names) known.append(known.empty() ? "" : ", ").append(name);
    }
    fail(spec, "pre", fmt::format("'{}' is not supported (supported: {})", metadata.pre, known));
  }
  spec.normalizer = pre->normalizer;
  spec.pre_tokenizer = pre->pre_tokenizer;
  spec.ignore_merges = pre->ignore_merges;
  if (metadata.merges.empty()) fail(spec, "merges", "missing");
  read_merges(metadata, spec);
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    SpecToken &token = spec.tokens[i];
    if (token.type == TokenType::Unused) token = {};  // rows of the embedding that no token has
    if (token.type == TokenType::Byte) token.type = TokenType::Normal;
    if (token.type == TokenType::Normal || token.type == TokenType::Absent) continue;
    spec.added.push_back(
        {.id = static_cast<int32_t>(i), .content = token.text, .special = token.type != TokenType::UserDefined});
  }
  add_ends(metadata, pre->add_bos, false, spec);
}

void read_sentencepiece(const GgufTokenizer &metadata, TokenizerSpec &spec, TokenizerSpec::Model model) {
  const bool unigram = model == TokenizerSpec::Model::Unigram;
  spec.model = model;
  if (metadata.scores.empty()) fail(spec, "scores", "missing");
  const auto is = [&](TokenType type) {
    return std::any_of(spec.tokens.begin(), spec.tokens.end(), [&](const SpecToken &t) { return t.type == type; });
  };
  if (metadata.unk >= 0 && !is(TokenType::Unknown))
    spec.tokens[static_cast<size_t>(metadata.unk)].type = TokenType::Unknown;
  spec.byte_fallback = is(TokenType::Byte);
  spec.unk_text = kUnknownText;
  finish_sentencepiece(spec, {.dummy_prefix = metadata.add_space_prefix.value_or(true),
                              .remove_extra = metadata.remove_extra_whitespaces.value_or(unigram),
                              .escape = true,
                              .charsmap = std::string(metadata.charsmap.begin(), metadata.charsmap.end())});
  // Converters add tokens of the model's maker as user-defined ones, which cut the text before it is normalised; those
  // with a mark for a space come from SentencePiece and are looked for afterwards.
  for (AddedToken &token : spec.added)
    token.normalized = token.content.find(kSpaceMark) != std::string::npos && !token.special;
  // SentencePiece's own numbers, where a file names none.
  const auto control = [&](int32_t id) {
    return static_cast<size_t>(id) < spec.tokens.size() &&
           spec.tokens[static_cast<size_t>(id)].type == TokenType::Control;
  };
  if (!unigram && spec.bos < 0 && control(1)) spec.bos = 1;
  if (!unigram && spec.eos < 0 && control(2)) spec.eos = 2;
  add_ends(metadata, !unigram, unigram, spec);
}

constexpr struct {
  const char *model;
  void (*read)(const GgufTokenizer &metadata, TokenizerSpec &spec, const Note &note);
} kGgufModels[] = {
    {"gpt2", read_gpt2},
    {"llama", [](const GgufTokenizer &metadata, TokenizerSpec &spec,
                 const Note &) { read_sentencepiece(metadata, spec, TokenizerSpec::Model::ScoredBpe); }},
    {"t5", [](const GgufTokenizer &metadata, TokenizerSpec &spec,
              const Note &) { read_sentencepiece(metadata, spec, TokenizerSpec::Model::Unigram); }},
};

}  // namespace

GgufTokenizerError::GgufTokenizerError(const std::string &file, const std::string &in_key, const std::string &in_what,
                                       std::optional<size_t> in_item)
    : Error(fmt::format("{}: metadata '{}': {}", file, in_key, in_what)),
      key(in_key),
      problem(in_what),
      item(in_item) {}

TokenizerSpec spec_of_gguf(const GgufTokenizer &metadata, const std::string &name, const Note &note) {
  TokenizerSpec spec;
  if (!metadata.huggingface_json.empty()) {
    spec = parse_tokenizer_json(metadata.huggingface_json, name + ": metadata 'tokenizer.huggingface.json'",
                                metadata.huggingface_json_at);
    const int64_t count = static_cast<int64_t>(spec.tokens.size());
    if (metadata.bos < count) spec.bos = metadata.bos;
    if (metadata.eos < count) spec.eos = metadata.eos;
    if (metadata.pad < count) spec.pad = metadata.pad;
    return spec;
  }
  spec.name = name;
  std::string known;
  for (const auto &row : kGgufModels) {
    if (metadata.model != row.model) {
      known.append(known.empty() ? "" : ", ").append(row.model);
      continue;
    }
    if (metadata.tokens.empty()) fail(spec, "tokens", "missing");
    read_tokens(metadata, spec);
    row.read(metadata, spec, note);
    return spec;
  }
  fail(spec, "model", fmt::format("'{}' is not supported (supported: {})", metadata.model, known));
}

}  // namespace bittern::runtime
