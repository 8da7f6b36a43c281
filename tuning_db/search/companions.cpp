// Compiled and proved like candidates, and kept in the database like them, but never timed.
#include "tuning_db/search/companions.h"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "compiler/error.h"
#include "schedules/space.h"

namespace bittern::tuning {

using nlohmann::json;

std::vector<Outcome> companions(Store &store, Farm &farm, const KernelWork &work, const schedules::Target &target,
                                const std::string &layout, const TunerOptions &options) {
  std::vector<schedules::Default> wanted;
  for (const schedules::Default &d : schedules::defaults(work.spec, target))
    if (!d.built_in && d.schedule.layout == layout) wanted.push_back(d);
  std::vector<std::unique_ptr<Problem>> problems;
  std::vector<FarmJob> jobs;
  std::vector<CodeKey> keys;
  for (const schedules::Default &d : wanted) {
    problems.push_back(std::make_unique<Problem>(make_problem(work.spec, work.fixed, d.m_min, 1, target.name)));
    Problem &problem = *problems.back();
    problem.m_min = d.m_min;
    problem.m_max = d.m_max;
    FarmJob job;
    job.problem = &problem;
    job.schedule = schedules::print_schedule(d.schedule);
    job.compiled = compiled_sizes(work.spec, problem);
    std::string key =
        fmt::format("{};{};{};{};companion;", options.build, problem.spec_hash, job.schedule, target.name);
    for (const auto &[name, value] : job.compiled) key += fmt::format("{}={},", name, value);
    keys.push_back({sha256_hex(key + fmt::format("{}-{}", d.m_min, d.m_max)), json(problem.sizes()).dump()});
    job.symbol = "bt_k_" + keys.back().key.substr(0, 16);
    jobs.push_back(std::move(job));
  }
  if (jobs.empty()) return {};
  const std::map<std::string, StoredCode> known = store.find_code(keys);
  for (size_t i = 0; i < jobs.size(); ++i)
    if (const auto code = known.find(keys[i].key); code != known.end()) {
      jobs[i].object = code->second.object;
      jobs[i].proof = code->second.proof;
    }
  farm.run(jobs, Farm::Clock::time_point::max(), [&](FarmJob &job) {
    const auto i = static_cast<size_t>(&job - jobs.data());
    if (job.object.objects.empty()) return;
    const StoredCode stored = store.add_code(keys[i], {job.object, job.proof});
    job.object.id = stored.object.id;
    job.proof.id = stored.proof.id;
  });
  std::vector<Outcome> found;
  for (size_t i = 0; i < jobs.size(); ++i) {
    if (!jobs[i].rejected.empty())
      throw Error(fmt::format("{}: layout {} has no kernel for M = {}: {} is rejected: {}", work.what, layout,
                              wanted[i].m_min, jobs[i].schedule, jobs[i].rejected));
    for (const int threads : options.threads) {
      Outcome outcome;
      outcome.what = work.what;
      outcome.problem = *problems[i];
      outcome.problem.threads = threads;
      outcome.schedule = jobs[i].schedule;
      outcome.layout = layout;
      outcome.backend = wanted[i].schedule.backend;
      outcome.winner.tie = true;
      outcome.object = jobs[i].object;
      outcome.proof = jobs[i].proof;
      found.push_back(std::move(outcome));
    }
  }
  return found;
}

}  // namespace bittern::tuning
