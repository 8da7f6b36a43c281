// Candidates of a problem timed in interleaved rounds by the timing worker, every round committed as it comes.
#include <fmt/format.h>

#include <algorithm>

#include "compiler/error.h"
#include "tuning_db/search/problem_search.h"

namespace bittern::tuning {
namespace {

constexpr double kBlockUs = 1500, kRequestUs = 1.5e6;
constexpr int64_t kTimingCallMs = 60000;
constexpr double kTimingSeconds = 600;

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

bool ProblemSearch::measure_once(size_t thread, std::vector<int64_t> &arms, int rounds, bool roof) {
  const Problem &problem = problems_[thread];
  TimeRequest request;
  request.spec = problem.spec_text;
  request.sizes = sizes_;
  request.threads = problem.threads;
  for (int64_t arm : arms) request.libraries.push_back(candidate(arm).library);
  request.rounds = rounds;
  request.block_us = kBlockUs;
  request.cold_bytes = cold_bytes(tools_.host.cache_bytes);
  request.read_roof = roof && problem.m < 32;
  request.multiply_roof = roof && problem.m > 1;
  request.call_ms = kTimingCallMs;
  TimeAnswer answer;
  try {
    answer = tools_.runner ? tools_.runner->time(request, multiply_adds(work_.spec, sizes_), kTimingSeconds)
                           : tools_.timer.call(request, kTimingSeconds);
  } catch (const WorkerFailure &failure) {
    const std::string reason = failure.what();
    // The kernel that was running is out, the others go on.
    if (failure.kernel >= 0 && failure.kernel < static_cast<int64_t>(arms.size())) {
      const int64_t arm = arms[static_cast<size_t>(failure.kernel)];
      candidates_[static_cast<size_t>(arm)].rejected = reason;
      set_status(arm, Status::Rejected, reason);
      arms.erase(arms.begin() + failure.kernel);
      return false;
    }
    // Between kernels: once that may be the system's doing (memory), twice it is ours.
    if (++unexplained_ > 1) throw Error(fmt::format("{}: timing failed: {}", problem.key(), reason));
    return false;
  }
  std::vector<Sample> samples;
  std::vector<RoofSample> roofs;
  const auto add_roofs = [&](const char *kind, const std::vector<double> &values) {
    int64_t at = round_;
    for (const double value : values) roofs.push_back({tools_.run, at++, kind, value, false, ids_[thread]});
  };
  add_roofs("read_gb_s", answer.read_gb_s);
  add_roofs("int8_gop_s", answer.int8_gop_s);
  for (const std::vector<double> &round : answer.samples) {
    for (size_t i = 0; i < arms.size(); ++i) {
      const Candidate &c = candidate(arms[i]);
      const double us = round[i];
      samples.push_back({row(thread, arms[i]).id, c.object, tools_.run, round_, us, false, ids_[thread]});
      timings_[thread].add(arms[i], {tools_.run, round_}, us);
    }
    ++round_;
  }
  tools_.store.add_samples(ids_[thread], samples, roofs);
  std::vector<CandidateUpdate> updates;
  for (int64_t arm : arms) {
    CandidateRecord &known = row(thread, arm);
    if (known.status == Status::Timed && known.build == tools_.options.build) continue;
    known.status = Status::Timed;
    known.build = tools_.options.build;
    updates.push_back({known.id, Status::Timed, known.build, "", candidate(arm).object, candidate(arm).proof});
  }
  if (!updates.empty()) tools_.store.update_candidates(updates);
  return true;
}

Measure ProblemSearch::measure(size_t thread, bool roof, Clock::time_point deadline) {
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

}  // namespace bittern::tuning
