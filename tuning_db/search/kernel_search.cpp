#include "tuning_db/search/kernel_search.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>

#include "compiler/error.h"
#include "tuning_db/search/companions.h"
#include "tuning_db/search/layout_choice.h"
#include "tuning_db/search/outcomes.h"

namespace bittern::tuning {
namespace {

template <typename T>
void append(std::vector<T> &all, const std::vector<T> &more) {
  all.insert(all.end(), more.begin(), more.end());
}

// A little slower may be chance; that far below is not, even where too few rounds were played to be sure.
bool slower_than_default(const WinnerRecord &winner) {
  constexpr double kClearlySlower = 0.97;
  return winner.default_us > 0 && winner.speedup < 1 && (!winner.tie || winner.speedup < kClearlySlower);
}

// Priors are guesses, and defaults were measured: only one that is predicted to be far faster goes before them.
void prefer_default(std::vector<size_t> &order, const std::vector<schedules::Point> &points,
                    const std::optional<schedules::Schedule> &default_schedule) {
  constexpr double kSure = 0.4;  // of the default's predicted time
  if (!default_schedule) return;
  const auto at =
      std::find_if(order.begin(), order.end(), [&](size_t i) { return points[i].schedule == *default_schedule; });
  if (at == order.end() || points[order.front()].prior < kSure * points[*at].prior) return;
  std::rotate(order.begin(), at, at + 1);
}

size_t rank_of(const std::string &patience) {
  for (size_t i = 0; i < patiences().size(); ++i)
    if (patiences()[i].name == patience) return i;
  return 0;
}

}  // namespace

KernelSearch::KernelSearch(const SearchTools &tools, const KernelWork &work, Clock::time_point deadline,
                           double fraction, Progress &progress)
    : tools_(tools),
      work_(work),
      patience_(tools.options.patience),
      deadline_(deadline),
      fraction_(fraction),
      progress_(progress) {
  std::vector<int64_t> ms = work.m_values;
  std::sort(ms.begin(), ms.end());
  for (int64_t m : ms) {
    SearchTools own = tools;
    own.say = [this, m](const std::string &doing, const std::string &best) { say(m, doing, best); };
    searches_.push_back(std::make_unique<ProblemSearch>(std::move(own), work, m));
    if (searches_.size() > 1 &&
        searches_.back()->problem(0).kernel_key() == searches_[searches_.size() - 2]->problem(0).kernel_key())
      throw Error(fmt::format("{}: M = {} lies in the same bucket as the one before it", work.what, m));
  }
}

bool KernelSearch::finished(TuningResult &result) {
  std::map<int64_t, std::pair<ProblemSearch *, size_t>> problems;
  Ids ids;
  for (auto &search : searches_)
    for (size_t t = 0; t < threads(); ++t) {
      ids.push_back(search->problem_id(t));
      problems[ids.back()] = {search.get(), t};
    }
  const std::map<int64_t, WinnerRecord> winners = tools_.store.winners(ids);
  if (winners.size() != ids.size()) return false;
  std::map<int64_t, CandidateRecord> won;  // by problem
  for (CandidateRecord &row : tools_.store.candidates(ids))
    if (row.id == winners.at(row.problem).candidate) won[row.problem] = std::move(row);
  std::vector<Outcome> found;
  std::set<std::string> layouts;
  for (int64_t id : ids) {
    const auto row = won.find(id);
    if (row == won.end() || row->second.build != tools_.options.build || row->second.object == 0 ||
        row->second.proof == 0 || rank_of(winners.at(id).patience) < rank_of(patience_.name))
      return false;
    const auto &[search, t] = problems.at(id);
    try {
      found.push_back(make_outcome(work_, search->problem(t), winners.at(id), row->second.schedule, row->second.object,
                                   row->second.proof));
    } catch (const Error &) {
      return false;  // a damaged record: searched anew
    }
    found.back().reused = true;
    found.back().space = search->points().size();
    layouts.insert(found.back().layout);
  }
  if (layouts.size() != 1 || !load_code(tools_.store, found)) return false;
  const std::optional<std::vector<Outcome>> beside = companions_of(*layouts.begin());
  if (!beside) return false;
  append(result.companions, *beside);
  append(result.outcomes, found);
  return true;
}

bool KernelSearch::run(TuningResult &result) {
  if (patience_.first_decode == 0) return estimate(result);
  std::set<std::string> layouts;  // empty: all
  for (size_t f = 0; f < searches_.size(); ++f) {
    // What is left is shared by the batch sizes that are left, larger ones counting more: their kernels run longer.
    const double share = 1.0 / (1.0 + 1.4 * static_cast<double>(searches_.size() - 1 - f));
    const auto until =
        Clock::now() + std::chrono::duration_cast<Clock::duration>((deadline_ - Clock::now()) * 0.85 * share);
    explore(*searches_[f], layouts, until);
    compare_layouts(*searches_[f], threads(), tools_.options.compare, until);
    if (tools_.options.compare) append(result.layouts, layout_times(*searches_[f], work_, tools_.target, threads()));
    step_done();
    if (f == 0 && !tools_.options.compare) layouts = near_best(*searches_[f], threads());
  }
  std::string layout = settle_layout(work_, searches_, threads(), result.choices);
  std::optional<Finals> finals = play_finals(layout);
  // A tuned kernel that was measured slower than the untuned one is no improvement, whatever the other sizes gain.
  if (finals && !finals->slower.empty() && layout != default_layout_) {
    result.choices.push_back(fmt::format("{}: layout {} is slower than the untuned kernel at {}: {} is kept",
                                         work_.what, layout, finals->slower,
                                         default_layout_.empty() ? "that one's" : default_layout_));
    layout = default_layout_;
    finals = play_finals(layout);
  }
  return finals && keep(result, std::move(finals->outcomes), finals->winners, layout);
}

std::optional<KernelSearch::Finals> KernelSearch::play_finals(const std::string &layout) {
  Finals finals;
  for (auto &search : searches_) {
    for (size_t t = 0; t < threads(); ++t) {
      const int64_t arm = final_of(*search, t, layout);
      if (arm < 0) return std::nullopt;
      finals.winners.push_back(search->judge(t, arm));
      finals.outcomes.push_back(search->outcome(t, finals.winners.back(), arm));
      if (finals.slower.empty() && slower_than_default(finals.winners.back()))
        finals.slower =
            fmt::format("M={} on {} thread{} ({:.2f} of its speed)", search->problem(t).m, search->problem(t).threads,
                        search->problem(t).threads == 1 ? "" : "s", finals.winners.back().speedup);
    }
    step_done();
  }
  return finals;
}

bool KernelSearch::keep(TuningResult &result, std::vector<Outcome> found, const std::vector<WinnerRecord> &winners,
                        const std::string &layout) {
  tools_.store.set_winners(winners);
  if (!load_code(tools_.store, found))
    throw Error(fmt::format("tuning database {}: code that was just proved cannot be read", tools_.store.place()));
  const std::optional<std::vector<Outcome>> beside = companions_of(layout);
  if (!beside) return false;
  append(result.companions, *beside);
  append(result.outcomes, found);
  return true;
}

std::optional<std::vector<Outcome>> KernelSearch::companions_of(const std::string &layout) {
  return companions(tools_.store, tools_.farm, work_, tools_.target, layout, tools_.options, tools_.ends);
}

Rejections KernelSearch::rejections() const {
  Rejections why;
  for (const auto &search : searches_) why.add(search->rejections());
  return why;
}

double KernelSearch::seconds_in_pack() const {
  double seconds = 0;
  for (const auto &search : searches_) seconds += search->seconds_per_kernel();
  return seconds;
}

bool KernelSearch::hopeless() const {
  return std::any_of(searches_.begin(), searches_.end(),
                     [](const auto &search) { return search->tried() > 0 && search->rejected() == search->tried(); });
}

void KernelSearch::step_done() { progress_.fraction += fraction_ / (2.0 * static_cast<double>(searches_.size())); }

void KernelSearch::say(int64_t m, const std::string &doing, const std::string &best) {
  const std::string where =
      fmt::format("{} {} M={}", work_.what, searches_.empty() ? "" : searches_.front()->problem(0).shape(), m);
  if (progress_.where != where) progress_.best.clear();
  progress_.where = where;
  progress_.doing = doing;
  if (!best.empty()) progress_.best = best;
  if (tools_.options.progress) tools_.options.progress(progress_);
}

void KernelSearch::explore(ProblemSearch &search, const std::set<std::string> &layouts, Clock::time_point until) {
  std::vector<schedules::Point> points = search.points();
  for (schedules::Point &point : points)
    if (!layouts.empty() && !layouts.count(point.schedule.layout) && point.illegal.empty())
      point.illegal = "another layout serves decoding better";
  const size_t count = search.problem(0).m == 1 ? patience_.first_decode : patience_.first_batch;
  std::vector<size_t> first = choose_first(points, count);
  // Each layout's own default schedule is a good point and must not be lost to. They come first and whatever the
  // time, so that every problem that is begun gets an answer.
  std::vector<size_t> shipped, others;
  for (const schedules::Default &d : schedules::defaults(work_.spec, tools_.target)) {
    if (search.problem(0).m < d.m_min || search.problem(0).m > d.m_max) continue;
    for (size_t i = 0; i < points.size(); ++i)
      if (points[i].illegal.empty() && points[i].schedule == d.schedule) (d.built_in ? shipped : others).push_back(i);
  }
  first.insert(first.begin(), others.begin(), others.end());
  if (shipped.empty() && !first.empty()) shipped.push_back(first.front());
  std::vector<int64_t> arms = search.add(shipped);
  // What takes longer would have no time left to be proved once more in the pack.
  search.prepare(arms, Clock::now() + (tools_.ends - Clock::now()) / 2);
  for (int64_t arm : search.add_known(layouts)) arms.push_back(arm);
  for (int64_t arm : search.add(first)) arms.push_back(arm);
  search.prepare(arms, until);
  play(search, search.ready(arms), until);
  for (int round = 0; round < patience_.expansions && Clock::now() < until; ++round) {
    std::vector<size_t> next;
    for (size_t t = 0; t < threads(); ++t) {
      const int64_t best = best_arm(search, t);
      if (best < 0) continue;
      for (size_t i : neighbours(points, search.candidate(best).schedule, search.known(), patience_.per_expansion))
        if (std::find(next.begin(), next.end(), i) == next.end()) next.push_back(i);
    }
    if (next.empty()) break;
    const std::vector<int64_t> added = search.add(next);
    search.prepare(added, until);
    play(search, search.ready(added), until);
  }
}

void KernelSearch::play(ProblemSearch &search, const std::vector<int64_t> &arms, Clock::time_point until) {
  for (size_t t = 0; t < threads(); ++t) {
    std::vector<int64_t> players = arms;
    if (const int64_t best = best_arm(search, t);
        best >= 0 && std::find(players.begin(), players.end(), best) == players.end())
      players.push_back(best);
    if (players.empty()) continue;
    const Measure measure = search.measure(t, false, until);
    halve(players, {{1, 0.6}, {3, 0.5}, {6, 0.5}}, 3, search.timings(t), measure);
  }
}

int64_t KernelSearch::final_of(ProblemSearch &search, size_t t, const std::string &layout) {
  std::vector<int64_t> arms;
  for (int64_t arm : search.arms_of(layout))
    if (search.timings(t).count(arm) > 0) arms.push_back(arm);
  if (arms.empty()) arms = search.arms_of(layout);
  std::sort(arms.begin(), arms.end(),
            [&](int64_t a, int64_t b) { return search.timings(t).quartile_us(a) < search.timings(t).quartile_us(b); });
  // What is far slower than the best cannot win.
  if (std::any_of(arms.begin(), arms.end(), [&](int64_t arm) { return !search.candidate(arm).slow; }))
    std::erase_if(arms, [&](int64_t arm) { return search.candidate(arm).slow; });
  if (arms.size() > 3) arms.resize(3);
  const int64_t shipped = search.default_arm() >= 0 ? search.default_arm() : search.add_default(default_layout_);
  if (shipped >= 0) {
    if (search.problem(0).m == searches_.front()->problem(0).m)
      default_layout_ = search.candidate(shipped).schedule.layout;
    search.prepare({shipped}, tools_.ends);
    if (search.candidate(shipped).ready) arms.insert(arms.begin(), shipped);
  }
  if (arms.empty()) return -1;
  // The last word is worth a little more than the time that was meant for it.
  const auto until = std::min(std::max(deadline_, Clock::now() + std::chrono::seconds(3)), tools_.ends);
  arms = play_final(arms, patience_.final_rounds, search.timings(t), search.measure(t, true, until));
  // The default comes first among equals: a lead over it that is none leaves it as good.
  for (int64_t arm : search.ready(arms))
    if (arm != shipped || search.candidate(arm).schedule.layout == layout) return arm;
  return -1;
}

// No timing: the untuned schedules, unless the prior is sure of another. The one at M = 1 gives the layout.
bool KernelSearch::estimate(TuningResult &result) {
  std::string layout;
  bool have_layout = false;
  std::vector<Outcome> found;
  std::vector<WinnerRecord> winners;
  for (auto &search : searches_) {
    std::vector<schedules::Point> points = search->points();
    for (schedules::Point &point : points)
      if (have_layout && point.schedule.layout != layout) point.illegal = "another layout";
    std::vector<size_t> order = choose_first(points, SIZE_MAX);
    prefer_default(order, points, search->default_schedule(layout));
    int64_t winner = -1;
    for (size_t i : order) {
      const std::vector<int64_t> arms = search->add({i});
      search->prepare(arms, tools_.ends);
      if (const auto ready = search->ready(arms); !ready.empty()) {
        winner = ready.front();
        break;
      }
      if (Clock::now() > tools_.ends) break;
    }
    if (winner < 0) return false;
    layout = search->candidate(winner).schedule.layout;
    have_layout = true;
    for (size_t t = 0; t < threads(); ++t) {
      winners.push_back(search->judge(t, winner));
      found.push_back(search->outcome(t, winners.back(), winner));
    }
  }
  if (!keep(result, std::move(found), winners, layout)) return false;
  if (!layout.empty()) result.choices.push_back(fmt::format("{}: layout {} by prediction alone", work_.what, layout));
  return true;
}

}  // namespace bittern::tuning
