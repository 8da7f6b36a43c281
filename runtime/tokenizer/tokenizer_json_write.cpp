// The writer of tokenizer_json.h.
#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "runtime/error.h"
#include "runtime/tokenizer/scored_merges.h"
#include "runtime/tokenizer/spaces.h"
#include "runtime/tokenizer/tokenizer_json.h"

namespace bittern::runtime {
namespace {

using json = nlohmann::ordered_json;
using Model = TokenizerSpec::Model;

[[noreturn]] void refuse(const TokenizerSpec &spec, const std::string &what) {
  throw Error(fmt::format("{}: cannot be written as tokenizer.json: {}", spec.name, what));
}

std::string base64(const std::string &bytes) {
  std::string out(sodium_base64_encoded_len(bytes.size(), sodium_base64_VARIANT_ORIGINAL), '\0');
  sodium_bin2base64(out.data(), out.size(), reinterpret_cast<const unsigned char *>(bytes.data()), bytes.size(),
                    sodium_base64_VARIANT_ORIGINAL);
  out.pop_back();  // a zero byte
  return out;
}

json replace(const char *kind, const std::string &pattern, const std::string &content) {
  return {{"type", "Replace"}, {"pattern", {{kind, pattern}}}, {"content", content}};
}

// SentencePiece's normaliser as Hugging Face's steps.
void add_sentencepiece(const TokenizerSpec &spec, const NormalizerStep &step, json &out) {
  if (step.space_as_suffix) refuse(spec, "a space goes behind the text");
  if (!step.escape_spaces) refuse(spec, "spaces are not escaped");
  if (!step.content.empty()) out.push_back({{"type", "Precompiled"}, {"precompiled_charsmap", base64(step.content)}});
  if (step.remove_extra_spaces) {
    out.push_back(replace("Regex", R"(\A +| +\z)", ""));
    out.push_back(replace("Regex", " {2,}", " "));
  }
  const std::string mark(kSpaceMark);
  if (step.dummy_prefix) out.push_back({{"type", "Prepend"}, {"prepend", mark}});
  out.push_back(replace("String", " ", mark));
}

json normalizer(const TokenizerSpec &spec) {
  using Kind = NormalizerStep::Kind;
  json steps = json::array();
  for (const NormalizerStep &step : spec.normalizer) {
    switch (step.kind) {
      case Kind::Nfc:
        steps.push_back({{"type", "NFC"}});
        break;
      case Kind::Nfd:
        steps.push_back({{"type", "NFD"}});
        break;
      case Kind::Nfkc:
        steps.push_back({{"type", "NFKC"}});
        break;
      case Kind::Nfkd:
        steps.push_back({{"type", "NFKD"}});
        break;
      case Kind::Prepend:
        steps.push_back({{"type", "Prepend"}, {"prepend", step.content}});
        break;
      case Kind::Replace:
        steps.push_back(replace(step.regex ? "Regex" : "String", step.pattern, step.content));
        break;
      case Kind::Strip:
        steps.push_back({{"type", "Strip"}, {"strip_left", step.left}, {"strip_right", step.right}});
        break;
      case Kind::Precompiled:
        steps.push_back({{"type", "Precompiled"}, {"precompiled_charsmap", base64(step.content)}});
        break;
      case Kind::SentencePiece:
        add_sentencepiece(spec, step, steps);
        break;
    }
  }
  if (steps.empty()) return nullptr;
  return steps.size() == 1 ? steps[0] : json{{"type", "Sequence"}, {"normalizers", steps}};
}

json pre_tokenizer(const TokenizerSpec &spec) {
  using Kind = PreTokenizerStep::Kind;
  // By SplitBehavior's and Prefix's order.
  constexpr const char *kWritten[] = {"Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"};
  constexpr const char *kSchemes[] = {"never", "first", "always"};
  json steps = json::array();
  for (const PreTokenizerStep &step : spec.pre_tokenizer) {
    if (step.kind == Kind::Split) {
      steps.push_back({{"type", "Split"},
                       {"pattern", {{step.regex ? "Regex" : "String", step.pattern}}},
                       {"behavior", kWritten[static_cast<size_t>(step.behavior)]},
                       {"invert", step.invert}});
    } else if (step.kind == Kind::ByteLevel) {
      steps.push_back({{"type", "ByteLevel"},
                       {"add_prefix_space", step.prefix == PreTokenizerStep::Prefix::Always},
                       {"trim_offsets", true},
                       {"use_regex", step.use_regex}});
    } else {
      steps.push_back({{"type", "Metaspace"},
                       {"replacement", step.pattern},
                       {"prepend_scheme", kSchemes[static_cast<size_t>(step.prefix)]},
                       {"split", step.split}});
    }
  }
  if (steps.empty()) return nullptr;
  return steps.size() == 1 ? steps[0] : json{{"type", "Sequence"}, {"pretokenizers", steps}};
}

json decoder(const TokenizerSpec &spec) {
  if (spec.model == Model::ByteLevelBpe) {
    return {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}};
  }
  json steps = json::array();
  if (!spec.space_mark.empty()) steps.push_back(replace("String", spec.space_mark, " "));
  const bool bytes = std::any_of(spec.tokens.begin(), spec.tokens.end(),
                                 [](const SpecToken &token) { return token.type == TokenType::Byte; });
  if (bytes) steps.push_back({{"type", "ByteFallback"}});
  steps.push_back({{"type", "Fuse"}});
  if (spec.strip_spaces > 0) {
    steps.push_back({{"type", "Strip"}, {"content", " "}, {"start", spec.strip_spaces}, {"stop", 0}});
  }
  return {{"type", "Sequence"}, {"decoders", steps}};
}

json post_processor(const TokenizerSpec &spec) {
  if (spec.prefix.empty() && spec.suffix.empty()) return nullptr;
  json single = json::array(), pair, special = json::object();
  const auto add = [&](const std::vector<int32_t> &ids) {
    for (const int32_t id : ids) {
      const std::string &text = spec.tokens[static_cast<size_t>(id)].text;
      single.push_back({{"SpecialToken", {{"id", text}, {"type_id", 0}}}});
      special[text] = {{"id", text}, {"ids", json::array({id})}, {"tokens", json::array({text})}};
    }
  };
  add(spec.prefix);
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  add(spec.suffix);
  pair = single;
  pair.push_back({{"Sequence", {{"id", "B"}, {"type_id", 1}}}});
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", special}};
}

bool has_dummy_prefix(const TokenizerSpec &spec) {
  return std::any_of(spec.normalizer.begin(), spec.normalizer.end(),
                     [](const NormalizerStep &step) { return step.dummy_prefix; });
}

// SentencePiece's user-defined pieces are found in normalised text; there, Hugging Face would look for them with the
// dummy prefix in front.
void check_user_defined(const TokenizerSpec &spec) {
  if (spec.model == Model::ByteLevelBpe || spec.model == Model::CharacterBpe || !has_dummy_prefix(spec)) return;
  for (const SpecToken &token : spec.tokens) {
    if (token.type != TokenType::UserDefined) continue;
    const auto raw = std::find_if(spec.added.begin(), spec.added.end(), [&](const AddedToken &added) {
      return added.content == token.text && !added.normalized;
    });
    if (raw == spec.added.end())
      refuse(spec, fmt::format("the user-defined piece '{}' behind a dummy prefix", token.text));
  }
}

json added_tokens(const TokenizerSpec &spec) {
  check_user_defined(spec);
  std::vector<AddedToken> tokens = spec.added;
  // Every token that the model has no place for, or that must not be made of other text, is an added one.
  std::stable_sort(tokens.begin(), tokens.end(), [](const AddedToken &a, const AddedToken &b) { return a.id < b.id; });
  json out = json::array();
  for (const AddedToken &token : tokens) {
    out.push_back({{"id", token.id},
                   {"content", token.content},
                   {"single_word", token.single_word},
                   {"lstrip", token.strip_left},
                   {"rstrip", token.strip_right},
                   {"normalized", token.normalized},
                   {"special", token.special}});
  }
  return out;
}

json unigram(const TokenizerSpec &spec) {
  json pieces = json::array();
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    const SpecToken &token = spec.tokens[i];
    if (token.type == TokenType::Unused) refuse(spec, fmt::format("the unused piece '{}'", token.text));
    // An added token beyond the model's pieces has no score.
    if (token.type == TokenType::Absent) refuse(spec, fmt::format("no piece has id {}", i));
    pieces.push_back({token.text, token.score});
  }
  return {{"type", "Unigram"},
          {"unk_id", spec.unk >= 0 ? json(spec.unk) : json()},
          {"vocab", pieces},
          {"byte_fallback", spec.byte_fallback}};
}

json bpe(const TokenizerSpec &spec) {
  json vocab = json::object(), merges = json::array();
  std::vector<std::pair<std::string, size_t>> by_text;
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    const SpecToken &token = spec.tokens[i];
    const bool plain =
        spec.model != Model::ByteLevelBpe || (token.type != TokenType::Control && token.type != TokenType::UserDefined);
    if (token.type != TokenType::Absent && plain) by_text.emplace_back(token.text, i);
  }
  std::vector<TokenizerSpec::Merge> pairs = spec.merges;
  if (spec.model == Model::ScoredBpe) pairs = merges_of_scores(spec);
  // Tokens of merges belong to the model, whatever else they are.
  std::vector<bool> written(spec.tokens.size());
  for (const auto &[text, id] : by_text) written[id] = true;
  for (const TokenizerSpec::Merge &merge : pairs) {
    for (const int32_t id : {merge.left, merge.right, merge.merged}) {
      const size_t at = static_cast<size_t>(id);
      if (!written[at]) by_text.emplace_back(spec.tokens[at].text, at);
      written[at] = true;
    }
  }
  std::sort(by_text.begin(), by_text.end(), [](const auto &a, const auto &b) { return a.second < b.second; });
  std::vector<std::pair<std::string, json>> members;
  for (auto &[text, id] : by_text) members.emplace_back(std::move(text), id);
  // Straight into the object's list: its own insertion looks for the key each time.
  auto &object = vocab.get_ref<json::object_t &>();
  for (auto &[text, id] : members)
    static_cast<std::vector<std::pair<const std::string, json>> &>(object).emplace_back(text, id);
  for (const TokenizerSpec::Merge &merge : pairs) {
    merges.push_back(
        {spec.tokens[static_cast<size_t>(merge.left)].text, spec.tokens[static_cast<size_t>(merge.right)].text});
  }
  const bool unk = spec.unk >= 0 && spec.model != Model::ByteLevelBpe;
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", unk ? json(spec.tokens[static_cast<size_t>(spec.unk)].text) : json()},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", spec.fuse_unk},
          {"byte_fallback", spec.byte_fallback},
          {"ignore_merges", spec.ignore_merges},
          {"vocab", vocab},
          {"merges", merges}};
}

}  // namespace

std::string to_tokenizer_json(const TokenizerSpec &spec) {
  const json out = {{"version", "1.0"},
                    {"truncation", nullptr},
                    {"padding", nullptr},
                    {"added_tokens", added_tokens(spec)},
                    {"normalizer", normalizer(spec)},
                    {"pre_tokenizer", pre_tokenizer(spec)},
                    {"post_processor", post_processor(spec)},
                    {"decoder", decoder(spec)},
                    {"model", spec.model == Model::Unigram ? unigram(spec) : bpe(spec)}};
  return out.dump();
}

}  // namespace bittern::runtime
