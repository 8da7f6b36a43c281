// The reader of tokenizer_json.h: vocabulary, merges and added tokens; json_steps.h has the rest.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "runtime/error.h"
#include "runtime/io/json.h"
#include "runtime/tokenizer/byte_level.h"
#include "runtime/tokenizer/json_steps.h"
#include "runtime/tokenizer/tokenizer_json.h"

namespace bittern::runtime {
namespace {

constexpr JsonLimits kLimits{.depth = 32, .values = 1 << 23};

using Ids = std::unordered_map<std::string, int32_t>;

bool optional_flag(const Json &field, const char *name) {
  const auto found = field.find_value(name);
  return found && found->boolean();
}

// Ids may have gaps, but not so many that a small file asks for large tables.
int64_t id_limit(const Json &root, const Json &model) {
  int64_t count = model.get("vocab").size();
  if (const auto added = root.find_value("added_tokens")) count += added->size();
  return std::min<int64_t>(count * 4 + (1 << 16), 1 << 22);
}

void put(TokenizerSpec &spec, int64_t id, SpecToken token) {
  const size_t at = static_cast<size_t>(id);
  if (at >= spec.tokens.size()) spec.tokens.resize(at + 1);
  spec.tokens[at] = std::move(token);
}

// {"token": id, ...}
Ids read_vocab(const Json &vocab, int64_t limit, TokenizerSpec &spec) {
  vocab.expect(Json::Type::Object);
  Ids ids;
  ids.reserve(vocab.size() * 2);
  for (const Json entry : vocab) {
    const int64_t id = entry.integer(0, limit - 1);
    if (static_cast<size_t>(id) < spec.tokens.size() &&
        spec.tokens[static_cast<size_t>(id)].type != TokenType::Absent) {
      entry.fail(fmt::format("id {} is taken by another token", id));
    }
    put(spec, id, {.text = entry.key(), .type = TokenType::Normal});
    ids.emplace(entry.key(), static_cast<int32_t>(id));
  }
  return ids;
}

// [["piece", score], ...]; a piece that comes twice counts with its first place.
Ids read_pieces(const Json &vocab, TokenizerSpec &spec) {
  vocab.expect(Json::Type::Array);
  Ids ids;
  for (const Json entry : vocab) {
    entry.expect(Json::Type::Array);
    if (entry.size() != 2) entry.fail(fmt::format("expected a piece and its score, found {} values", entry.size()));
    auto item = entry.begin();
    std::string piece = (*item).string();
    ids.emplace(piece, static_cast<int32_t>(spec.tokens.size()));
    spec.tokens.push_back({std::move(piece), (*++item).number(-1e30, 1e30), TokenType::Normal});
  }
  return ids;
}

int32_t token(const Ids &ids, const Json &where, const std::string &content) {
  const auto found = ids.find(content);
  if (found == ids.end()) where.fail(fmt::format("'{}' is not in the vocabulary", content));
  return found->second;
}

void read_merges(const Json &merges, const Ids &ids, TokenizerSpec &spec) {
  merges.expect(Json::Type::Array);
  spec.merges.reserve(merges.size());
  for (const Json entry : merges) {  // ["a", "b"] or, in older files, "a b"
    std::string left, right;
    if (entry.is(Json::Type::Array)) {
      if (entry.size() != 2) entry.fail(fmt::format("expected two tokens, found {}", entry.size()));
      auto item = entry.begin();
      left = (*item).string();
      right = (*++item).string();
    } else {
      const std::string both = entry.string();
      const size_t space = both.find(' ');
      if (space == std::string::npos || both.find(' ', space + 1) != std::string::npos) {
        entry.fail("expected two tokens with a space between them");
      }
      left = both.substr(0, space);
      right = both.substr(space + 1);
    }
    const int32_t left_id = token(ids, entry, left), right_id = token(ids, entry, right);
    spec.merges.push_back({left_id, right_id, token(ids, entry, left + right)});
  }
}

void read_bpe(const Json &model, int64_t limit, TokenizerSpec &spec, Ids &ids) {
  if (const auto field = model.find_value("dropout"); field && field->number(0, 1) != 0) field->fail("not supported");
  for (const char *name : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (const auto field = model.find_value(name); field && !field->string().empty()) field->fail("not supported");
  }
  spec.model = is_byte_level(spec) ? TokenizerSpec::Model::ByteLevelBpe : TokenizerSpec::Model::CharacterBpe;
  spec.ignore_merges = optional_flag(model, "ignore_merges");
  spec.fuse_unk = optional_flag(model, "fuse_unk");
  const Json vocab = model.get("vocab");
  ids = read_vocab(vocab, limit, spec);
  if (spec.model == TokenizerSpec::Model::ByteLevelBpe) {
    for (int byte = 0; byte < 256; ++byte) {
      const std::string content = byte_level_encode(std::string(1, static_cast<char>(static_cast<uint8_t>(byte))));
      if (!ids.contains(content)) vocab.fail(fmt::format("no token for the byte 0x{:02x} ('{}')", byte, content));
    }
  } else if (const auto field = model.find_value("unk_token")) {  // where every byte has a token, nothing is unknown
    spec.unk = token(ids, *field, field->string());
  }
  read_merges(model.get("merges"), ids, spec);
}

void read_unigram(const Json &model, int64_t limit, TokenizerSpec &spec, Ids &ids) {
  if (is_byte_level(spec)) model.get("type").fail("Unigram with a ByteLevel pre-tokenizer is not supported");
  spec.model = TokenizerSpec::Model::Unigram;
  spec.fuse_unk = true;
  const Json vocab = model.get("vocab");
  ids = read_pieces(vocab, spec);
  if (spec.tokens.empty()) vocab.fail("empty");
  if (static_cast<int64_t>(spec.tokens.size()) > limit) vocab.fail("too many pieces");
  if (const auto field = model.find_value("unk_id")) {
    spec.unk = static_cast<int32_t>(field->integer(0, static_cast<int64_t>(spec.tokens.size()) - 1));
  }
}

constexpr struct {
  const char *type;
  void (*read)(const Json &model, int64_t limit, TokenizerSpec &spec, Ids &ids);
} kReaders[] = {{"BPE", read_bpe}, {"Unigram", read_unigram}};

void read_model(const Json &root, const Json &model, TokenizerSpec &spec, Ids &ids) {
  const Json type = model.get("type");
  const std::string name = type.string();
  for (const auto &row : kReaders) {
    if (name != row.type) continue;
    spec.byte_fallback = optional_flag(model, "byte_fallback");
    return row.read(model, id_limit(root, model), spec, ids);
  }
  type.fail(fmt::format("'{}' is not supported (supported: BPE, Unigram)", name));
}

void read_added(const Json &root, int64_t limit, TokenizerSpec &spec, Ids &ids) {
  const auto field = root.find_value("added_tokens");
  if (!field) return;
  field->expect(Json::Type::Array);
  for (const Json entry : *field) {
    AddedToken added;
    added.id = static_cast<int32_t>(entry.get("id").integer(0, limit - 1));
    added.content = entry.get("content").string();
    if (added.content.empty()) entry.get("content").fail("empty");
    added.special = optional_flag(entry, "special");
    added.normalized = optional_flag(entry, "normalized");
    added.strip_left = optional_flag(entry, "lstrip");
    added.strip_right = optional_flag(entry, "rstrip");
    added.single_word = optional_flag(entry, "single_word");
    const size_t id = static_cast<size_t>(added.id);
    const auto [known, is_new] = ids.emplace(added.content, added.id);
    const bool taken = id < spec.tokens.size() && spec.tokens[id].type != TokenType::Absent;
    if (known->second != added.id || (is_new && taken)) {
      field->fail(fmt::format("'{}' has id {}, which contradicts another token", added.content, added.id));
    }
    if (!taken) put(spec, added.id, {.text = added.content});
    TokenType &type = spec.tokens[id].type;
    if (added.special)
      type = added.id == spec.unk ? TokenType::Unknown : TokenType::Control;
    else if (type != TokenType::Control && type != TokenType::Unknown)
      type = TokenType::UserDefined;
    spec.added.push_back(std::move(added));
  }
}

}  // namespace

TokenizerSpec parse_tokenizer_json(std::string_view json, const std::string &name, uint64_t offset) {
  const JsonDocument document(json, name, kLimits, offset);
  const Json root = document.root();
  root.expect(Json::Type::Object);
  const Json model = root.get("model");
  model.expect(Json::Type::Object);
  TokenizerSpec spec;
  spec.name = name;
  Ids ids;
  read_normalizer(root, spec);
  read_pre_tokenizer(root, spec);
  read_model(root, model, spec, ids);
  read_added(root, id_limit(root, model), spec, ids);
  read_decoder(root, spec);
  read_post_processor(root, spec);
  return spec;
}

}  // namespace bittern::runtime
