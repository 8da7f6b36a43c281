// Winners with everything that belongs to them, read at once: what `verify` proves again and bitnet-emit puts into a
// library.
#pragma once
#include <functional>
#include <vector>

#include "tuning_db/records/store.h"

namespace bittern::tuning {

struct StoredWinner {
  Problem problem;
  WinnerRecord winner;
  CandidateRecord candidate;
  ObjectRecord object;  // id 0: not there, or its bytes are not what their hash says
  ProofRecord proof;    // id 0: none that shows what it claims
};

// Those of this machine's problems that `wanted` accepts (all when it is empty), in the order they were first met.
std::vector<StoredWinner> stored_winners(Store &store, int64_t machine,
                                         const std::function<bool(const Problem &)> &wanted = {});

}  // namespace bittern::tuning
