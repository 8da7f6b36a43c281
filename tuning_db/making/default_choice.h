// Which default dispatch takes: the untuned kernel that the tuner compares with, and that bitnet-emit puts where
// nothing was tuned.
#pragma once
#include <string>
#include <vector>

#include "schedules/space.h"

namespace bittern::tuning {

// Of `all`, the defaults of a kernel for one target, the one for `m` tokens; null when none takes them. `layout`: as
// the weights lie; empty: dispatch's own choice. Programs have those that are built in, a pack brings the others of its
// layout.
enum class Defaults { BuiltIn, All };
const schedules::Default *dispatched_default(const std::vector<schedules::Default> &all, int64_t m,
                                             const std::string &layout, Defaults which);

}  // namespace bittern::tuning
