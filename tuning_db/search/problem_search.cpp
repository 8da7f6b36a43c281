// Which candidates a problem has, what the database knows of them, and how they become ready to be timed.
#include "tuning_db/search/problem_search.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tuning_db/making/default_choice.h"
#include "tuning_db/search/stored_kernels.h"

namespace bittern::tuning {
namespace {

using nlohmann::json;

}  // namespace

ProblemSearch::ProblemSearch(SearchTools tools, const KernelWork &work, int64_t m)
    : tools_(std::move(tools)), work_(work) {
  for (int threads : tools_.options.threads)
    problems_.push_back(make_problem(work.spec, work.fixed, m, threads, tools_.target.name));
  ids_ = tools_.store.add_problems(tools_.machine, problems_);
  sizes_ = problems_.front().sizes();
  points_ = schedules::enumerate(work.spec, sizes_, tools_.target);
  rows_.resize(problems_.size());
  timings_.resize(problems_.size());
  load_rows();
}

// Another tuner may have added or finished some since.
void ProblemSearch::load_rows() {
  for (CandidateRecord &row : tools_.store.candidates(ids_)) {
    const auto thread = static_cast<size_t>(std::find(ids_.begin(), ids_.end(), row.problem) - ids_.begin());
    const auto key = std::make_pair(row.schedule, row.shipped_default);
    rows_[thread][key] = std::move(row);
  }
}

CandidateRecord &ProblemSearch::row(size_t thread, int64_t arm) {
  const Candidate &c = candidate(arm);
  return rows_[thread].at({c.text, c.shipped_default});
}

void ProblemSearch::register_rows(const std::vector<int64_t> &arms) {
  std::vector<CandidateRecord> missing;
  for (size_t t = 0; t < problems_.size(); ++t)
    for (int64_t arm : arms) {
      const Candidate &c = candidate(arm);
      if (rows_[t].count({c.text, c.shipped_default})) continue;
      CandidateRecord record;
      record.problem = ids_[t];
      record.schedule = c.text;
      record.shipped_default = c.shipped_default;
      record.prior = c.prior;
      missing.push_back(std::move(record));
    }
  if (missing.empty()) return;
  tools_.store.add_candidates(missing);
  load_rows();
}

size_t ProblemSearch::tried() const {
  return static_cast<size_t>(std::count_if(candidates_.begin(), candidates_.end(),
                                           [](const Candidate &c) { return c.ready || !c.rejected.empty(); }));
}

size_t ProblemSearch::rejected() const {
  return static_cast<size_t>(
      std::count_if(candidates_.begin(), candidates_.end(), [](const Candidate &c) { return !c.rejected.empty(); }));
}

Rejections ProblemSearch::rejections() const {
  Rejections why;
  for (const Candidate &c : candidates_)
    if (!c.rejected.empty()) why.add(c.text, c.rejected);
  return why;
}

int64_t ProblemSearch::insert(const schedules::Schedule &schedule, double prior, bool shipped_default) {
  Candidate candidate;
  candidate.schedule = schedule;
  candidate.text = schedules::print_schedule(schedule);
  candidate.shipped_default = shipped_default;
  candidate.prior = prior;
  const std::string key = candidate.text + (shipped_default ? " (default)" : "");
  if (const auto found = by_text_.find(key); found != by_text_.end()) return found->second;
  const auto arm = static_cast<int64_t>(candidates_.size());
  candidates_.push_back(std::move(candidate));
  by_text_[key] = arm;
  return arm;
}

int64_t ProblemSearch::add_default(const std::string &layout) {
  const std::vector<schedules::Default> all = schedules::defaults(work_.spec, tools_.target);
  const schedules::Default *chosen = dispatched_default(all, problems_.front().m, layout, Defaults::BuiltIn);
  if (!chosen) return -1;
  default_ = insert(chosen->schedule, 0, true);
  register_rows({default_});
  return default_;
}

std::optional<schedules::Schedule> ProblemSearch::default_schedule(const std::string &layout) const {
  const std::vector<schedules::Default> all = schedules::defaults(work_.spec, tools_.target);
  const schedules::Default *chosen = dispatched_default(all, problems_.front().m, layout, Defaults::BuiltIn);
  return chosen ? std::optional(chosen->schedule) : std::nullopt;
}

std::vector<int64_t> ProblemSearch::add(const std::vector<size_t> &points) {
  std::vector<int64_t> arms;
  for (size_t i : points) arms.push_back(insert(points_[i].schedule, points_[i].prior, false));
  register_rows(arms);
  return arms;
}

std::vector<int64_t> ProblemSearch::add_known(const std::set<std::string> &layouts) {
  std::set<std::string> timed;
  for (const auto &rows : rows_)
    for (const auto &[key, row] : rows)
      if (!row.shipped_default && row.status == Status::Timed && row.build == tools_.options.build)
        timed.insert(row.schedule);
  std::vector<size_t> found;
  for (size_t i = 0; i < points_.size() && !timed.empty(); ++i) {
    const schedules::Schedule &schedule = points_[i].schedule;
    if (!points_[i].illegal.empty() || (!layouts.empty() && !layouts.count(schedule.layout))) continue;
    if (timed.erase(schedules::print_schedule(schedule)) != 0) found.push_back(i);
  }
  return add(found);
}

std::string ProblemSearch::object_key(const Candidate &c) const {
  const Problem &p = problems_.front();
  std::string text = fmt::format("{};{};{};{};", tools_.options.build, p.spec_hash, c.text, tools_.target.name);
  if (c.shipped_default) return sha256_hex(text + fmt::format("default;{}", p.m));
  for (const auto &[name, value] : compiled_sizes(work_.spec, p)) text += fmt::format("{}={},", name, value);
  return sha256_hex(text + fmt::format("{}-{}", p.m_min, p.m_max));
}

void ProblemSearch::set_status(int64_t arm, Status status, const std::string &reason) {
  const Candidate &c = candidate(arm);
  std::vector<CandidateUpdate> updates;
  for (size_t t = 0; t < problems_.size(); ++t) {
    CandidateRecord &known = row(t, arm);
    if (known.status == Status::Timed && status != Status::Rejected && known.build == tools_.options.build) continue;
    updates.push_back({known.id, status, tools_.options.build, reason, c.object, c.proof});
    known.status = status;
    known.build = tools_.options.build;
  }
  tools_.store.update_candidates(updates);
}

void ProblemSearch::prepare(const std::vector<int64_t> &arms, Clock::time_point deadline) {
  std::vector<Order> orders;
  std::vector<int64_t> order_arms;
  std::vector<CodeKey> keys;
  const std::string proof_sizes = json(sizes_).dump();
  load_rows();
  for (int64_t arm : arms) {
    Candidate &c = candidates_[static_cast<size_t>(arm)];
    if (c.ready || !c.rejected.empty()) continue;
    const CandidateRecord &known = row(0, arm);
    if (known.status == Status::Rejected && known.build == tools_.options.build) {
      c.rejected = known.reason;
      continue;
    }
    Order order;
    order.problem = problems_.front();
    if (c.shipped_default) {
      for (const schedules::Default &d : schedules::defaults(work_.spec, tools_.target))
        if (d.schedule == c.schedule && order.problem.m >= d.m_min && order.problem.m <= d.m_max) {
          order.problem.m_min = d.m_min;
          order.problem.m_max = d.m_max;
          break;
        }
    } else {
      order.fixed = compiled_sizes(work_.spec, order.problem);
    }
    order.schedule = c.text;
    keys.push_back({object_key(c), proof_sizes});
    order.symbol = "bt_k_" + keys.back().key.substr(0, 16);
    orders.push_back(std::move(order));
    order_arms.push_back(arm);
  }
  size_t ended = 0;
  const auto start = Clock::now();
  make_stored(tools_.store, tools_.farm, std::move(orders), keys, deadline,
              [&](size_t i, const Made &made, const StoredCode &code) {
                Candidate &c = candidates_[static_cast<size_t>(order_arms[i])];
                c.object = code.object.id;
                c.proof = code.proof.id;
                c.rejected = made.why();
                c.ready = made.good();
                c.library = made.library;
                set_status(order_arms[i], c.ready ? Status::Proved : Status::Rejected, c.rejected);
                ++ended;
                tools_.say(
                    fmt::format("{} {}/{} {}", c.ready ? "proved" : "rejected", ended, order_arms.size(), c.text), "");
              });
  making_seconds_ += std::chrono::duration<double>(Clock::now() - start).count();
  made_ += ended;
  load_samples(arms);
}

// Samples of the very same objects from earlier runs and other tuners.
void ProblemSearch::load_samples(const std::vector<int64_t> &arms) {
  std::map<std::pair<int64_t, int64_t>, std::pair<size_t, int64_t>> arm_of;
  for (size_t t = 0; t < problems_.size(); ++t)
    for (int64_t arm : arms)
      if (candidate(arm).ready) arm_of[{row(t, arm).id, candidate(arm).object}] = {t, arm};
  if (arm_of.empty()) return;
  for (const Sample &sample : tools_.store.samples(ids_))
    if (const auto found = arm_of.find({sample.candidate, sample.object}); found != arm_of.end())
      timings_[found->second.first].add(found->second.second, {sample.run, sample.round}, sample.us, sample.disturbed);
}

std::vector<int64_t> ProblemSearch::ready(const std::vector<int64_t> &arms) const {
  std::vector<int64_t> result;
  for (int64_t arm : arms)
    if (arm >= 0 && candidate(arm).ready && candidate(arm).rejected.empty() &&
        std::find(result.begin(), result.end(), arm) == result.end())
      result.push_back(arm);
  return result;
}

std::set<std::string> ProblemSearch::known() const {
  std::set<std::string> texts;
  for (const Candidate &c : candidates_)
    if (!c.shipped_default) texts.insert(c.text);
  return texts;
}

std::vector<int64_t> ProblemSearch::arms_of(const std::string &layout) const {
  std::vector<int64_t> arms;
  for (size_t i = 0; i < candidates_.size(); ++i)
    if (!candidates_[i].shipped_default && candidates_[i].schedule.layout == layout)
      arms.push_back(static_cast<int64_t>(i));
  return ready(arms);
}

std::map<std::string, std::pair<double, int64_t>> ProblemSearch::best_by_layout(size_t thread) const {
  std::map<std::string, std::pair<double, int64_t>> best;
  for (size_t i = 0; i < candidates_.size(); ++i) {
    const Candidate &c = candidates_[i];
    const double us = timings_[thread].quartile_us(static_cast<int64_t>(i));
    if (c.shipped_default || !c.ready || !c.rejected.empty() || us <= 0) continue;
    const auto [entry, fresh] = best.emplace(c.schedule.layout, std::make_pair(us, static_cast<int64_t>(i)));
    if (!fresh && us < entry->second.first) entry->second = {us, static_cast<int64_t>(i)};
  }
  return best;
}

}  // namespace bittern::tuning
