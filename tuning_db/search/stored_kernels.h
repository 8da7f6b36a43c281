// Proved kernels from the store where it has them, made and stored where it has not: what is known is neither compiled
// nor proved again.
#pragma once
#include <functional>
#include <vector>

#include "tuning_db/making/farm.h"
#include "tuning_db/records/store.h"

namespace bittern::tuning {

// Records as the farm takes them. Throw Error when a record is damaged.
KernelCode code_of(const ObjectRecord &object);
Proof proof_of(const ProofRecord &proof);

// `keys[i]` is what the store knows `orders[i]` by. `finished` is called on this thread, once an order that was reached
// in time, as they end; `code` has the ids of what was stored. A rejection for what the code did when it ran is stored
// as a failed proof. Throws Interrupted and RunnerFailure.
void make_stored(Store &store, Farm &farm, std::vector<Order> orders, const std::vector<CodeKey> &keys,
                 Farm::Clock::time_point deadline,
                 const std::function<void(size_t order, const Made &made, const StoredCode &code)> &finished);

}  // namespace bittern::tuning
