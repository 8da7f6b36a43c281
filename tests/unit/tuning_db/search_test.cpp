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

TEST_CASE("a layout that was measured at some thread counts only is left out") {
  using Times = std::map<std::string, double>;
  // "b" is the best of the one count it was measured at.
  CHECK(over_threads({{{"a", 100}, {"b", 50}}, {{"a", 60}, {"c", 30}}}) == Times{{"a", 2}});
  CHECK(over_threads({{{"a", 100}, {"b", 50}}, {{"a", 60}, {"b", 90}}}) == Times{{"a", 1.5}, {"b", 1.25}});
  CHECK(over_threads({{{"a", 7}}}) == Times{{"a", 1}});
  CHECK(over_threads({{}, {{"a", 1}}}).empty());
  CHECK(over_threads({}).empty());
}

TEST_CASE("finalists are ranked by the rounds they share with the first, not by what they were given elsewhere") {
  Timings timings;
  // The second is slower in every round they share; in a quiet minute before it was alone.
  for (int round = 0; round < 9; ++round) timings.add(1, {1, round}, 40);
  for (int round = 0; round < 9; ++round) {
    timings.add(0, {2, round}, 100);
    timings.add(1, {2, round}, 110);
  }
  const Measure none = [](const std::vector<int64_t> &, int) { return true; };
  CHECK(timings.median_us(1) < timings.median_us(0));
  CHECK(play_final({0, 1}, 9, timings, none) == std::vector<int64_t>{0, 1});
  // Of equals the first stays in front.
  for (int round = 0; round < 9; ++round) timings.add(2, {2, round}, 100);
  CHECK(play_final({0, 1, 2}, 9, timings, none) == std::vector<int64_t>{0, 2, 1});
}

TEST_CASE("disturbed samples are left out where there are enough others, and counted") {
  Timings timings;
  for (int round = 0; round < 12; ++round) {
    const bool busy = round % 2 == 1;
    timings.add(0, {1, round}, 100, busy);
    timings.add(1, {1, round}, busy ? 400 : 90, busy);
  }
  CHECK(timings.median_us(1) == 90);
  CHECK(timings.quartile_us(1) == 90);
  CHECK(timings.compare(0, 1).ratio == doctest::Approx(100.0 / 90));
  CHECK_FALSE(timings.compare(0, 1).tie);
  CHECK(timings.median_beside(1, 0) == 90);
  CHECK(timings.disturbed(0, 1) == 0.5);
  // All there is: better than nothing.
  Timings busy;
  for (int round = 0; round < 4; ++round) busy.add(0, {1, round}, 50, true);
  CHECK(busy.median_us(0) == 50);
  CHECK(busy.disturbed(0, 0) == 1);
  CHECK(busy.disturbed(0, 1) == 0);
}
