// The proof matrix: points of every template's space, for every built-in kernel, for one token and several, on every
// target that this machine runs, compiled with all sizes left open and proved over odd sizes and every input set. A
// legal schedule must be right, not only the few that win. Spaces of tens of thousands of points are sampled evenly;
// BITTERN_PROOF in the environment says how many of each: a number, or "full" for 60.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "compiler/error.h"
#include "compiler/library.h"
#include "runtime/machine/machine.h"
#include "schedules/space.h"
#include "tests/proof/worker_process.h"
#include "tests/scratch_folder.h"
#include "tuning_db/farm.h"
#include "tuning_db/problem.h"
#include "tuning_db/run_folder.h"

using namespace bittern;
using namespace bittern::tuning;

namespace {

size_t sample_size() {
  const char *wanted = std::getenv("BITTERN_PROOF");
  if (wanted == nullptr) return 3;
  if (std::string(wanted) == "full") return 60;
  const long number = std::atol(wanted);
  REQUIRE_MESSAGE(number >= 2, "BITTERN_PROOF=" << wanted << " is neither full nor a number above 1");
  return static_cast<size_t>(number);
}

// Sizes that every kernel text accepts; which of them are legal for a schedule is asked at these, the proof itself
// draws many others.
compiler::Sizes sizes_of(const compiler::KernelSpec &spec) {
  static const std::map<std::string, int64_t> kValues = {{"N", 70}, {"K", 192}, {"G", 2},  {"H", 6},
                                                         {"D", 24}, {"B", 2},   {"T", 3},  {"F", 70},
                                                         {"R", 12}, {"V", 50},  {"NP", 7}, {"W", 40}};
  compiler::Sizes sizes;
  for (const std::string &name : spec.sizes) {
    if (name == "M") continue;
    // A group of weights or activations, not of heads.
    const bool columns = name == "G" && std::find(spec.sizes.begin(), spec.sizes.end(), "K") != spec.sizes.end();
    sizes[name] = columns ? 64 : kValues.at(name);
  }
  return sizes;
}

// `count` of them, evenly spread from first to last.
template <typename T>
std::vector<T> spread(std::vector<T> all, size_t count) {
  if (all.size() <= count) return all;
  std::vector<T> some;
  for (size_t i = 0; i < count; ++i) some.push_back(all[i * (all.size() - 1) / (count - 1)]);
  return some;
}

}  // namespace

TEST_CASE("every legal schedule gives the reference's bits") {
  const test::ScratchFolder base;
  const RunFolder folder(base.root());
  Farm farm(test_worker(), runtime::machine_cores(), folder.path(), FarmLimits{60, 120, 20000}, nullptr);
  int proved = 0, tried = 0;
  for (const schedules::Target &target : schedules::targets()) {
    if ((target.isa_needs & ~runtime::machine_isa()) != 0) continue;
    for (const std::string &name : compiler::builtin_kernel_names()) {
      const compiler::KernelSpec &spec = compiler::builtin_kernel(name);
      for (const int64_t m : {1, 5}) {
        const Problem problem = make_problem(spec, sizes_of(spec), m, 1, target.name);
        std::vector<std::string> legal;
        for (const schedules::Point &point : schedules::enumerate(spec, problem.sizes(), target))
          if (point.illegal.empty()) legal.push_back(schedules::print_schedule(point.schedule));
        CHECK_MESSAGE(!legal.empty(), name << " on " << target.name << " has no legal schedule");
        std::vector<FarmJob> jobs;
        for (const std::string &schedule : spread(legal, sample_size())) {
          FarmJob job;
          job.problem = &problem;
          job.schedule = schedule;
          job.symbol = "matrix_" + std::to_string(tried++);
          jobs.push_back(job);
        }
        farm.run(jobs, Farm::Clock::time_point::max(), [](FarmJob &) {});
        for (const FarmJob &job : jobs) {
          CHECK_MESSAGE(job.rejected.empty(),
                        name << " M=" << m << " on " << target.name << " as " << job.schedule << ": " << job.rejected);
          CHECK(job.proof.passed);
          proved += job.proof.passed ? 1 : 0;
          if (!job.library.empty()) std::filesystem::remove(job.library);
        }
      }
    }
  }
  MESSAGE(proved << " of " << tried << " schedules proved");
  CHECK(proved > 50);
}
