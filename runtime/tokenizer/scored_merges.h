// Between the two ways of writing the same BPE: SentencePiece's scores, where any two neighbours merge that together
// are a token, and Hugging Face's list of pairs.
#pragma once
#include <string>
#include <vector>

#include "runtime/tokenizer/spec.h"

namespace bittern::runtime {

// The pairs that ScoredBpe would merge, in the order in which it prefers them. Throws Error for what pairs cannot say:
// two tokens of the same score (but runs of one character, where it makes no difference), an unused token that others
// make, a token of characters that are no tokens.
std::vector<TokenizerSpec::Merge> merges_of_scores(const TokenizerSpec &spec);

// Scores by which ScoredBpe prefers what the merges of a CharacterBpe prefer: minus the order in which tokens appear as
// results. One a token.
std::vector<double> scores_of_merges(const TokenizerSpec &spec);

// Whether ScoredBpe with those scores makes the same tokens of every text.
bool scores_say_it_all(const TokenizerSpec &spec);

}  // namespace bittern::runtime
