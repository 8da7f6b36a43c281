// Which weight layout serves all batch sizes of a matrix: the best kernel of each layout measured together with the
// others', and the choice for a stated mix of decoding and batches. There is never a second copy of the weights.
#pragma once
#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "schedules/target.h"
#include "tuning_db/search/problem_search.h"
#include "tuning_db/search/tuner.h"

namespace bittern::tuning {

// The fastest candidate so far for the search's `t`-th thread count; -1: none was timed.
int64_t best_arm(ProblemSearch &search, size_t t);

// The best of each layout that may still win, measured together: what they were found by was measured at other
// moments, and a neighbour's minute would choose the layout. `all`: of every layout, however slow.
void compare_layouts(ProblemSearch &search, size_t threads, bool all, std::chrono::steady_clock::time_point until);

// What compare_layouts() has measured, fastest first; nothing of a kernel without ternary weights.
std::vector<LayoutTime> layout_times(ProblemSearch &search, const KernelWork &work, const schedules::Target &target,
                                     size_t threads);

// Layouts whose decoding is close to the best one's.
std::set<std::string> near_best(ProblemSearch &search, size_t threads);

// The layout for all batch sizes, and a line in `choices` that says what was weighed.
std::string settle_layout(const KernelWork &work, const std::vector<std::unique_ptr<ProblemSearch>> &searches,
                          size_t threads, std::vector<std::string> &choices);

}  // namespace bittern::tuning
