#include "tuning_db/search/search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

namespace bittern::tuning {
namespace {

using schedules::Point;
using schedules::Schedule;

std::string family(const Schedule &s) { return s.backend + "." + s.template_name + "/" + s.layout; }

// How many parameters differ; the layout counts as one, another template as too many.
int distance(const Schedule &a, const Schedule &b) {
  if (a.backend != b.backend || a.template_name != b.template_name) return 99;
  int differences = a.layout == b.layout ? 0 : 1;
  for (const auto &[name, value] : a.params) {
    const auto other = b.params.find(name);
    if (other == b.params.end() || other->second != value) ++differences;
  }
  return differences;
}

}  // namespace

std::vector<size_t> choose_first(const std::vector<Point> &points, size_t count) {
  std::vector<size_t> legal;
  for (size_t i = 0; i < points.size(); ++i)
    if (points[i].illegal.empty()) legal.push_back(i);
  std::stable_sort(legal.begin(), legal.end(), [&](size_t a, size_t b) { return points[a].prior < points[b].prior; });
  if (legal.size() <= count) return legal;

  std::set<size_t> chosen(legal.begin(), legal.begin() + static_cast<std::ptrdiff_t>((count + 1) / 2));
  std::map<std::string, std::vector<size_t>> families;  // what is left of each, best prior last
  for (auto it = legal.rbegin(); it != legal.rend(); ++it)
    if (!chosen.count(*it)) families[family(points[*it].schedule)].push_back(*it);
  std::map<std::string, int> taken;
  for (size_t i : chosen) ++taken[family(points[i].schedule)];
  while (chosen.size() < count) {
    // The family that has had least so far, of equals the one whose next point is predicted best.
    const std::vector<size_t> *next = nullptr;
    std::string name;
    for (const auto &[candidate, rest] : families) {
      if (rest.empty()) continue;
      const auto rank = [&](const std::string &f, const std::vector<size_t> &r) {
        return std::make_tuple(taken[f], points[r.back()].prior);
      };
      if (!next || rank(candidate, rest) < rank(name, *next)) {
        next = &rest;
        name = candidate;
      }
    }
    if (!next) break;
    chosen.insert(next->back());
    families[name].pop_back();
    ++taken[name];
  }
  std::vector<size_t> result(chosen.begin(), chosen.end());
  std::stable_sort(result.begin(), result.end(), [&](size_t a, size_t b) { return points[a].prior < points[b].prior; });
  return result;
}

std::vector<size_t> neighbours(const std::vector<Point> &points, const Schedule &from,
                               const std::set<std::string> &known, size_t count) {
  std::vector<size_t> found;
  for (size_t i = 0; i < points.size(); ++i)
    if (points[i].illegal.empty() && distance(from, points[i].schedule) == 1 &&
        !known.count(schedules::print_schedule(points[i].schedule)))
      found.push_back(i);
  std::stable_sort(found.begin(), found.end(), [&](size_t a, size_t b) { return points[a].prior < points[b].prior; });
  if (found.size() > count) found.resize(count);
  return found;
}

std::vector<int64_t> halve(std::vector<int64_t> arms, const std::vector<HalvingStage> &stages, size_t least,
                           Timings &timings, const Measure &measure) {
  const auto sort = [&] {
    // Arms without a sample (the time ran out) come last.
    const auto time = [&](int64_t arm) {
      const double us = timings.quartile_us(arm);
      return us > 0 ? us : std::numeric_limits<double>::infinity();
    };
    std::stable_sort(arms.begin(), arms.end(), [&](int64_t a, int64_t b) { return time(a) < time(b); });
  };
  for (const HalvingStage &stage : stages) {
    std::vector<int64_t> wanting;
    int rounds = 0;
    for (int64_t arm : arms) {
      const int missing = stage.rounds - static_cast<int>(timings.count(arm));
      if (missing <= 0) continue;
      wanting.push_back(arm);
      rounds = std::max(rounds, missing);
    }
    const bool in_time = wanting.empty() || measure(wanting, rounds);
    sort();
    const auto keep = static_cast<size_t>(std::lround(static_cast<double>(arms.size()) * stage.keep));
    if (arms.size() > std::max(keep, least)) arms.resize(std::max(keep, least));
    if (!in_time) break;
  }
  return arms;
}

std::vector<int64_t> play_final(std::vector<int64_t> arms, int rounds, Timings &timings, const Measure &measure) {
  size_t shared = arms.size() < 2 ? timings.count(arms.empty() ? 0 : arms[0]) : SIZE_MAX;
  for (size_t i = 1; i < arms.size(); ++i) shared = std::min(shared, timings.common(arms[0], arms[i]));
  if (!arms.empty() && shared < static_cast<size_t>(rounds)) measure(arms, rounds - static_cast<int>(shared));
  std::vector<std::pair<double, int64_t>> order;  // time relative to the first one's
  for (int64_t arm : arms) {
    const bool together = arm == arms[0] || timings.common(arms[0], arm) > 0;
    order.emplace_back(together ? 1 / timings.compare(arms[0], arm).ratio
                                : timings.median_us(arm) / std::max(timings.median_us(arms[0]), 1e-9),
                       arm);
  }
  std::stable_sort(order.begin(), order.end(), [](const auto &a, const auto &b) { return a.first < b.first; });
  for (size_t i = 0; i < arms.size(); ++i) arms[i] = order[i].second;
  return arms;
}

std::map<std::string, double> over_threads(const std::vector<std::map<std::string, double>> &times) {
  std::map<std::string, std::pair<double, size_t>> sums;
  for (const auto &row : times) {
    double fastest = std::numeric_limits<double>::infinity();
    for (const auto &entry : row) fastest = std::min(fastest, entry.second);
    for (const auto &[layout, us] : row) {
      sums[layout].first += us / fastest;
      ++sums[layout].second;
    }
  }
  std::map<std::string, double> result;
  for (const auto &[layout, sum] : sums)
    if (sum.second == times.size()) result[layout] = sum.first / static_cast<double>(sum.second);
  return result;
}

std::string choose_layout(const std::vector<std::map<std::string, double>> &times, const std::vector<double> &weights) {
  std::set<std::string> names;
  for (const auto &bucket : times)
    for (const auto &entry : bucket) names.insert(entry.first);
  std::string best;
  auto best_rank = std::make_pair(SIZE_MAX, std::numeric_limits<double>::infinity());
  for (const std::string &name : names) {
    auto rank = std::make_pair(size_t{0}, 0.0);
    for (size_t bucket = 0; bucket < times.size(); ++bucket) {
      if (times[bucket].empty()) continue;
      const auto mine = times[bucket].find(name);
      if (mine == times[bucket].end()) {
        ++rank.first;
        continue;
      }
      double fastest = mine->second;
      for (const auto &entry : times[bucket]) fastest = std::min(fastest, entry.second);
      rank.second += weights[bucket] * mine->second / fastest;
    }
    if (rank < best_rank) {
      best_rank = rank;
      best = name;
    }
  }
  return best;
}

}  // namespace bittern::tuning
