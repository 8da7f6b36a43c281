#include "runtime/tokenizer/byte_level_bpe.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/error.h"
#include "runtime/io/utf8.h"
#include "runtime/tokenizer/byte_level.h"

namespace bittern::runtime {
namespace {

// Bounds the tables that a small file with a large id could ask for.
constexpr int64_t kMaxId = 1 << 22;

// Fields that change what BPE means, with the only value that byte-level BPE has.
void check_model(const Json &model) {
  for (const char *name : {"dropout", "unk_token"}) {
    if (const auto field = model.find_value(name)) field->fail("not supported in byte-level BPE");
  }
  for (const char *name : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (const auto field = model.find_value(name); field && !field->string().empty()) field->fail("not supported");
  }
  if (const auto field = model.find_value("byte_fallback"); field && field->boolean()) {
    field->fail("true is not supported (a SentencePiece-style BPE)");
  }
}

void check_decoder(const Json &root) {
  const Json decoder = root.get("decoder");
  decoder.expect(Json::Type::Object);
  const Json type = decoder.get("type");
  if (type.string() != "ByteLevel")
    type.fail(fmt::format("'{}' is not supported (supported: ByteLevel)", type.string()));
}

// The pre-tokenizer's field, once everything beside it is known to be byte-level BPE: that is the better message.
Json checked_pre_tokenizer(const Json &root) {
  const Json model = root.get("model");
  model.expect(Json::Type::Object);
  check_model(model);
  check_decoder(root);
  if (const auto normalizer = root.find_value("normalizer")) {
    const Json type = normalizer->get("type");
    type.fail(fmt::format("'{}' is not supported", type.string()));
  }
  return root.get("pre_tokenizer");
}

}  // namespace

ByteLevelBpe::ByteLevelBpe(const Json &root)
    : pre_tokenizer_(checked_pre_tokenizer(root)), merges_(root.get("model").get("merges").size()) {
  const Json model = root.get("model");
  if (const auto ignore = model.find_value("ignore_merges")) ignore_merges_ = ignore->boolean();
  read_vocab(model.get("vocab"));
  read_merges(model.get("merges"));
  read_added(root);
  if (const auto processor = root.find_value("post_processor")) read_template(*processor);
}

void ByteLevelBpe::read_vocab(const Json &vocab) {
  vocab.expect(Json::Type::Object);
  ids_.reserve(vocab.size() * 2);
  std::vector<bool> taken;
  for (const Json entry : vocab) {
    const size_t id = static_cast<size_t>(entry.integer(0, kMaxId - 1));
    if (id >= bytes_.size()) {
      bytes_.resize(id + 1);
      taken.resize(id + 1);
    }
    if (taken[id]) entry.fail(fmt::format("id {} is taken by another token", id));
    taken[id] = true;
    std::string content = entry.key();
    bytes_[id] = byte_level_decode(content).value_or(content);
    ids_.emplace(std::move(content), static_cast<int32_t>(id));
  }
  for (size_t byte = 0; byte < byte_ids_.size(); ++byte) {
    const std::string content = byte_level_encode(std::string(1, static_cast<char>(static_cast<uint8_t>(byte))));
    const auto found = ids_.find(content);
    if (found == ids_.end()) vocab.fail(fmt::format("no token for the byte 0x{:02x} ('{}')", byte, content));
    byte_ids_[byte] = found->second;
  }
}

int32_t ByteLevelBpe::token(const Json &where, std::string_view content) const {
  const auto found = ids_.find(std::string(content));
  if (found == ids_.end()) where.fail(fmt::format("'{}' is not in the vocabulary", content));
  return found->second;
}

void ByteLevelBpe::read_merges(const Json &merges) {
  merges.expect(Json::Type::Array);
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
    const int32_t left_id = token(entry, left), right_id = token(entry, right);
    merges_.add(left_id, right_id, token(entry, left + right));
  }
}

void ByteLevelBpe::read_added(const Json &root) {
  special_.resize(bytes_.size());
  const auto field = root.find_value("added_tokens");
  if (!field) return;
  added_ = AddedTokens(*field, kMaxId);
  for (const AddedToken &added : added_.tokens()) {
    const size_t id = static_cast<size_t>(added.id);
    if (id >= bytes_.size()) {
      bytes_.resize(id + 1);
      special_.resize(id + 1);
    }
    const auto [known, is_new] = ids_.emplace(added.content, added.id);
    if (known->second != added.id || (is_new && !bytes_[id].empty())) {
      field->fail(fmt::format("'{}' has id {}, which contradicts another token", added.content, added.id));
    }
    bytes_[id] = byte_level_decode(added.content).value_or(added.content);
    special_[id] = special_[id] || added.special;
  }
}

void ByteLevelBpe::read_template(const Json &processor) {
  const Json type = processor.get("type");
  const std::string name = type.string();
  if (name == "Sequence") {
    const Json list = processor.get("processors");
    list.expect(Json::Type::Array);
    for (const Json item : list) read_template(item);
  } else if (name == "TemplateProcessing") {
    const Json single = processor.get("single"), special = processor.get("special_tokens");
    single.expect(Json::Type::Array);
    for (const Json item : single) {
      if (item.find("Sequence")) return;
      const Json reference = item.get("SpecialToken").get("id");
      const Json ids = special.get(reference.string()).get("ids");
      ids.expect(Json::Type::Array);
      for (const Json id : ids) prefix_.push_back(static_cast<int32_t>(id.integer(0, vocab_size() - 1)));
    }
    single.fail("no Sequence");
  } else if (name != "ByteLevel") {  // which only moves offsets
    type.fail(fmt::format("'{}' is not supported (supported: Sequence, TemplateProcessing, ByteLevel)", name));
  }
}

std::vector<int32_t> ByteLevelBpe::encode(std::string_view text, bool add_bos, ParseSpecial parse_special) const {
  std::vector<int32_t> out;
  if (add_bos) out = prefix_;
  std::string sanitized;
  if (!utf8_valid(text)) text = sanitized = utf8_sanitize(text);
  const auto ordinary = [&](std::string_view part) {
    std::deque<std::string> storage;
    for (const std::string_view piece : pre_tokenizer_.split(part, storage)) encode_piece(piece, out);
  };
  added_.split(text, parse_special, ordinary, [&](int32_t id) { out.push_back(id); });
  return out;
}

void ByteLevelBpe::encode_piece(std::string_view piece, std::vector<int32_t> &out) const {
  if (ignore_merges_) {
    if (const auto whole = ids_.find(byte_level_encode(piece)); whole != ids_.end()) {
      out.push_back(whole->second);
      return;
    }
  }
  std::vector<int32_t> ids(piece.size());
  std::transform(piece.begin(), piece.end(), ids.begin(), [&](char c) { return byte_ids_[static_cast<uint8_t>(c)]; });
  merges_.apply(ids);
  out.insert(out.end(), ids.begin(), ids.end());
}

void ByteLevelBpe::check_id(int32_t id) const {
  if (id < 0 || id >= vocab_size()) throw Error(fmt::format("token id {} is outside 0..{}", id, vocab_size() - 1));
}

const std::string &ByteLevelBpe::token_bytes(int32_t id) const {
  check_id(id);
  return bytes_[static_cast<size_t>(id)];
}

bool ByteLevelBpe::is_special(int32_t id) const {
  check_id(id);
  return special_[static_cast<size_t>(id)];
}

int32_t ByteLevelBpe::find(std::string_view content) const {
  const auto found = ids_.find(std::string(content));
  return found == ids_.end() ? -1 : found->second;
}

}  // namespace bittern::runtime
