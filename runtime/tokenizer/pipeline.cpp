// A tokenizer made of a spec: added tokens, normaliser, pre-tokenizer and model, one after another.
#include <fmt/format.h>

#include "runtime/error.h"
#include "runtime/io/utf8.h"
#include "runtime/tokenizer/added_tokens.h"
#include "runtime/tokenizer/byte_level.h"
#include "runtime/tokenizer/normalizer.h"
#include "runtime/tokenizer/piece_model.h"
#include "runtime/tokenizer/pre_tokenizer.h"
#include "runtime/tokenizer/sentencepiece.h"
#include "runtime/tokenizer/spaces.h"
#include "runtime/tokenizer/spec.h"

namespace bittern::runtime {
namespace {

// By TokenizerSpec::Model's order.
constexpr std::unique_ptr<PieceModel> (*kMakers[])(const TokenizerSpec &, const TokenIds &) = {
    make_byte_level_bpe, make_character_bpe, make_scored_bpe, make_unigram};

std::string bytes_of(const TokenizerSpec &spec, const SpecToken &token, int32_t id) {
  if (spec.model == TokenizerSpec::Model::ByteLevelBpe) return byte_level_decode(token.text).value_or(token.text);
  if (id == spec.unk && !spec.unk_text.empty()) return spec.unk_text;
  // "<0x0A>": the readers have checked its form.
  if (token.type == TokenType::Byte) return std::string(1, static_cast<char>(byte_of_piece(token.text)));
  return spec.space_mark.empty() ? token.text : replace_all(token.text, spec.space_mark, " ");
}

class Pipeline : public Tokenizer {
 public:
  explicit Pipeline(TokenizerSpec spec) : spec_(std::move(spec)) {
    std::vector<std::pair<std::string, int32_t>> kept;
    for (size_t i = 0; i < spec_.tokens.size(); ++i) {
      const SpecToken &token = spec_.tokens[i];
      const int32_t id = static_cast<int32_t>(i);
      bytes_.push_back(bytes_of(spec_, token, id));
      special_.push_back(token.type == TokenType::Control || token.type == TokenType::Unknown);
      if (token.type == TokenType::Absent) continue;
      ids_.emplace(token.text, id);
      if (token.type != TokenType::Control) model_ids_.emplace(token.text, id);
      if (token.type == TokenType::UserDefined) kept.emplace_back(token.text, id);
    }
    normalizer_ = Normalizer(spec_.normalizer, PrefixIndex(std::move(kept)));
    // SentencePiece's user-defined pieces are written in normal form already.
    const auto as_it_is = [](std::string_view text) { return std::string(text); };
    if (spec_.model == TokenizerSpec::Model::ScoredBpe)
      added_ = AddedTokens(spec_.added, as_it_is);
    else
      added_ = AddedTokens(spec_.added, normalizer_);
    pre_tokenizer_ = PreTokenizer(spec_.pre_tokenizer);
    model_ = kMakers[static_cast<size_t>(spec_.model)](spec_, model_ids_);
    spec_.merges = {};
  }
  Pipeline(const Pipeline &) = delete;  // the maps point into the spec
  Pipeline &operator=(const Pipeline &) = delete;

  std::vector<int32_t> encode(std::string_view text, bool add_bos, ParseSpecial parse_special) const override {
    std::vector<int32_t> out;
    if (add_bos) out = spec_.prefix;
    std::string sanitized;
    if (!utf8_valid(text)) text = sanitized = utf8_sanitize(text);
    const auto ordinary = [&](std::string_view part, bool first) {
      std::deque<std::string> storage;
      for (const std::string_view piece : pre_tokenizer_.split(part, first, storage)) model_->encode(piece, out);
    };
    added_.split(text, parse_special, normalizer_, ordinary, [&](int32_t id) { out.push_back(id); });
    return out;
  }

  const std::string &token_bytes(int32_t id) const override { return bytes_[checked(id)]; }
  bool is_special(int32_t id) const override { return special_[checked(id)]; }
  int32_t find(std::string_view content) const override {
    const auto found = ids_.find(content);
    return found == ids_.end() ? -1 : found->second;
  }
  int32_t bos() const override { return spec_.prefix.empty() ? -1 : spec_.prefix[0]; }
  int32_t eos() const override { return spec_.eos; }
  std::span<const int32_t> suffix() const override { return spec_.suffix; }
  int32_t strip_spaces() const override { return spec_.strip_spaces; }
  int64_t vocab_size() const override { return static_cast<int64_t>(bytes_.size()); }

 private:
  size_t checked(int32_t id) const {
    if (id < 0 || id >= vocab_size()) throw Error(fmt::format("token id {} is outside 0..{}", id, vocab_size() - 1));
    return static_cast<size_t>(id);
  }

  TokenizerSpec spec_;
  TokenIds ids_, model_ids_;
  std::vector<std::string> bytes_;  // by id
  std::vector<bool> special_;
  Normalizer normalizer_;
  AddedTokens added_;
  PreTokenizer pre_tokenizer_;
  std::unique_ptr<PieceModel> model_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_tokenizer(TokenizerSpec spec) {
  const std::string name = spec.name;
  try {
    return std::make_unique<Pipeline>(std::move(spec));
  } catch (const Error &error) {
    throw Error(fmt::format("{}: {}", name, error.what()));
  }
}

}  // namespace bittern::runtime
