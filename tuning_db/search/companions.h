// Kernels that go into a pack beside tuned ones. A matrix is stored in one layout, which decoding chooses; where
// programs carry no default kernels for it, the pack brings them, so that no number of tokens is without a good kernel.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "tuning_db/search/tuner.h"

namespace bittern::tuning {

// The layout's defaults that are not built in, compiled for the work's sizes and proved, once for each thread count;
// an empty list when the layout's are built in; nothing when the time ran out. Throws Error naming the schedule when
// one is rejected, Interrupted.
std::optional<std::vector<Outcome>> companions(Store &store, Farm &farm, const KernelWork &work,
                                               const schedules::Target &target, const std::string &layout,
                                               const TunerOptions &options, Farm::Clock::time_point deadline);

}  // namespace bittern::tuning
