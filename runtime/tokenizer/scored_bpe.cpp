// SentencePiece's BPE: two neighbours merge if together they are a token, the token with the best score first and the
// leftmost of equal ones. No list of pairs: whatever text a token has can be made of any two halves.
#include <algorithm>
#include <queue>

#include "runtime/io/utf8.h"
#include "runtime/tokenizer/piece_model.h"

namespace bittern::runtime {
namespace {

constexpr uint32_t kNone = UINT32_MAX;

class ScoredBpe : public PieceModel {
 public:
  ScoredBpe(const TokenizerSpec &spec, const TokenIds &ids) : spec_(&spec), ids_(&ids), fallback_(spec, ids) {
    for (const SpecToken &token : spec.tokens) longest_ = std::max(longest_, token.text.size());
  }

  void encode(std::string_view piece, std::vector<int32_t> &out) const override;

 private:
  struct Symbol {
    size_t begin, end;  // empty: merged into its left neighbour
    uint32_t previous, next;
  };
  struct Candidate {
    double score;
    uint32_t left;
    size_t begin, end;  // what the two symbols were when this was queued
    bool operator<(const Candidate &other) const {
      return score != other.score ? score < other.score : left > other.left;
    }
  };
  // An unused token is merged through, and split again into what it was made of.
  using Halves = std::unordered_map<std::string_view, size_t>;  // length of the left one

  int32_t find(std::string_view text) const {
    if (text.size() > longest_) return -1;
    const auto found = ids_->find(text);
    if (found == ids_->end()) return -1;
    const TokenType type = spec_->tokens[static_cast<size_t>(found->second)].type;
    return type == TokenType::Unknown || type == TokenType::Byte ? -1 : found->second;
  }
  bool unused(int32_t id) const { return spec_->tokens[static_cast<size_t>(id)].type == TokenType::Unused; }
  bool append(std::string_view text, bool unknown, const Halves &halves, std::vector<int32_t> &out) const;

  const TokenizerSpec *spec_;
  const TokenIds *ids_;
  Fallback fallback_;
  size_t longest_ = 0;
};

void ScoredBpe::encode(std::string_view piece, std::vector<int32_t> &out) const {
  std::vector<Symbol> symbols;
  for (size_t i = 0; i < piece.size();) {
    const size_t length = utf8_step(piece.substr(i)).length;
    const uint32_t at = static_cast<uint32_t>(symbols.size());
    symbols.push_back({i, i + length, at == 0 ? kNone : at - 1, at + 1});
    i += length;
  }
  if (symbols.empty()) return;
  symbols.back().next = kNone;
  std::priority_queue<Candidate> queue;
  Halves halves;
  const auto consider = [&](uint32_t left) {
    if (left == kNone || symbols[left].next == kNone) return;
    const Symbol &a = symbols[left], &b = symbols[a.next];
    const std::string_view text = piece.substr(a.begin, b.end - a.begin);
    const int32_t id = find(text);
    if (id < 0) return;
    queue.push({spec_->tokens[static_cast<size_t>(id)].score, left, a.end, b.end});
    if (unused(id)) halves[text] = a.end - a.begin;
  };
  for (uint32_t i = 0; i < symbols.size(); ++i) consider(i);
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    Symbol &left = symbols[top.left];
    // Either symbol may have grown or vanished since.
    if (left.begin == left.end || left.end != top.begin || left.next == kNone) continue;
    Symbol &right = symbols[left.next];
    if (right.end != top.end) continue;
    left.end = right.end;
    right.begin = right.end;
    left.next = right.next;
    if (left.next != kNone) symbols[left.next].previous = top.left;
    consider(left.previous);
    consider(top.left);
  }
  bool unknown = false;
  for (uint32_t i = 0; i != kNone; i = symbols[i].next) {
    unknown = append(piece.substr(symbols[i].begin, symbols[i].end - symbols[i].begin), unknown, halves, out);
  }
}

bool ScoredBpe::append(std::string_view text, bool unknown, const Halves &halves, std::vector<int32_t> &out) const {
  std::vector<std::string_view> rest{text};
  while (!rest.empty()) {
    const std::string_view part = rest.back();
    rest.pop_back();
    const int32_t id = find(part);
    const auto split = id >= 0 && unused(id) ? halves.find(part) : halves.end();
    if (split != halves.end()) {
      rest.push_back(part.substr(split->second));
      rest.push_back(part.substr(0, split->second));
    } else if (id >= 0) {
      out.push_back(id);
      unknown = false;
    } else {
      unknown = fallback_.append(part, unknown, out);
    }
  }
  return unknown;
}

}  // namespace

std::unique_ptr<PieceModel> make_scored_bpe(const TokenizerSpec &spec, const TokenIds &ids) {
  return std::make_unique<ScoredBpe>(spec, ids);
}

}  // namespace bittern::runtime
