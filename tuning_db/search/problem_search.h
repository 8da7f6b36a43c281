// One kernel at one batch size: its space, its candidates with all that is known of them, and their times per thread
// count. Everything learnt goes to the database at once; what the database knows is not learnt again.
#pragma once
#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "schedules/space.h"
#include "tuning_db/search/search.h"
#include "tuning_db/search/tuner.h"

namespace bittern::tuning {

struct Candidate {
  schedules::Schedule schedule;
  std::string text;
  bool shipped_default = false;
  double prior = 0;
  bool ready = false;    // compiled, linked, proved
  bool slow = false;     // far slower than the best: timed once, and in a final only
  std::string rejected;  // why it never will be
  int64_t object = 0, proof = 0;
  std::string library;
};

// What a ProblemSearch needs of the tuner around it.
struct SearchTools {
  Store &store;
  Farm &farm;
  Worker &timer;
  Runner *runner;       // where kernels are timed, when not here
  const Machine &host;  // the machine they are timed on
  const schedules::Target &target;
  int64_t machine, run;
  const TunerOptions &options;
  std::function<void(const std::string &doing, const std::string &best)> say;
  std::chrono::steady_clock::time_point ends;  // nothing is begun later, however little is found
};

class ProblemSearch {
 public:
  using Clock = std::chrono::steady_clock;

  ProblemSearch(SearchTools tools, const KernelWork &work, int64_t m);

  const Problem &problem(size_t thread) const { return problems_[thread]; }
  int64_t problem_id(size_t thread) const { return ids_[thread]; }
  const std::vector<schedules::Point> &points() const { return points_; }
  const Candidate &candidate(int64_t arm) const { return candidates_[static_cast<size_t>(arm)]; }
  Timings &timings(size_t thread) { return timings_[thread]; }
  size_t rejected() const;
  Rejections rejections() const;
  // Wall-clock seconds that a kernel of this problem took to be made and proved, on average; 0: none was.
  double seconds_per_kernel() const { return made_ == 0 ? 0 : making_seconds_ / static_cast<double>(made_); }
  size_t tried() const;

  // The untuned kernel that dispatch would run; `layout` as its weights would lie ("" at M = 1: its own choice).
  int64_t add_default(const std::string &layout);
  std::optional<schedules::Schedule> default_schedule(const std::string &layout) const;
  int64_t default_arm() const { return default_; }
  // Candidates for points; ready or rejected when prepare() has returned. Gives their arms.
  std::vector<int64_t> add(const std::vector<size_t> &points);
  // Candidates that an earlier run of this build has timed.
  std::vector<int64_t> add_known(const std::set<std::string> &layouts);
  void prepare(const std::vector<int64_t> &arms, Clock::time_point deadline);
  std::vector<int64_t> ready(const std::vector<int64_t> &arms) const;
  std::set<std::string> known() const;  // schedules that are candidates
  // Arms (of those ready) that read this layout; the default is never among them.
  std::vector<int64_t> arms_of(const std::string &layout) const;

  // For search.h: measures in interleaved rounds until `deadline`; with `roof`, samples of it between the rounds.
  Measure measure(size_t thread, bool roof, Clock::time_point deadline);
  // Best time per layout of the arms that have been timed (the default left out), and its arm.
  std::map<std::string, std::pair<double, int64_t>> best_by_layout(size_t thread) const;

  // Median of the read bandwidth measured between rounds of this problem, GB/s; 0 when there is none.
  double read_roof(size_t thread) const;
  // What to know of a share of it, for `bytes` a call.
  std::string read_note(size_t thread, double share, double bytes) const;

  // The finished comparison as it goes into the database, from the samples of this problem.
  WinnerRecord judge(size_t thread, int64_t winner);
  // Without the object and the proof: load_code() brings those of many outcomes at once.
  Outcome outcome(size_t thread, const WinnerRecord &winner, int64_t arm);

 private:
  struct Roofs {
    std::vector<double> read_gb_s, int8_gop_s;
  };
  Roofs roofs(size_t thread) const;
  int64_t insert(const schedules::Schedule &schedule, double prior, bool shipped_default);
  void load_rows();
  void register_rows(const std::vector<int64_t> &arms);
  void load_samples(const std::vector<int64_t> &arms);
  std::string object_key(const Candidate &candidate) const;
  CandidateRecord &row(size_t thread, int64_t arm);
  void set_status(int64_t arm, Status status, const std::string &reason = "");
  double fastest_us(size_t thread) const;
  bool measure_once(size_t thread, std::vector<int64_t> &arms, int rounds, bool roof, Clock::time_point deadline);
  void add_times(size_t thread, const std::vector<int64_t> &arms, const TimeAnswer &answer);
  std::string best_text(size_t thread) const;

  SearchTools tools_;
  const KernelWork &work_;
  std::vector<Problem> problems_;
  std::vector<int64_t> ids_;
  compiler::Sizes sizes_;
  std::vector<schedules::Point> points_;
  std::vector<Candidate> candidates_;
  std::map<std::string, int64_t> by_text_;
  // Per thread: the database row of each candidate by (schedule, default), and the times.
  std::vector<std::map<std::pair<std::string, bool>, CandidateRecord>> rows_;
  std::vector<Timings> timings_;
  int64_t default_ = -1;
  int64_t round_ = 0;
  double making_seconds_ = 0;
  size_t made_ = 0;
  int unexplained_ = 0;  // failures of the timing worker outside any kernel
};

}  // namespace bittern::tuning
