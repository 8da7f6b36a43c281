// bitnet-tune --emit-only: candidates for another machine, in a folder that bitnet-worker proves.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "compiler/error.h"
#include "runtime/machine/machine.h"
#include "schedules/space.h"
#include "tuning_db/commands/commands.h"
#include "tuning_db/commands/progress.h"
#include "tuning_db/search/search.h"
#include "tuning_db/workers/files.h"

namespace bittern::tuning {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// The folder, made when it is not there. Throws Error when it holds something or cannot be written.
void claim_folder(const std::string &path) {
  std::error_code failed;
  fs::create_directories(path, failed);
  if (failed) throw Error(fmt::format("cannot create the folder {}: {}", path, failed.message()));
  if (!fs::is_directory(path, failed) || failed) throw Error(fmt::format("{} is not a folder", path));
  if (!fs::is_empty(path, failed) || failed) throw Error(fmt::format("the folder {} is not empty", path));
  const std::string probe = path + "/candidates.json";
  if (!std::ofstream(probe)) throw Error(fmt::format("cannot write into the folder {}", path));
  fs::remove(probe, failed);
}

// The schedules that a search with this patience would try first, the defaults among them.
std::vector<std::string> first_schedules(const KernelWork &work, const Problem &problem, const Patience &patience,
                                         const schedules::Target &target) {
  const std::vector<schedules::Point> points = schedules::enumerate(work.spec, problem.sizes(), target);
  const size_t count = std::max<size_t>(1, problem.m == 1 ? patience.first_decode : patience.first_batch);
  std::vector<std::string> texts;
  for (const schedules::Default &d : schedules::defaults(work.spec, target))
    if (problem.m >= d.m_min && problem.m <= d.m_max) texts.push_back(schedules::print_schedule(d.schedule));
  for (size_t i : choose_first(points, count)) texts.push_back(schedules::print_schedule(points[i].schedule));
  std::vector<std::string> once;
  for (const std::string &text : texts)
    if (std::find(once.begin(), once.end(), text) == once.end()) once.push_back(text);
  return once;
}

}  // namespace

int run_emit_only(const TuneCommand &command, const std::atomic<bool> *cancel) {
  const schedules::Target &target =
      command.target.empty() ? schedules::host_target(runtime::machine_isa()) : schedules::find_target(command.target);
  const Patience &patience = find_patience(command.patience);
  const std::vector<KernelWork> works = make_works(command.work);
  if (command.compare) throw Error("--compare-layouts measures, and --emit-only does not: give one of them");
  if (command.output.empty()) throw Error("--emit-only needs a folder: -o DIR");
  claim_folder(command.output);
  const RunFolder folder(runtime::needed_cache_folder() + "/tuning");
  Farm farm(command.worker, runtime::machine_cores(), folder.path(), command.limits, cancel);
  ProgressLine line(stderr, command.quiet);
  json candidates = json::array(), rejected = json::array();
  size_t number = 0;
  for (const KernelWork &work : works) {
    for (int64_t m : work.m_values) {
      const Problem problem = make_problem(work.spec, work.fixed, m, 1, target.name);
      std::vector<Order> orders;
      for (const std::string &schedule : first_schedules(work, problem, patience, target)) {
        Order order;
        order.problem = problem;
        order.schedule = schedule;
        order.fixed = compiled_sizes(work.spec, problem);
        order.symbol = fmt::format("candidate_{}", number++);
        order.prove = Prove::No;
        orders.push_back(std::move(order));
      }
      Progress progress;
      progress.where = fmt::format("{} {} M={}", work.what, problem.shape(), m);
      const std::vector<Made> made = farm.make(orders, Farm::kNoDeadline, [&](size_t i, Made &) {
        progress.doing = "compiled " + orders[i].schedule;
        line.show(progress);
      });
      for (size_t i = 0; i < made.size(); ++i) {
        if (made[i].rejection) {
          rejected.push_back({{"schedule", orders[i].schedule}, {"reason", made[i].why()}});
          continue;
        }
        const KernelCode &code = *made[i].code;
        const std::string file = orders[i].symbol + ".so";
        write_file(command.output + "/" + file, code.library);
        candidates.push_back({{"file", file},
                              {"sha256", sha256_hex(code.library)},
                              {"objects_sha256", code.sha256},
                              {"kernel", work.spec.name},
                              {"spec", problem.spec_text},
                              {"sizes", problem.sizes()},
                              {"m_min", problem.m_min},
                              {"m_max", problem.m_max},
                              {"schedule", orders[i].schedule}});
      }
    }
  }
  line.clear();
  write_file(command.output + "/candidates.json", json{{"format", 1},
                                                       {"generator", runtime::machine_fingerprint().generator},
                                                       {"target", target.name},
                                                       {"candidates", candidates},
                                                       {"rejected", rejected}}
                                                          .dump(1) +
                                                      "\n");
  if (command.json)
    fmt::print("{}\n", json{{"target", target.name},
                            {"folder", command.output},
                            {"candidates", candidates.size()},
                            {"rejected", rejected.size()}}
                           .dump(1));
  else
    fmt::print("{} candidates for {} in {} ({} rejected); prove them there: bitnet-worker {}\n", candidates.size(),
               target.name, command.output, rejected.size(), command.output);
  return candidates.empty() ? 1 : 0;
}

}  // namespace bittern::tuning
