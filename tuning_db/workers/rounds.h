// Several kernels timed in interleaved rounds, so that what the machine's neighbours do meets all of them alike. How
// often each is called in a block, what is timed again because it was disturbed, and when a slow kernel or a slow
// round ends it. Knows nothing of kernels or clocks, so it is tested on made-up ones.
#pragma once
#include <cstddef>
#include <functional>
#include <vector>

#include "tuning_db/workers/disturbance.h"

namespace bittern::tuning {

struct RoundsPlan {
  size_t kernels = 0;
  int rounds = 1;
  double block_us = 1500;  // a block of calls lasts about this long
  double slow_us = 0;      // a kernel whose first call takes longer is timed by that call alone (0: none is too slow)
  double budget_us = 0;    // nothing but a first time of the first kernel begins after this long (0: no limit)
};

struct RoundsSources {
  std::function<double(size_t kernel, int calls)> run;  // microseconds a call
  std::function<Disturbance()> disturbance;
  std::function<double()> read_roof, multiply_roof;  // may be empty
};

struct TimedBlock {
  double us = 0;  // a call; 0: not timed in this round
  bool disturbed = false;
};

struct RoundsResult {
  std::vector<std::vector<TimedBlock>> samples;  // [round][kernel]
  std::vector<int> calls;                        // of each kernel in a block
  std::vector<bool> slow;                        // timed once, or not at all, and left out of the rounds
  std::vector<double> read_gb_s, int8_gop_s;     // a sample a round, those that were asked for
};

// At least one round. A block in which the machine was disturbed is timed again while at most half as many blocks as
// there are were repeated; then its fastest time is given and marked. Blocks of rounds in which a roof was far below
// its median are marked too.
RoundsResult measure_rounds(const RoundsPlan &plan, const RoundsSources &sources);

}  // namespace bittern::tuning
