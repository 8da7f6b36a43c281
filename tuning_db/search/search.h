// The search, knowing nothing of kernels: points of a space with a predicted cost, arms that can be measured, and the
// rules by which arms are chosen, dropped and compared. Measuring is somebody else's; so the rules are tested on tables
// of made-up times.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "schedules/space.h"
#include "tuning_db/search/timings.h"

namespace bittern::tuning {

// Which points to try first, best prior first: half by the prior alone, half one by one from every family (backend,
// template, layout) in turn, because priors are guesses and families are what they are most wrong about.
std::vector<size_t> choose_first(const std::vector<schedules::Point> &points, size_t count);

// Legal points that differ from `from` in one parameter or in the layout, by prior; `known` ones left out.
std::vector<size_t> neighbours(const std::vector<schedules::Point> &points, const schedules::Schedule &from,
                               const std::set<std::string> &known, size_t count);

// Measures the arms in interleaved rounds and adds the times; false when there is no time left.
using Measure = std::function<bool(const std::vector<int64_t> &arms, int rounds)>;

struct HalvingStage {
  int rounds;   // each arm has at least this many samples when the stage ends
  double keep;  // the fraction that survives
};

// Successive halving: each stage brings the arms to its number of rounds and keeps the best part of them (never fewer
// than `least`). Arms that have their samples already are not measured again. Survivors come best first.
std::vector<int64_t> halve(std::vector<int64_t> arms, const std::vector<HalvingStage> &stages, size_t least,
                           Timings &timings, const Measure &measure);

// Measures the finalists together until they share `rounds` rounds, and gives them best first by the rounds that each
// shares with the first of them, which of equals stays in front.
std::vector<int64_t> play_final(std::vector<int64_t> arms, int rounds, Timings &timings, const Measure &measure);

// Times of layouts at each thread count as one: relative to the best of each count, averaged. A layout that was not
// measured at all of them is left out: its mean would be over other things than the others'.
std::map<std::string, double> over_threads(const std::vector<std::map<std::string, double>> &times);

// One layout for all batch sizes. `times[bucket][layout]` is the best time found; `weights[bucket]` the mix. The cost
// of a layout is the weighted sum of its slow-downs against the best layout of each bucket; one that lacks a bucket
// loses to any that has all. Returns the cheapest layout ("" when there is none); equal costs go to the first by name.
std::string choose_layout(const std::vector<std::map<std::string, double>> &times, const std::vector<double> &weights);

}  // namespace bittern::tuning
