#include "runtime/tokenizer/scored_merges.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <unordered_map>

#include "runtime/error.h"
#include "runtime/io/utf8.h"
#include "runtime/tokenizer/piece_model.h"

namespace bittern::runtime {
namespace {

using Merge = TokenizerSpec::Merge;

// What ScoredBpe merges to.
bool mergeable(TokenType type) {
  return type == TokenType::Normal || type == TokenType::UserDefined || type == TokenType::Unused;
}

class Pairs {
 public:
  explicit Pairs(const TokenizerSpec &spec) : spec_(&spec) {
    for (size_t i = 0; i < spec.tokens.size(); ++i) {
      if (mergeable(spec.tokens[i].type)) ids_.emplace(spec.tokens[i].text, static_cast<int32_t>(i));
    }
  }

  // Calls found(left, right) for every way to make token `id` of two symbols; -1 is a character that is no token.
  template <typename Found>
  void of(int32_t id, Found found) const {
    const std::string_view text = spec_->tokens[static_cast<size_t>(id)].text;
    for (size_t cut = utf8_step(text).length; cut < text.size(); cut += utf8_step(text.substr(cut)).length) {
      const int32_t left = symbol(text.substr(0, cut)), right = symbol(text.substr(cut));
      if (left != kNone && right != kNone) found(left, right);
    }
  }

 private:
  static constexpr int32_t kNone = INT32_MIN;
  int32_t symbol(std::string_view text) const {
    const auto found = ids_.find(text);
    if (found != ids_.end()) return found->second;
    return utf8_step(text).length == text.size() ? -1 : kNone;
  }
  const TokenizerSpec *spec_;
  std::unordered_map<std::string_view, int32_t> ids_;
};

// Whether `text` is the first character of `run` again and again.
bool is_run_of(std::string_view run, std::string_view text) {
  const std::string_view character = run.substr(0, utf8_step(run).length);
  while (text.starts_with(character)) text.remove_prefix(character.size());
  return text.empty();
}

// Llama-2's runs of spaces have one score for all lengths. Scores then take the leftmost pair, ranks the lowest; what
// comes of it is compared for runs of every length up to some that repeat the longest token.
bool same_on_runs(const TokenizerSpec &spec, const std::vector<Merge> &merges, std::string_view run) {
  constexpr size_t kLongest = 256;
  TokenizerSpec ranked = spec;
  ranked.model = TokenizerSpec::Model::CharacterBpe;
  ranked.merges = merges;
  TokenIds ids;
  for (size_t i = 0; i < ranked.tokens.size(); ++i) {
    if (ranked.tokens[i].type != TokenType::Control) ids.emplace(ranked.tokens[i].text, static_cast<int32_t>(i));
  }
  const auto by_rank = make_character_bpe(ranked, ids), by_score = make_scored_bpe(spec, ids);
  std::string text;
  for (size_t length = 1; length <= kLongest; ++length) {
    text += run.substr(0, utf8_step(run).length);
    std::vector<int32_t> one, other;
    by_rank->encode(text, one);
    by_score->encode(text, other);
    if (one != other) return false;
  }
  return true;
}

}  // namespace

std::vector<Merge> merges_of_scores(const TokenizerSpec &spec) {
  const auto refuse = [&](const std::string &what) {
    throw Error(fmt::format("{}: merges cannot say what its scores say: {}", spec.name, what));
  };
  const Pairs pairs(spec);
  std::vector<Merge> out;
  std::map<double, int32_t> made;  // the token of a score
  std::vector<std::array<std::string_view, 2>> equal;
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    const SpecToken &token = spec.tokens[i];
    const int32_t id = static_cast<int32_t>(i);
    // User-defined pieces are found before anything is merged.
    if (token.type != TokenType::Normal && token.type != TokenType::Unused) continue;
    pairs.of(id, [&](int32_t left, int32_t right) {
      if (left < 0 || right < 0) refuse(fmt::format("'{}' is made of a character that is no token", token.text));
      if (token.type == TokenType::Unused) refuse(fmt::format("'{}' is unused and others make it", token.text));
      if (const auto [at, is_new] = made.emplace(token.score, id); at->second != id) {
        equal.push_back({spec.tokens[static_cast<size_t>(at->second)].text, token.text});
      }
      out.push_back({left, right, id});
    });
  }
  const auto score = [&](const Merge &merge) { return spec.tokens[static_cast<size_t>(merge.merged)].score; };
  std::stable_sort(out.begin(), out.end(), [&](const Merge &a, const Merge &b) { return score(a) > score(b); });
  if (!equal.empty()) {
    const auto [one, other] = equal[0];
    const bool runs = std::all_of(equal.begin(), equal.end(),
                                  [&](const auto &both) { return is_run_of(one, both[0]) && is_run_of(one, both[1]); });
    if (!runs || !same_on_runs(spec, out, one)) refuse(fmt::format("'{}' and '{}' have the same score", one, other));
  }
  return out;
}

std::vector<double> scores_of_merges(const TokenizerSpec &spec) {
  std::vector<double> scores(spec.tokens.size(), 0);
  double next = 0;
  for (const Merge &merge : spec.merges) {
    double &score = scores[static_cast<size_t>(merge.merged)];
    if (score == 0) score = --next;
  }
  return scores;
}

bool scores_say_it_all(const TokenizerSpec &spec) {
  std::map<std::pair<int32_t, int32_t>, size_t> ranks;
  int32_t last = -1;
  std::vector<bool> done(spec.tokens.size());
  for (size_t i = 0; i < spec.merges.size(); ++i) {
    const Merge &merge = spec.merges[i];
    for (const int32_t id : {merge.left, merge.right, merge.merged}) {
      if (!mergeable(spec.tokens[static_cast<size_t>(id)].type)) return false;
    }
    if (merge.merged != last) {  // all pairs of a token must stand together, since they have one score
      if (done[static_cast<size_t>(merge.merged)]) return false;
      done[static_cast<size_t>(merge.merged)] = true;
      last = merge.merged;
    }
    ranks[{merge.left, merge.right}] = i;
  }
  if (spec.merges.size() > (1 << 24)) return false;  // beyond, single precision does not tell scores apart
  const Pairs pairs(spec);
  bool same = true;
  for (size_t i = 0; i < spec.tokens.size() && same; ++i) {
    if (!mergeable(spec.tokens[i].type)) continue;
    std::vector<std::pair<int32_t, int32_t>> ways;
    pairs.of(static_cast<int32_t>(i), [&](int32_t left, int32_t right) {
      same = same && ranks.contains({left, right});
      ways.emplace_back(left, right);
    });
    // Where two occurrences of the token share a symbol, scores take the left one and ranks the lower one.
    for (const auto &[x, y] : ways) {
      for (const auto &[left, right] : ways) {
        const std::pair first{x, y}, second{left, right};
        if (same && left == y && ranks[second] < ranks[first]) same = false;
      }
    }
  }
  return same;
}

}  // namespace bittern::runtime
