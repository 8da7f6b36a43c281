// Unigram: of all ways to split a piece into tokens, the one whose scores have the largest sum (Viterbi). A character
// that no token is gets a score below all others.
#include <algorithm>
#include <limits>

#include "runtime/error.h"
#include "runtime/io/utf8.h"
#include "runtime/tokenizer/piece_model.h"
#include "runtime/tokenizer/prefix_index.h"

namespace bittern::runtime {
namespace {

constexpr double kUnknownPenalty = 10;

class Unigram : public PieceModel {
 public:
  Unigram(const TokenizerSpec &spec, const TokenIds &ids)
      : spec_(&spec), fallback_(spec, ids), single_(spec.single_precision) {
    double least = std::numeric_limits<float>::max();
    std::vector<std::pair<std::string, int32_t>> entries;
    for (size_t i = 0; i < spec.tokens.size(); ++i) {
      const SpecToken &token = spec.tokens[i];
      const bool normal = token.type == TokenType::Normal;
      // SentencePiece finds only normal and user-defined pieces in a text, Hugging Face the whole vocabulary.
      const bool other = !single_ && (token.type == TokenType::Byte || token.type == TokenType::Unknown);
      if (!normal && !other && token.type != TokenType::UserDefined) continue;
      entries.emplace_back(token.text, static_cast<int32_t>(i));
      if (!normal && single_) continue;
      least = std::min(least, token.score);
    }
    if (entries.empty()) throw Error("a unigram model without pieces");
    unknown_score_ = single_ ? static_cast<double>(static_cast<float>(least) - static_cast<float>(kUnknownPenalty))
                             : least - kUnknownPenalty;
    index_ = PrefixIndex(std::move(entries));
  }

  void encode(std::string_view piece, std::vector<int32_t> &out) const override {
    struct Node {
      double score = 0;
      size_t begin = SIZE_MAX;  // of the best token that ends here
      int32_t id = -1;          // -1: unknown
    };
    std::vector<Node> best(piece.size() + 1);
    for (size_t at = 0; at < piece.size();) {
      const double before = best[at].score;
      const size_t length = utf8_step(piece.substr(at)).length;
      bool single = false;
      // Scores and sums are rounded as SentencePiece rounds them: where two splits have equal scores (two spaces with
      // twice the score of one, say), that decides which wins.
      const auto offer = [&](size_t end, double score, int32_t id) {
        const double sum = kept(kept(score) + before);
        if (best[end].begin == SIZE_MAX || sum > best[end].score) best[end] = {sum, at, id};
      };
      index_.for_each_prefix(piece.substr(at), [&](size_t bytes, int32_t id) {
        const SpecToken &token = spec_->tokens[static_cast<size_t>(id)];
        // A user-defined piece wins against any other split of its text (the bonus is that of SentencePiece 0.2.3).
        const bool always = single_ && token.type == TokenType::UserDefined;
        offer(at + bytes, always ? 0.1 * static_cast<double>(bytes - 1) : token.score, id);
        single = single || bytes == length;
      });
      if (!single) offer(at + length, unknown_score_, -1);
      at += length;
    }
    std::vector<size_t> ends;
    for (size_t end = piece.size(); end > 0; end = best[end].begin) ends.push_back(end);
    bool unknown = false;
    for (size_t i = ends.size(); i-- > 0;) {
      const Node &node = best[ends[i]];
      if (node.id >= 0 && node.id != spec_->unk) out.push_back(node.id);
      unknown = (node.id < 0 || node.id == spec_->unk) &&
                fallback_.append(piece.substr(node.begin, ends[i] - node.begin), unknown, out);
    }
  }

 private:
  double kept(double score) const { return single_ ? static_cast<double>(static_cast<float>(score)) : score; }

  const TokenizerSpec *spec_;
  Fallback fallback_;
  PrefixIndex index_;
  bool single_;
  double unknown_score_ = 0;
};

}  // namespace

std::unique_ptr<PieceModel> make_unigram(const TokenizerSpec &spec, const TokenIds &ids) {
  return std::make_unique<Unigram>(spec, ids);
}

}  // namespace bittern::runtime
