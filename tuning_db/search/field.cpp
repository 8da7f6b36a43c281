#include "tuning_db/search/field.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "compiler/error.h"
#include "compiler/parser.h"
#include "runtime/bench/kernel_bench.h"
#include "runtime/machine/machine.h"

namespace bittern::tuning {
namespace {

using nlohmann::json;

constexpr double kBlockUs = 1500, kRequestUs = 1.5e6;
constexpr int64_t kTimingCallMs = 60000;
constexpr double kTimingSeconds = 600;

// Of the untuned kernels for this M, the one that dispatch takes: the narrowest range, of equals the first.
const schedules::Default *dispatched(const std::vector<schedules::Default> &all, int64_t m, const std::string &layout) {
  const schedules::Default *best = nullptr;
  for (const schedules::Default &d : all) {
    if (!d.built_in || m < d.m_min || m > d.m_max || (!layout.empty() && d.schedule.layout != layout)) continue;
    if (!best || d.m_max - d.m_min < best->m_max - best->m_min) best = &d;
  }
  return best;
}

// Enough copies to outgrow the last-level cache three times: they are read in turn, so none is found there again.
int64_t cold_bytes(int64_t cache_bytes) {
  constexpr int64_t least = int64_t{64} << 20, most = int64_t{1} << 30;
  return std::clamp(3 * cache_bytes, least, most);
}

}  // namespace

Field::Field(FieldTools tools, const KernelWork &work, int64_t m, const schedules::Target &target)
    : tools_(std::move(tools)), work_(work), target_(target) {
  for (int threads : tools_.options.threads) {
    problems_.push_back(make_problem(work.spec, work.fixed, m, threads, target.name));
    ids_.push_back(tools_.records.problem(tools_.machine, problems_.back()));
  }
  sizes_ = problems_.front().sizes();
  points_ = schedules::enumerate(work.spec, sizes_, target);
  rows_.resize(problems_.size());
  timings_.resize(problems_.size());
  for (size_t t = 0; t < problems_.size(); ++t) load_rows(t);
}

void Field::load_rows(size_t thread) {
  for (CandidateRecord &row : tools_.records.candidates(ids_[thread])) {
    const auto key = std::make_pair(row.schedule, row.shipped_default);
    rows_[thread][key] = std::move(row);
  }
}

void Field::register_rows(const std::vector<int64_t> &arms) {
  for (size_t t = 0; t < problems_.size(); ++t) {
    std::vector<CandidateRecord> missing;
    for (int64_t arm : arms) {
      const Candidate &c = candidate(arm);
      if (rows_[t].count({c.text, c.shipped_default})) continue;
      CandidateRecord record;
      record.schedule = c.text;
      record.shipped_default = c.shipped_default;
      record.prior = c.prior;
      missing.push_back(std::move(record));
    }
    if (missing.empty()) continue;
    tools_.records.add_candidates(ids_[t], missing);
    load_rows(t);
  }
}

size_t Field::tried() const {
  return static_cast<size_t>(std::count_if(candidates_.begin(), candidates_.end(),
                                           [](const Candidate &c) { return c.ready || !c.rejected.empty(); }));
}

size_t Field::rejected() const {
  return static_cast<size_t>(
      std::count_if(candidates_.begin(), candidates_.end(), [](const Candidate &c) { return !c.rejected.empty(); }));
}

int64_t Field::insert(const schedules::Schedule &schedule, double prior, bool shipped_default) {
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

int64_t Field::add_default(const std::string &layout) {
  const std::vector<schedules::Default> all = schedules::defaults(work_.spec, target_);
  const schedules::Default *chosen = dispatched(all, problems_.front().m, layout);
  if (!chosen) return -1;
  default_ = insert(chosen->schedule, 0, true);
  register_rows({default_});
  return default_;
}

std::vector<int64_t> Field::add(const std::vector<size_t> &points) {
  std::vector<int64_t> arms;
  for (size_t i : points) arms.push_back(insert(points_[i].schedule, points_[i].prior, false));
  register_rows(arms);
  return arms;
}

std::vector<int64_t> Field::add_known(const std::set<std::string> &layouts) {
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

std::string Field::object_key(const Candidate &c) const {
  const Problem &p = problems_.front();
  std::string text = fmt::format("{};{};{};{};", tools_.options.build, p.spec_hash, c.text, target_.name);
  if (c.shipped_default) return sha256_hex(text + fmt::format("default;{}", p.m));
  for (const auto &[name, value] : compiled_sizes(work_.spec, p)) text += fmt::format("{}={},", name, value);
  return sha256_hex(text + fmt::format("{}-{}", p.m_min, p.m_max));
}

void Field::set_status(int64_t arm, Status status, const std::string &reason) {
  const Candidate &c = candidate(arm);
  for (size_t t = 0; t < problems_.size(); ++t) {
    CandidateRecord &row = rows_[t].at({c.text, c.shipped_default});
    if (row.status == Status::Timed && status != Status::Rejected && row.build == tools_.options.build) continue;
    tools_.records.set_status(row.id, status, tools_.options.build, reason);
    if (c.object != 0) tools_.records.set_object(row.id, c.object);
    if (c.proof != 0) tools_.records.set_proof(row.id, c.proof);
    row.status = status;
    row.build = tools_.options.build;
  }
}

void Field::prepare(const std::vector<int64_t> &arms, Clock::time_point deadline) {
  std::vector<FarmJob> jobs;
  std::vector<int64_t> job_arms;
  std::vector<std::string> keys;
  std::vector<std::unique_ptr<Problem>> problems;
  const std::string proof_sizes = json(sizes_).dump();
  for (int64_t arm : arms) {
    Candidate &c = candidates_[static_cast<size_t>(arm)];
    if (c.ready || !c.rejected.empty()) continue;
    const CandidateRecord &row = rows_.front().at({c.text, c.shipped_default});
    if (row.status == Status::Rejected && row.build == tools_.options.build) {
      c.rejected = row.reason;
      continue;
    }
    FarmJob job;
    problems.push_back(std::make_unique<Problem>(problems_.front()));
    if (c.shipped_default) {
      for (const schedules::Default &d : schedules::defaults(work_.spec, target_))
        if (d.schedule == c.schedule && problems_.front().m >= d.m_min && problems_.front().m <= d.m_max) {
          problems.back()->m_min = d.m_min;
          problems.back()->m_max = d.m_max;
          break;
        }
    } else {
      job.compiled = compiled_sizes(work_.spec, problems_.front());
    }
    job.problem = problems.back().get();
    job.schedule = c.text;
    keys.push_back(object_key(c));
    job.symbol = "bt_k_" + keys.back().substr(0, 16);
    if (const auto object = tools_.records.find_object(keys.back())) {
      job.object = *object;
      if (const auto proof = tools_.records.find_proof(object->id, proof_sizes)) job.proof = *proof;
    }
    jobs.push_back(std::move(job));
    job_arms.push_back(arm);
  }
  size_t ended = 0;
  tools_.farm.run(jobs, deadline, [&](FarmJob &job) {
    const auto index = static_cast<size_t>(&job - jobs.data());
    const int64_t arm = job_arms[index];
    Candidate &c = candidates_[static_cast<size_t>(arm)];
    Records &records = tools_.records;
    if (!job.object.objects.empty()) {
      c.object = job.object.id != 0 ? job.object.id : records.add_object(keys[index], job.object);
      if (job.proof.passed || !job.proof.reason.empty())
        c.proof = job.proof.id != 0 ? job.proof.id : records.add_proof(c.object, proof_sizes, job.proof);
    }
    c.rejected = job.rejected;
    c.ready = job.rejected.empty();
    c.library = job.library;
    set_status(arm, c.ready ? Status::Proved : Status::Rejected, job.rejected);
    ++ended;
    tools_.say(fmt::format("{} {}/{} {}", c.ready ? "proved" : "rejected", ended, jobs.size(), c.text), "");
  });
  // Samples of the very same objects from earlier runs.
  for (size_t t = 0; t < problems_.size(); ++t) {
    std::map<std::pair<int64_t, int64_t>, int64_t> arm_of;
    for (int64_t arm : arms) {
      const Candidate &c = candidate(arm);
      if (c.ready) arm_of[{rows_[t].at({c.text, c.shipped_default}).id, c.object}] = arm;
    }
    for (const Sample &sample : tools_.records.samples(ids_[t]))
      if (const auto arm = arm_of.find({sample.candidate, sample.object}); arm != arm_of.end())
        timings_[t].add(arm->second, {sample.run, sample.round}, sample.us);
  }
}

std::vector<int64_t> Field::ready(const std::vector<int64_t> &arms) const {
  std::vector<int64_t> result;
  for (int64_t arm : arms)
    if (arm >= 0 && candidate(arm).ready && candidate(arm).rejected.empty() &&
        std::find(result.begin(), result.end(), arm) == result.end())
      result.push_back(arm);
  return result;
}

std::set<std::string> Field::known() const {
  std::set<std::string> texts;
  for (const Candidate &c : candidates_)
    if (!c.shipped_default) texts.insert(c.text);
  return texts;
}

std::vector<int64_t> Field::arms_of(const std::string &layout) const {
  std::vector<int64_t> arms;
  for (size_t i = 0; i < candidates_.size(); ++i)
    if (!candidates_[i].shipped_default && candidates_[i].schedule.layout == layout)
      arms.push_back(static_cast<int64_t>(i));
  return ready(arms);
}

std::string Field::best_text(size_t thread) const {
  std::string text;
  double best = 0;
  for (size_t i = 0; i < candidates_.size(); ++i) {
    const double us = timings_[thread].median_us(static_cast<int64_t>(i));
    if (us > 0 && (best == 0 || us < best)) {
      best = us;
      text = fmt::format("{:.1f} us {}", us, candidates_[i].text);
    }
  }
  return text;
}

bool Field::measure_once(size_t thread, std::vector<int64_t> &arms, int rounds, bool roof) {
  const Problem &problem = problems_[thread];
  std::vector<std::string> libraries;
  for (int64_t arm : arms) libraries.push_back(candidate(arm).library);
  json reply;
  try {
    const json request = {{"op", "time"},
                          {"spec", problem.spec_text},
                          {"sizes", sizes_},
                          {"threads", problem.threads},
                          {"libraries", libraries},
                          {"rounds", rounds},
                          {"block_us", kBlockUs},
                          {"cold_bytes", cold_bytes(tools_.host.cache_bytes)},
                          {"read_roof", roof && problem.m < 32},
                          {"multiply_roof", roof && problem.m > 1},
                          {"call_ms", kTimingCallMs}};
    reply = tools_.runner ? tools_.runner->time(request, multiply_adds(work_.spec, sizes_), kTimingSeconds)
                          : tools_.timer.call(request, kTimingSeconds);
  } catch (const WorkerFailure &failure) {
    // The reason names the schedule that was running: that one is out, the others go on.
    const std::string reason = failure.what();
    for (size_t i = 0; i < arms.size(); ++i) {
      if (reason.find("timing " + candidate(arms[i]).text) == std::string::npos) continue;
      candidates_[static_cast<size_t>(arms[i])].rejected = reason;
      set_status(arms[i], Status::Rejected, reason);
      arms.erase(arms.begin() + static_cast<std::ptrdiff_t>(i));
      return false;
    }
    // Between kernels: once that may be the system's doing (memory), twice it is ours.
    if (++unexplained_ > 1) throw Error(fmt::format("{}: timing failed: {}", problem.key(), reason));
    return false;
  }
  std::vector<Sample> samples;
  std::vector<RoofSample> roofs;
  const auto add_roofs = [&](const char *kind) {
    int64_t at = round_;
    for (const json &value : reply.at(kind)) roofs.push_back({tools_.run, at++, kind, value});
  };
  add_roofs("read_gb_s");
  add_roofs("int8_gop_s");
  for (const json &row : reply.at("samples")) {
    for (size_t i = 0; i < arms.size(); ++i) {
      const Candidate &c = candidate(arms[i]);
      const double us = row.at(i);
      samples.push_back({rows_[thread].at({c.text, c.shipped_default}).id, c.object, tools_.run, round_, us});
      timings_[thread].add(arms[i], {tools_.run, round_}, us);
    }
    ++round_;
  }
  tools_.records.add_samples(ids_[thread], samples, roofs);
  for (int64_t arm : arms) {
    CandidateRecord &row = rows_[thread].at({candidate(arm).text, candidate(arm).shipped_default});
    if (row.status == Status::Timed && row.build == tools_.options.build) continue;
    tools_.records.set_status(row.id, Status::Timed, tools_.options.build);
    row.status = Status::Timed;
    row.build = tools_.options.build;
  }
  return true;
}

Measure Field::measure(size_t thread, bool roof, Clock::time_point deadline) {
  return [this, thread, roof, deadline](const std::vector<int64_t> &arms, int rounds) {
    std::vector<int64_t> left = arms;
    for (int done = 0; done < rounds && !left.empty();) {
      double round_us = roof ? 30000 : 0;
      for (int64_t arm : left) round_us += std::max(kBlockUs, timings_[thread].median_us(arm));
      // Nothing is known of new arms: one round first.
      const bool fresh =
          std::any_of(left.begin(), left.end(), [&](int64_t arm) { return timings_[thread].count(arm) == 0; });
      const int now = fresh ? 1 : std::clamp(static_cast<int>(kRequestUs / round_us), 1, rounds - done);
      tools_.say(fmt::format("timing {} kernels on {} thread{}", left.size(), problems_[thread].threads,
                             problems_[thread].threads == 1 ? "" : "s"),
                 best_text(thread));
      if (measure_once(thread, left, now, roof)) done += now;
      if (Clock::now() > deadline && done < rounds) return false;
    }
    return true;
  };
}

std::map<std::string, std::pair<double, int64_t>> Field::best_by_layout(size_t thread) const {
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

double Field::read_roof(size_t thread) const {
  std::vector<double> reads;
  for (const RoofSample &roof : tools_.records.roofs(ids_[thread]))
    if (roof.kind == "read_gb_s") reads.push_back(roof.value);
  return reads.empty() ? 0 : median(reads);
}

WinnerRecord Field::judge(size_t thread, int64_t winner) {
  const Problem &problem = problems_[thread];
  const Timings &timings = timings_[thread];
  const Candidate &c = candidate(winner);
  WinnerRecord record;
  record.problem = ids_[thread];
  record.candidate = rows_[thread].at({c.text, c.shipped_default}).id;
  record.patience = tools_.options.patience.name;
  record.tie = true;
  if (timings.count(winner) == 0) return record;
  record.us_median = timings.median_beside(winner, default_);
  if (default_ >= 0 && default_ != winner && timings.common(default_, winner) > 0) {
    const Comparison comparison = timings.compare(default_, winner);
    record.default_us = timings.median_beside(default_, winner);
    record.speedup = comparison.ratio;
    record.tie = comparison.tie;
  } else if (default_ == winner) {
    record.default_us = record.us_median;
  }
  std::vector<double> reads, multiplies;
  for (const RoofSample &roof : tools_.records.roofs(ids_[thread]))
    (roof.kind == "read_gb_s" ? reads : multiplies).push_back(roof.value);
  record.roof_read_gb_s = median(reads);
  record.roof_int8_gop_s = median(multiplies);
  const double gb_s = weight_bytes(work_.spec, sizes_) / record.us_median / 1e3;
  const double gop_s = 2 * multiply_adds(work_.spec, sizes_) / record.us_median / 1e3;
  const double unknown = std::numeric_limits<double>::infinity();
  record.roof_pct =
      runtime::roof_percent(problem.m, gb_s, gop_s, record.roof_read_gb_s > 0 ? record.roof_read_gb_s : unknown,
                            record.roof_int8_gop_s > 0 ? record.roof_int8_gop_s : unknown);
  return record;
}

Outcome Field::outcome(size_t thread, const WinnerRecord &winner, int64_t arm) {
  const Candidate &c = candidate(arm);
  Outcome outcome;
  outcome.what = work_.what;
  outcome.problem = problems_[thread];
  outcome.winner = winner;
  outcome.schedule = c.text;
  outcome.layout = c.schedule.layout;
  outcome.backend = c.schedule.backend;
  if (winner.us_median > 0) {
    outcome.gb_s = weight_bytes(work_.spec, sizes_) / winner.us_median / 1e3;
    outcome.gop_s = 2 * multiply_adds(work_.spec, sizes_) / winner.us_median / 1e3;
  }
  outcome.tried = tried();
  outcome.rejected = rejected();
  outcome.space = points_.size();
  outcome.object = tools_.records.object(c.object);
  outcome.proof = tools_.records.proof(c.proof).value();
  return outcome;
}

}  // namespace bittern::tuning
