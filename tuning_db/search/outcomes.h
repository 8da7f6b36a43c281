// Results as they are shown and packed: figures that follow from a winner, machine code and proofs from the store.
#pragma once
#include <string>
#include <vector>

#include "tuning_db/records/store.h"
#include "tuning_db/search/tuner.h"

namespace bittern::tuning {

// A winner with its rates; the code is known by ids alone. Throws Error when the schedule cannot be read.
Outcome make_outcome(const KernelWork &work, const Problem &problem, const WinnerRecord &winner,
                     const std::string &schedule, int64_t object, int64_t proof);

// Brings the objects and proofs that outcomes name, all at once. False when one is not there or is damaged.
bool load_code(Store &store, std::vector<Outcome> &outcomes);

}  // namespace bittern::tuning
