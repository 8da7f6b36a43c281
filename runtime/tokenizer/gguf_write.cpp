// From a spec to GGUF's arrays.
#include <fmt/format.h>

#include <algorithm>

#include "runtime/error.h"
#include "runtime/tokenizer/byte_level.h"
#include "runtime/tokenizer/gguf_tokenizer.h"
#include "runtime/tokenizer/merges.h"
#include "runtime/tokenizer/pre_names.h"
#include "runtime/tokenizer/scored_merges.h"
#include "runtime/tokenizer/spaces.h"
#include "runtime/tokenizer/tokenizer_json.h"

namespace bittern::runtime {
namespace {

using Model = TokenizerSpec::Model;

void write_tokens(const TokenizerSpec &spec, int64_t vocab, GgufTokenizer &out) {
  const std::vector<double> scores = spec.model == Model::CharacterBpe ? scores_of_merges(spec) : std::vector<double>();
  for (size_t i = 0; i < static_cast<size_t>(vocab); ++i) {
    const SpecToken token = i < spec.tokens.size() ? spec.tokens[i] : SpecToken();
    TokenType type = token.type;
    if (static_cast<int64_t>(i) == spec.unk && spec.model != Model::ByteLevelBpe) type = TokenType::Unknown;
    const bool absent = type == TokenType::Absent;
    out.tokens.push_back(absent ? fmt::format("[PAD{}]", i) : token.text);
    out.types.push_back(static_cast<int32_t>(absent ? TokenType::Unused : type));
    if (spec.model == Model::ByteLevelBpe) continue;
    out.scores.push_back(static_cast<float>(i < scores.size() ? scores[i] : token.score));
  }
}

bool same_steps(const TokenizerSpec &spec, const PreName &row) {
  return spec.pre_tokenizer == row.pre_tokenizer && spec.normalizer == row.normalizer;
}

// Whether merging the bytes of every token leads to it, so that ignore_merges makes no difference.
bool merges_reach_all(const TokenizerSpec &spec) {
  std::array<int32_t, 256> bytes{};
  Merges merges(spec.merges.size());
  for (const TokenizerSpec::Merge &merge : spec.merges) merges.add(merge.left, merge.right, merge.merged);
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    const auto text = byte_level_decode(spec.tokens[i].text);
    if (text && text->size() == 1) bytes[static_cast<uint8_t>((*text)[0])] = static_cast<int32_t>(i);
  }
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    const TokenType type = spec.tokens[i].type;
    if (type == TokenType::Absent || type == TokenType::Control) continue;
    const std::string text = byte_level_decode(spec.tokens[i].text).value_or("");
    std::vector<int32_t> ids;
    for (const char byte : text) ids.push_back(bytes[static_cast<uint8_t>(byte)]);
    merges.apply(ids);
    if (!text.empty() && ids != std::vector{static_cast<int32_t>(i)}) return false;
  }
  return true;
}

// The row for the pattern; the pattern alone may match, and then the caller finds out what is lost.
std::string name_of(const TokenizerSpec &spec) {
  for (const PreName &row : pre_names()) {
    if (same_steps(spec, row)) return std::string(row.names[0]);
  }
  for (const PreName &row : pre_names()) {
    if (spec.pre_tokenizer == row.pre_tokenizer) return std::string(row.names[0]);
  }
  return "default";
}

// The added tokens in a form in which equal ones compare equal.
std::vector<AddedToken> comparable(const TokenizerSpec &spec) {
  std::vector<AddedToken> added = spec.added;
  const auto less = [](const AddedToken &a, const AddedToken &b) { return a.id < b.id; };
  std::stable_sort(added.begin(), added.end(), less);
  for (AddedToken &token : added) {
    if (spec.model == Model::ByteLevelBpe && spec.normalizer.empty()) token.normalized = false;  // it is the same then
  }
  return added;
}

// The spaces of Hugging Face's forms of SentencePiece: whether one goes in front, or nothing for other forms.
std::optional<bool> dummy_prefix(const TokenizerSpec &spec) {
  const std::string mark(kSpaceMark);
  const NormalizerStep prepend{.kind = NormalizerStep::Kind::Prepend, .content = mark};
  const NormalizerStep replace{.kind = NormalizerStep::Kind::Replace, .pattern = " ", .content = mark};
  PreTokenizerStep split;  // finds nothing, since no space is left
  split.pattern = " ";
  split.regex = false;
  split.behavior = SplitBehavior::MergedWithPrevious;
  const bool whole = spec.pre_tokenizer.empty() || spec.pre_tokenizer == std::vector{split};
  if (!whole) return std::nullopt;
  if (spec.normalizer == std::vector{prepend, replace}) return true;
  if (spec.normalizer == std::vector{replace}) return false;
  return std::nullopt;
}

// Whether the arrays alone say what the spec says.
bool arrays_suffice(const TokenizerSpec &spec, const GgufTokenizer &metadata) {
  TokenizerSpec read;
  try {
    read = spec_of_gguf(metadata, spec.name);
  } catch (const Error &) {
    return false;  // a merge of tokens with spaces, say
  }
  const auto tokens = [](const TokenizerSpec &s) {
    std::vector<std::pair<std::string, TokenType>> out;
    for (const SpecToken &token : s.tokens) {
      const bool gap =
          token.type == TokenType::Absent || (token.type == TokenType::Unused && token.text.starts_with("[PAD"));
      out.emplace_back(gap ? "" : token.text, gap ? TokenType::Absent : token.type);
    }
    while (!out.empty() && out.back().second == TokenType::Absent) out.pop_back();
    return out;
  };
  if (tokens(spec) != tokens(read) || comparable(spec) != comparable(read)) return false;
  if (spec.prefix != read.prefix || spec.suffix != read.suffix || spec.strip_spaces != read.strip_spaces) return false;
  switch (spec.model) {
    case Model::ByteLevelBpe:
      return spec.merges == read.merges && spec.normalizer == read.normalizer &&
             spec.pre_tokenizer == read.pre_tokenizer &&
             (spec.ignore_merges == read.ignore_merges || merges_reach_all(spec));
    case Model::CharacterBpe:
      return dummy_prefix(spec).has_value() && spec.byte_fallback && read.byte_fallback && !spec.ignore_merges &&
             spec.space_mark == read.space_mark && scores_say_it_all(spec);
    default:
      return spec.single_precision && spec.normalizer == read.normalizer && spec.pre_tokenizer.empty() &&
             spec.byte_fallback == read.byte_fallback && spec.unk_text == read.unk_text;
  }
}

}  // namespace

GgufTokenizer gguf_of_spec(const TokenizerSpec &spec, int64_t vocab) {
  if (static_cast<int64_t>(spec.tokens.size()) > vocab) {
    throw Error(fmt::format("{}: has ids up to {}, beyond the model's vocabulary of {}", spec.name,
                            spec.tokens.size() - 1, vocab));
  }
  GgufTokenizer out;
  // By TokenizerSpec::Model's order.
  constexpr const char *kGgufNames[] = {"gpt2", "llama", "llama", "t5"};
  out.model = kGgufNames[static_cast<size_t>(spec.model)];
  write_tokens(spec, vocab, out);
  if (spec.model == Model::ByteLevelBpe) {
    out.pre = name_of(spec);
    for (const TokenizerSpec::Merge &merge : spec.merges) {
      out.merges.push_back(spec.tokens[static_cast<size_t>(merge.left)].text + " " +
                           spec.tokens[static_cast<size_t>(merge.right)].text);
    }
  } else {
    bool prefix = dummy_prefix(spec).value_or(spec.strip_spaces > 0), remove = false;
    for (const NormalizerStep &step : spec.normalizer) {
      if (step.kind != NormalizerStep::Kind::SentencePiece) continue;
      prefix = step.dummy_prefix;
      remove = step.remove_extra_spaces;
      out.charsmap.assign(step.content.begin(), step.content.end());
    }
    out.add_space_prefix = prefix;
    out.remove_extra_whitespaces = remove;
    out.unk = spec.unk;
  }
  out.bos = spec.prefix.empty() ? spec.bos : spec.prefix[0];
  out.eos = spec.suffix.empty() ? spec.eos : spec.suffix[0];
  out.pad = spec.pad;
  out.add_bos = !spec.prefix.empty();
  out.add_eos = !spec.suffix.empty();
  if (!arrays_suffice(spec, out)) out.huggingface_json = to_tokenizer_json(spec);
  return out;
}

}  // namespace bittern::runtime
