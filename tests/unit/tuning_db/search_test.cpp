// The search's rules on tables of made-up times: no kernel is compiled here.
#include "tuning_db/search/search.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

using namespace bittern::tuning;
using bittern::schedules::Point;
using bittern::schedules::Schedule;

namespace {

// A space of two families; the prior likes family "a" and is wrong about it.
std::vector<Point> space() {
  std::vector<Point> points;
  for (const char *name : {"a", "b"})
    for (int64_t rows : {1, 2, 4, 8})
      for (int64_t prefetch : {0, 1024, 2048}) {
        Point point;
        point.schedule = {"llvm", name, {{"rows", rows}, {"prefetch", prefetch}}, "i2r4"};
        point.prior =
            (name[0] == 'a' ? 1.0 : 2.0) + 0.01 * static_cast<double>(rows) + 1e-5 * static_cast<double>(prefetch);
        if (rows == 8 && prefetch == 2048) point.illegal = "too much of a good thing";
        points.push_back(point);
      }
  return points;
}

// An arm's time is its number, give or take noise that all arms of a round share and some that they do not.
struct FakeMachine {
  Timings timings;
  std::mt19937 random{7};
  int64_t run = 1, round = 0;
  int measured = 0, budget = 1 << 30;

  Measure measure() {
    return [this](const std::vector<int64_t> &arms, int rounds) {
      for (int i = 0; i < rounds; ++i, ++round) {
        if (budget <= 0) return false;
        const double neighbours = 1 + 0.5 * (random() % 100) / 100.0;
        for (int64_t arm : arms) {
          timings.add(arm, {run, round},
                      100.0 * static_cast<double>(arm) * neighbours * (1 + 0.01 * (random() % 100) / 100));
          ++measured;
          --budget;
        }
      }
      return true;
    };
  }
};

}  // namespace

TEST_CASE("the first candidates are legal, follow the prior, and hear every family") {
  const std::vector<Point> points = space();
  const std::vector<size_t> first = choose_first(points, 8);
  CHECK(first.size() == 8);
  std::map<std::string, int> families;
  for (size_t i : first) {
    CHECK(points[i].illegal.empty());
    ++families[points[i].schedule.template_name];
  }
  CHECK(families["a"] >= 4);
  CHECK(families["b"] >= 3);
  CHECK(points[first.front()].prior == doctest::Approx(1.01));
  CHECK(std::is_sorted(first.begin(), first.end(),
                       [&](size_t a, size_t b) { return points[a].prior < points[b].prior; }));
}

TEST_CASE("asking for more than there is gives every legal point once") {
  const std::vector<Point> points = space();
  const std::vector<size_t> all = choose_first(points, 1000);
  CHECK(all.size() == points.size() - 2);
  CHECK(std::set<size_t>(all.begin(), all.end()).size() == all.size());
  CHECK(choose_first({}, 5).empty());
}

TEST_CASE("neighbours differ in one parameter, are legal and new") {
  const std::vector<Point> points = space();
  const Schedule from{"llvm", "b", {{"rows", 8}, {"prefetch", 1024}}, "i2r4"};
  const std::set<std::string> known = {
      bittern::schedules::print_schedule({"llvm", "b", {{"rows", 4}, {"prefetch", 1024}}, "i2r4"})};
  const std::vector<size_t> found = neighbours(points, from, known, 100);
  CHECK(found.size() == 3);  // rows 1 and 2, prefetch 0; rows 4 is known, prefetch 2048 illegal
  for (size_t i : found) {
    CHECK(points[i].schedule.template_name == "b");
    CHECK(points[i].illegal.empty());
  }
  CHECK(neighbours(points, from, known, 2).size() == 2);
}

TEST_CASE("halving finds the fastest arm and does not waste rounds on the slow ones") {
  FakeMachine machine;
  std::vector<int64_t> arms;
  for (int64_t arm = 32; arm >= 1; --arm) arms.push_back(arm);
  const auto survivors = halve(arms, {{1, 0.5}, {3, 0.5}, {6, 0.5}}, 3, machine.timings, machine.measure());
  REQUIRE(survivors.size() == 4);
  CHECK(survivors.front() == 1);
  CHECK(machine.timings.count(32) == 1);
  CHECK(machine.timings.count(1) >= 6);
  CHECK(machine.measured == 32 + 16 * 2 + 8 * 3);
}

TEST_CASE("arms that were measured already are not measured again") {
  FakeMachine machine;
  const std::vector<int64_t> arms = {1, 2, 3, 4};
  halve(arms, {{5, 1.0}}, 4, machine.timings, machine.measure());
  CHECK(machine.measured == 20);
  halve(arms, {{5, 1.0}}, 4, machine.timings, machine.measure());
  CHECK(machine.measured == 20);
  halve({1, 2, 3, 4, 5}, {{5, 1.0}}, 5, machine.timings, machine.measure());
  CHECK(machine.measured == 25);
}

TEST_CASE("when the time runs out what was measured still ranks") {
  FakeMachine machine;
  machine.budget = 12;
  const auto survivors = halve({9, 2, 3, 4, 5, 6, 7, 8, 1, 10, 11, 12}, {{1, 0.5}, {3, 0.5}, {50, 0.5}}, 2,
                               machine.timings, machine.measure());
  REQUIRE_FALSE(survivors.empty());
  CHECK(survivors.front() == 1);
}

TEST_CASE("the final plays missing rounds only and compares in pairs") {
  FakeMachine machine;
  auto order = play_final({3, 1, 2}, 9, machine.timings, machine.measure());
  CHECK(order == std::vector<int64_t>{1, 2, 3});
  CHECK(machine.measured == 27);
  CHECK(machine.timings.common(1, 3) == 9);
  play_final({3, 1, 2}, 9, machine.timings, machine.measure());
  CHECK(machine.measured == 27);
  const Comparison comparison = machine.timings.compare(2, 1);
  CHECK_FALSE(comparison.tie);
  CHECK(comparison.ratio == doctest::Approx(2).epsilon(0.02));
}

TEST_CASE("the layout follows the mix, decode first") {
  const std::vector<std::map<std::string, double>> times = {{{"x", 100}, {"y", 103}}, {{"x", 900}, {"y", 700}}};
  CHECK(choose_layout(times, {0.98, 0.02}) == "x");
  CHECK(choose_layout(times, {0.8, 0.2}) == "y");
  // A layout that some batch size has no kernel for loses to one that has all.
  CHECK(choose_layout({{{"x", 100}, {"y", 200}}, {{"y", 700}}}, {0.8, 0.2}) == "y");
  CHECK(choose_layout({{{"", 5}}}, {1}) == "");
  CHECK(choose_layout({}, {}) == "");
}
