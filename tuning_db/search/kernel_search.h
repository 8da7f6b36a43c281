// All batch sizes and thread counts of one kernel at fixed sizes: they share one weight layout, so they are searched
// together. Tries candidates within the time it is given, settles the layout, and plays the finals.
#pragma once
#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tuning_db/search/problem_search.h"
#include "tuning_db/search/tuner.h"

namespace bittern::tuning {

class KernelSearch {
 public:
  using Clock = std::chrono::steady_clock;

  // `fraction`: this kernel's part of the whole run, for the progress bar. Throws Error when two batch sizes lie in one
  // bucket.
  KernelSearch(const SearchTools &tools, const KernelWork &work, Clock::time_point deadline, double fraction,
               Progress &progress);

  // Winners that an earlier run of this program found, with this patience or more: nothing to do.
  bool finished(TuningResult &result);
  // Gives false when the time did not suffice for a single candidate of some batch size.
  bool run(TuningResult &result);
  Rejections rejections() const;
  // How long proving its winners once more through the pack may take, by how long it took so far.
  double seconds_in_pack() const;
  // Whether for some batch size everything that was tried was rejected.
  bool hopeless() const;

 private:
  // Winners of all batch sizes and thread counts in one layout, and where the first of them that is slower than the
  // untuned kernel was met ("" when none is).
  struct Finals {
    std::vector<Outcome> outcomes;
    std::vector<WinnerRecord> winners;
    std::string slower;
  };
  std::optional<Finals> play_finals(const std::string &layout);
  bool estimate(TuningResult &result);
  // Tries candidates of a problem: the default, the first ones, then neighbours of the best.
  void explore(ProblemSearch &search, const std::set<std::string> &layouts, Clock::time_point until);
  // The newcomers against each other, then against the best so far.
  void play(ProblemSearch &search, const std::vector<int64_t> &arms, Clock::time_point until);
  // The best few of this layout and the shipped default, together, with the roof in between. The default may win where
  // its weights lie the same way. Gives the winner, or -1 when nothing is ready.
  int64_t final_of(ProblemSearch &search, size_t thread, const std::string &layout);
  // Stores the winners, and adds them with their code and the layout's companions to the result. False when the time
  // did not suffice for those.
  bool keep(TuningResult &result, std::vector<Outcome> found, const std::vector<WinnerRecord> &winners,
            const std::string &layout);
  std::optional<std::vector<Outcome>> companions_of(const std::string &layout);
  // Each batch size is explored and then judged; together they are this kernel's part of the bar.
  void step_done();
  void say(int64_t m, const std::string &doing, const std::string &best);
  size_t threads() const { return tools_.options.threads.size(); }

  SearchTools tools_;
  const KernelWork &work_;
  const Patience &patience_;
  Clock::time_point deadline_;
  double fraction_;
  Progress &progress_;
  std::vector<std::unique_ptr<ProblemSearch>> searches_;
  std::string default_layout_;  // of the untuned kernel at the smallest M
};

}  // namespace bittern::tuning
