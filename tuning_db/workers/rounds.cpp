#include "tuning_db/workers/rounds.h"

#include <algorithm>

#include "tuning_db/proof/statistics.h"

namespace bittern::tuning {
namespace {

constexpr int kMostCalls = 20000;
constexpr int kRepeats = 2;               // of one block
constexpr double kRoofDip = 0.75;         // of its median: below it the machine was busy
constexpr double kShortestCallUs = 0.05;  // what a clock can tell, more or less

// Marks the rounds in which this roof dipped.
void mark_dips(const std::vector<double> &roof, std::vector<std::vector<TimedBlock>> &samples) {
  if (roof.size() < 3) return;
  const double usual = median(roof);
  for (size_t round = 0; round < std::min(roof.size(), samples.size()); ++round)
    if (roof[round] < kRoofDip * usual)
      for (TimedBlock &block : samples[round]) block.disturbed = true;
}

}  // namespace

RoundsResult measure_rounds(const RoundsPlan &plan, const RoundsSources &sources) {
  RoundsResult result;
  result.calls.resize(plan.kernels, 1);
  result.slow.resize(plan.kernels, false);
  std::vector<double> first(plan.kernels);
  double spent_us = 0;
  const auto run = [&](size_t kernel, int calls) {
    const double us = sources.run(kernel, calls);
    spent_us += us * calls;
    return us;
  };
  for (size_t i = 0; i < plan.kernels; ++i) {
    if (i > 0 && plan.budget_us > 0 && spent_us > plan.budget_us) {
      result.slow[i] = true;  // not timed at all
      continue;
    }
    first[i] = run(i, 1);  // makes its copies and brings in its code
    result.slow[i] = plan.slow_us > 0 && first[i] > plan.slow_us;
    if (result.slow[i]) continue;
    // A long call needs no second one to be known.
    const double us = first[i] > 10 * plan.block_us ? first[i] : run(i, 2);
    result.calls[i] =
        static_cast<int>(std::clamp(plan.block_us / std::max(us, kShortestCallUs), 1.0, 1.0 * kMostCalls));
  }
  int repeats_left = static_cast<int>(plan.kernels) * plan.rounds / 2;
  const auto block = [&](size_t kernel) {
    TimedBlock best;
    for (int repeat = 0;; ++repeat) {
      const Disturbance before = sources.disturbance();
      const double us = run(kernel, result.calls[kernel]);
      const bool disturbed = !(sources.disturbance() == before);
      if (!disturbed) return TimedBlock{us, false};
      if (best.us == 0 || us < best.us) best = {us, true};
      if (repeat == kRepeats || repeats_left-- <= 0) return best;
    }
  };
  for (int round = 0; round < plan.rounds; ++round) {
    if (round > 0 && plan.budget_us > 0 && spent_us > plan.budget_us) break;
    std::vector<TimedBlock> row(plan.kernels);
    // Another one goes first each round, so that none always follows the same neighbour.
    for (size_t turn = 0; turn < plan.kernels; ++turn) {
      const size_t i = (turn + static_cast<size_t>(round)) % plan.kernels;
      if (!result.slow[i])
        row[i] = block(i);
      else if (round == 0)
        row[i] = {first[i], false};
    }
    result.samples.push_back(std::move(row));
    if (sources.read_roof) result.read_gb_s.push_back(sources.read_roof());
    if (sources.multiply_roof) result.int8_gop_s.push_back(sources.multiply_roof());
  }
  mark_dips(result.read_gb_s, result.samples);
  mark_dips(result.int8_gop_s, result.samples);
  return result;
}

}  // namespace bittern::tuning
