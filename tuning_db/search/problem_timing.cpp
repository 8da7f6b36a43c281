// Candidates of a problem timed in interleaved rounds by the timing worker, every round committed as it comes.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "compiler/error.h"
#include "tuning_db/proof/cost.h"
#include "tuning_db/search/problem_search.h"

namespace bittern::tuning {
namespace {

constexpr double kBlockUs = 1500, kRequestUs = 1.5e6;
constexpr int64_t kTimingCallMs = 60000;
constexpr double kTimingSeconds = 600;
constexpr double kLastCallMs = 2000;  // a call that began in time may take that much longer
// A candidate is timed by one call alone when that takes so many times the fastest one's, or so long at all.
constexpr double kFarSlower = 30, kSlowUs = 20000, kVerySlowUs = 1e6;

// Enough copies to outgrow the last-level cache three times: they are read in turn, so none is found there again.
int64_t cold_bytes(int64_t cache_bytes) {
  constexpr int64_t least = int64_t{64} << 20, most = int64_t{1} << 30;
  return std::clamp(3 * cache_bytes, least, most);
}

}  // namespace

std::string ProblemSearch::best_text(size_t thread) const {
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

double ProblemSearch::fastest_us(size_t thread) const {
  double best = 0;
  for (size_t i = 0; i < candidates_.size(); ++i)
    if (const double us = timings_[thread].median_us(static_cast<int64_t>(i)); us > 0 && (best == 0 || us < best))
      best = us;
  return best;
}

bool ProblemSearch::measure_once(size_t thread, std::vector<int64_t> &arms, int rounds, bool roof,
                                 Clock::time_point deadline) {
  const Problem &problem = problems_[thread];
  const double left_us = std::max(0.0, std::chrono::duration<double, std::micro>(deadline - Clock::now()).count());
  const double best = fastest_us(thread);
  const auto call_ms = static_cast<int64_t>(std::min(1.0 * kTimingCallMs, left_us / 1e3 + kLastCallMs));
  TimeRequest request;
  request.spec = problem.spec_text;
  request.sizes = sizes_;
  request.threads = problem.threads;
  for (int64_t arm : arms) request.libraries.push_back(candidate(arm).library);
  request.rounds = rounds;
  request.block_us = kBlockUs;
  // In a final everyone plays, however slow.
  request.slow_us = roof ? 0.0 : best > 0 ? std::max(kFarSlower * best, kSlowUs) : kVerySlowUs;
  request.budget_us = std::max(left_us, 1.0);
  request.cold_bytes = cold_bytes(tools_.host.cache_bytes);
  request.read_roof = roof && problem.m < 32;
  request.multiply_roof = roof && problem.m > 1;
  request.call_ms = call_ms;
  TimeAnswer answer;
  try {
    answer = tools_.runner ? tools_.runner->time(request, multiply_adds(work_.spec, sizes_), kTimingSeconds)
                           : tools_.timer.call(request, kTimingSeconds);
  } catch (const WorkerFailure &failure) {
    const std::string reason = failure.what();
    // The kernel that was running is out, the others go on.
    if (failure.kernel >= 0 && failure.kernel < static_cast<int64_t>(arms.size())) {
      const int64_t arm = arms[static_cast<size_t>(failure.kernel)];
      Candidate &c = candidates_[static_cast<size_t>(arm)];
      // One that did not end within what is left of the time may do so in a longer run.
      if (failure.kind == RejectionKind::Timeout && call_ms < kTimingCallMs) {
        c.slow = true;
      } else {
        c.rejected = reason;
        set_status(arm, Status::Rejected, reason);
      }
      arms.erase(arms.begin() + failure.kernel);
      return false;
    }
    // Between kernels: once that may be the system's doing (memory), twice it is ours.
    if (++unexplained_ > 1) throw Error(fmt::format("{}: timing failed: {}", problem.key(), reason));
    return false;
  }
  add_times(thread, arms, answer);
  for (size_t i = 0; i < arms.size(); ++i)
    if (answer.slow.at(i) != 0 && timings_[thread].count(arms[i]) > 0)
      candidates_[static_cast<size_t>(arms[i])].slow = true;
  return true;
}

// What the timing worker answered, into the tables and the database.
void ProblemSearch::add_times(size_t thread, const std::vector<int64_t> &arms, const TimeAnswer &answer) {
  std::vector<Sample> samples;
  std::vector<RoofSample> roofs;
  std::set<int64_t> timed;
  const auto add_roofs = [&](const char *kind, const std::vector<double> &values) {
    for (size_t i = 0; i < values.size(); ++i) {
      const std::vector<int> &row = answer.disturbed.at(i);
      const bool all = std::all_of(row.begin(), row.end(), [](int block) { return block != 0; });
      roofs.push_back({tools_.run, round_ + static_cast<int64_t>(i), kind, values[i], all, ids_[thread]});
    }
  };
  add_roofs("read_gb_s", answer.read_gb_s);
  add_roofs("int8_gop_s", answer.int8_gop_s);
  for (size_t round = 0; round < answer.samples.size(); ++round, ++round_)
    for (size_t i = 0; i < arms.size(); ++i) {
      const double us = answer.samples[round].at(i);
      if (us <= 0) continue;
      const bool marked = answer.disturbed.at(round).at(i) != 0;
      samples.push_back(
          {row(thread, arms[i]).id, candidate(arms[i]).object, tools_.run, round_, us, marked, ids_[thread]});
      timings_[thread].add(arms[i], {tools_.run, round_}, us, marked);
      timed.insert(arms[i]);
    }
  tools_.store.add_samples(ids_[thread], samples, roofs);
  std::vector<CandidateUpdate> updates;
  for (int64_t arm : timed) {
    CandidateRecord &known = row(thread, arm);
    if (known.status == Status::Timed && known.build == tools_.options.build) continue;
    known.status = Status::Timed;
    known.build = tools_.options.build;
    updates.push_back({known.id, Status::Timed, known.build, "", candidate(arm).object, candidate(arm).proof});
  }
  if (!updates.empty()) tools_.store.update_candidates(updates);
}

Measure ProblemSearch::measure(size_t thread, bool roof, Clock::time_point until) {
  return [this, thread, roof, deadline = std::min(until, tools_.ends)](const std::vector<int64_t> &arms, int rounds) {
    std::vector<int64_t> left = arms;
    for (int done = 0; done < rounds;) {
      if (!roof) std::erase_if(left, [&](int64_t arm) { return candidate(arm).slow; });
      if (left.empty()) break;
      double round_us = roof ? 30000 : 0;
      for (int64_t arm : left) round_us += std::max(kBlockUs, timings_[thread].median_us(arm));
      // Nothing is known of new arms: one round first.
      const bool fresh =
          std::any_of(left.begin(), left.end(), [&](int64_t arm) { return timings_[thread].count(arm) == 0; });
      const int now = fresh ? 1 : std::clamp(static_cast<int>(kRequestUs / round_us), 1, rounds - done);
      tools_.say(fmt::format("timing {} kernels on {} thread{}", left.size(), problems_[thread].threads,
                             problems_[thread].threads == 1 ? "" : "s"),
                 best_text(thread));
      if (measure_once(thread, left, now, roof, deadline)) done += now;
      if (Clock::now() > deadline && done < rounds) return false;
    }
    return true;
  };
}

}  // namespace bittern::tuning
