// Compiled and proved like candidates, and kept in the database like them, but never timed.
#include "tuning_db/search/companions.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "compiler/error.h"
#include "schedules/space.h"
#include "tuning_db/search/stored_kernels.h"

namespace bittern::tuning {

using nlohmann::json;

std::optional<std::vector<Outcome>> companions(Store &store, Farm &farm, const KernelWork &work,
                                               const schedules::Target &target, const std::string &layout,
                                               const TunerOptions &options, Farm::Clock::time_point deadline) {
  std::vector<schedules::Default> wanted;
  for (const schedules::Default &d : schedules::defaults(work.spec, target))
    if (!d.built_in && d.schedule.layout == layout) wanted.push_back(d);
  std::vector<Order> orders;
  std::vector<CodeKey> keys;
  std::vector<Outcome> found;
  for (const schedules::Default &d : wanted) {
    Order order;
    order.problem = make_problem(work.spec, work.fixed, d.m_min, 1, target.name);
    order.problem.m_min = d.m_min;
    order.problem.m_max = d.m_max;
    order.schedule = schedules::print_schedule(d.schedule);
    order.fixed = compiled_sizes(work.spec, order.problem);
    std::string key =
        fmt::format("{};{};{};{};companion;", options.build, order.problem.spec_hash, order.schedule, target.name);
    for (const auto &[name, value] : order.fixed) key += fmt::format("{}={},", name, value);
    keys.push_back({sha256_hex(key + fmt::format("{}-{}", d.m_min, d.m_max)), json(order.problem.sizes()).dump()});
    order.symbol = "bt_k_" + keys.back().key.substr(0, 16);
    Outcome outcome;
    outcome.what = work.what;
    outcome.problem = order.problem;
    outcome.schedule = order.schedule;
    outcome.layout = layout;
    outcome.backend = d.schedule.backend;
    outcome.winner.tie = true;
    found.push_back(std::move(outcome));
    orders.push_back(std::move(order));
  }
  size_t reached = 0;
  make_stored(store, farm, std::move(orders), keys, deadline, [&](size_t i, const Made &made, const StoredCode &code) {
    ++reached;
    if (made.rejection)
      throw Error(fmt::format("{}: layout {} has no kernel for M = {}: {} is rejected: {}", work.what, layout,
                              wanted[i].m_min, found[i].schedule, made.why()));
    found[i].object = code.object;
    found[i].proof = code.proof;
  });
  if (reached < found.size()) return std::nullopt;
  std::vector<Outcome> all;
  for (const Outcome &outcome : found)
    for (const int threads : options.threads) {
      all.push_back(outcome);
      all.back().problem.threads = threads;
    }
  return all;
}

}  // namespace bittern::tuning
