#include "tuning_db/search/layout_choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "schedules/layout.h"
#include "schedules/space.h"
#include "tuning_db/proof/cost.h"
#include "tuning_db/search/search.h"

namespace bittern::tuning {
namespace {

// The mix that one layout is chosen for: decoding dominates what a user waits for.
constexpr double kDecodeWeight = 0.8;
// Layouts whose decode is this close to the best one's are tried at larger batches too.
constexpr double kLayoutSlack = 1.06;
constexpr size_t kMostLayouts = 3;
// The play-off of layouts: those within this factor of the best, at most so many, for so many rounds together.
constexpr double kPlayoffSlack = 1.4;
constexpr size_t kPlayoff = 5;
constexpr int kPlayoffRounds = 9;
constexpr auto kPlayoffTime = std::chrono::milliseconds(1500);

double weight_of(int64_t m, size_t buckets) {
  if (buckets == 1) return 1;
  return m == 1 ? kDecodeWeight : (1 - kDecodeWeight) / static_cast<double>(buckets - 1);
}

// Time of each layout relative to the best one's, averaged over thread counts. Layouts that were measured together are
// compared by the rounds they share.
std::map<std::string, double> relative_times(ProblemSearch &search, size_t threads) {
  std::vector<std::map<std::string, double>> by_threads;
  for (size_t t = 0; t < threads; ++t) {
    const int64_t reference = best_arm(search, t);
    const double unit = search.timings(t).quartile_us(reference);
    std::map<std::string, double> &times = by_threads.emplace_back();
    for (const auto &[layout, entry] : search.best_by_layout(t)) {
      const bool together = search.timings(t).common(reference, entry.second) >= kPlayoffRounds;
      times[layout] = together ? 1 / search.timings(t).compare(reference, entry.second).ratio : entry.first / unit;
    }
  }
  return over_threads(by_threads);
}

}  // namespace

int64_t best_arm(ProblemSearch &search, size_t t) {
  int64_t arm = -1;
  double best = 0;
  for (const auto &[layout, entry] : search.best_by_layout(t))
    if (best == 0 || entry.first < best) {
      best = entry.first;
      arm = entry.second;
    }
  return arm;
}

void compare_layouts(ProblemSearch &search, size_t threads, bool all, std::chrono::steady_clock::time_point until) {
  for (size_t t = 0; t < threads; ++t) {
    std::vector<std::pair<double, int64_t>> order;
    for (const auto &[layout, entry] : search.best_by_layout(t)) order.push_back(entry);
    std::sort(order.begin(), order.end());
    std::vector<int64_t> arms;
    for (const auto &[us, arm] : order)
      if (all || (arms.size() < kPlayoff && us <= order.front().first * kPlayoffSlack)) arms.push_back(arm);
    if (arms.size() > 1 || all)
      search.measure(t, all, std::max(until, std::chrono::steady_clock::now() + kPlayoffTime * (all ? 4 : 1)))(
          arms, kPlayoffRounds);
  }
}

std::vector<LayoutTime> layout_times(ProblemSearch &search, const KernelWork &work, const schedules::Target &target,
                                     size_t threads) {
  std::vector<LayoutTime> times;
  for (size_t t = 0; t < threads; ++t) {
    std::vector<LayoutTime> own;
    const Problem &problem = search.problem(t);
    const double roof = search.read_roof(t);
    for (const auto &[layout, entry] : search.best_by_layout(t)) {
      if (layout.empty()) continue;
      const Candidate &c = search.candidate(entry.second);
      LayoutTime row;
      row.what = work.what;
      row.shape = problem.shape();
      row.m = problem.m;
      row.threads = problem.threads;
      row.layout = layout;
      row.schedule = c.text;
      row.us = search.timings(t).median_beside(entry.second, best_arm(search, t));
      row.bits_per_weight = schedules::find_layout(layout).bits_per_weight();
      row.operations = schedules::operations(work.spec, problem.sizes(), c.schedule, target);
      row.roof_read_gb_s = roof;
      const double bytes = weight_bytes(work.spec, problem.sizes()) * row.bits_per_weight / 2;
      row.read_share = roof > 0 ? bytes / roof / 1e3 / row.us : 0;
      row.note = search.read_note(t, row.read_share, bytes);
      own.push_back(std::move(row));
    }
    std::sort(own.begin(), own.end(), [](const LayoutTime &a, const LayoutTime &b) { return a.us < b.us; });
    times.insert(times.end(), own.begin(), own.end());
  }
  return times;
}

std::set<std::string> near_best(ProblemSearch &search, size_t threads) {
  std::vector<std::pair<double, std::string>> order;
  for (const auto &[layout, cost] : relative_times(search, threads)) order.emplace_back(cost, layout);
  std::sort(order.begin(), order.end());
  std::set<std::string> layouts;
  for (const auto &[cost, layout] : order)
    if (layouts.size() < kMostLayouts && cost <= order.front().first * kLayoutSlack) layouts.insert(layout);
  return layouts;
}

std::string settle_layout(const KernelWork &work, const std::vector<std::unique_ptr<ProblemSearch>> &searches,
                          size_t threads, std::vector<std::string> &choices) {
  std::vector<std::map<std::string, double>> times;
  std::vector<double> weights;
  std::string mix;
  for (auto &search : searches) {
    times.push_back(relative_times(*search, threads));
    weights.push_back(weight_of(search->problem(0).m, searches.size()));
    mix += fmt::format("{}M={} {:.0f} %", mix.empty() ? "" : ", ", search->problem(0).m, 100 * weights.back());
  }
  const std::string layout = choose_layout(times, weights);
  if (!layout.empty()) {
    std::string costs;
    for (const auto &[name, cost] : times.front())
      costs += fmt::format("{}{} {:.2f}", costs.empty() ? "" : ", ", name, cost);
    choices.push_back(fmt::format("{} {}: layout {} for the mix {} (time at M={} relative to the best: {})", work.what,
                                  searches.front()->problem(0).shape(), layout, mix, searches.front()->problem(0).m,
                                  costs));
  }
  return layout;
}

}  // namespace bittern::tuning
