// Interleaved rounds on made-up kernels and clocks: what is repeated, marked and left out.
#include "tuning_db/workers/rounds.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace bittern::tuning;

namespace {

// Kernels that take as long as they say, on a machine that is disturbed when a test says so.
struct FakeMachine {
  explicit FakeMachine(std::vector<double> times) : us(std::move(times)), blocks(us.size()) {}
  std::vector<double> us;
  std::vector<int> blocks;  // times each was run
  Disturbance counters;
  std::function<bool(int run)> busy = [](int) { return false; };
  int runs = 0, roof_samples = 0;
  std::function<double(int)> roof;
  double spent_us = 0;

  RoundsSources sources() {
    RoundsSources s;
    s.run = [this](size_t kernel, int calls) {
      ++blocks[kernel];
      const bool disturbed = busy(runs++);
      counters.switches += disturbed;
      spent_us += us[kernel] * calls;
      return us[kernel] * (disturbed ? 3 : 1);
    };
    s.disturbance = [this] { return counters; };
    if (roof) s.read_roof = [this] { return roof(roof_samples++); };
    return s;
  }
};

RoundsPlan plan(size_t kernels, int rounds) {
  RoundsPlan p;
  p.kernels = kernels;
  p.rounds = rounds;
  return p;
}

}  // namespace

TEST_CASE("a quiet machine: every kernel once a round, in blocks of about the same length") {
  FakeMachine machine({1, 100, 5000});
  const RoundsResult result = measure_rounds(plan(3, 4), machine.sources());
  CHECK(result.calls == std::vector<int>{1500, 15, 1});
  REQUIRE(result.samples.size() == 4);
  for (const auto &row : result.samples) {
    REQUIRE(row.size() == 3);
    for (size_t i = 0; i < 3; ++i) {
      CHECK(row[i].us == machine.us[i]);
      CHECK_FALSE(row[i].disturbed);
    }
  }
  CHECK(machine.blocks == std::vector<int>{6, 6, 6});  // two to learn its time, and the rounds
  CHECK(result.read_gb_s.empty());
}

TEST_CASE("a disturbed block is timed again, and marked when that does not help") {
  FakeMachine once({100});
  once.busy = [](int run) { return run == 4; };  // the third block
  const RoundsResult repeated = measure_rounds(plan(1, 6), once.sources());
  CHECK(once.blocks[0] == 2 + 6 + 1);
  for (const auto &row : repeated.samples) {
    CHECK(row[0].us == 100);
    CHECK_FALSE(row[0].disturbed);
  }
  FakeMachine always({100, 200});
  always.busy = [](int) { return true; };
  const RoundsResult marked = measure_rounds(plan(2, 10), always.sources());
  for (const auto &row : marked.samples)
    for (const TimedBlock &block : row) CHECK(block.disturbed);
  CHECK(always.blocks[0] + always.blocks[1] <= 2 * 2 + 20 + 10);  // at most half as many again
}

TEST_CASE("stolen time counts as a disturbance") {
  FakeMachine machine({100});
  RoundsSources sources = machine.sources();
  int reading = 0;
  sources.disturbance = [&] { return Disturbance{0, reading++}; };
  CHECK(measure_rounds(plan(1, 2), sources).samples[0][0].disturbed);
}

TEST_CASE("a kernel that is far too slow is timed once and left out") {
  FakeMachine machine({100, 3e6});
  RoundsPlan p = plan(2, 5);
  p.slow_us = 1e6;
  const RoundsResult result = measure_rounds(p, machine.sources());
  CHECK(result.slow == std::vector<bool>{false, true});
  CHECK(machine.blocks[1] == 1);
  CHECK(result.samples[0][1].us == 3e6);
  for (size_t round = 1; round < 5; ++round) CHECK(result.samples[round][1].us == 0);
  CHECK(result.samples[4][0].us == 100);
}

TEST_CASE("no round begins when the time is over, but there is always one") {
  FakeMachine machine({4e5});
  RoundsPlan p = plan(1, 50);
  p.budget_us = 2e6;
  CHECK(measure_rounds(p, machine.sources()).samples.size() == 5);  // the first call took its part
  p.budget_us = 1;
  CHECK(measure_rounds(p, machine.sources()).samples.size() == 1);
}

TEST_CASE("rounds in which the roof dips are marked") {
  FakeMachine machine({100, 100});
  machine.roof = [](int sample) { return sample == 2 ? 9.0 : 20.0; };
  const RoundsResult result = measure_rounds(plan(2, 5), machine.sources());
  REQUIRE(result.read_gb_s.size() == 5);
  for (size_t round = 0; round < 5; ++round)
    for (const TimedBlock &block : result.samples[round]) CHECK(block.disturbed == (round == 2));
}

TEST_CASE("the counters of this machine only grow, and being pushed aside shows") {
  const Disturbance before = disturbance_now(), after = disturbance_now();
  CHECK(after.switches >= before.switches);
  CHECK(after.stolen_ticks >= before.stolen_ticks);
}
