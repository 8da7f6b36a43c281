#include "tuning_db/packs/emit_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "codegen/library/library.h"
#include "compiler/bounds.h"
#include "compiler/error.h"
#include "compiler/library.h"
#include "compiler/printer.h"
#include "runtime/machine/machine.h"
#include "schedules/space.h"
#include "tuning_db/making/default_choice.h"
#include "tuning_db/records/stored_winners.h"

namespace bittern::tuning {
namespace {

using schedules::Default;
using schedules::Schedule;
using schedules::Target;

// A proof holds the matrix as trits and several packed copies in memory.
constexpr int64_t kMostWeights = int64_t{1} << 30;

std::string m_range(int64_t m_min, int64_t m_max) { return print_bucket({m_min, m_max}); }

// A winner of the database.
struct Winner {
  int64_t m_min, m_max;
  int threads;
  std::string when;
  Schedule schedule;
  ObjectRecord object;
  ProofRecord proof;
};

// The winners for one shape and target, sorted by M, one a range of M: this machine's if it has any, else the latest
// of another's.
std::vector<Winner> winners(Store &store, const compiler::KernelSpec &spec, const Shape &shape, const Target &target,
                            int threads) {
  const std::optional<int64_t> here = store.find_machine(runtime::machine_fingerprint().id());
  Ids machines = store.machines();
  std::stable_partition(machines.begin(), machines.end(), [&](int64_t id) { return id == here; });
  const std::string hash = compiler::spec_hash(spec);
  const compiler::Sizes wanted = {{"N", shape.n}, {"K", shape.k}};
  std::vector<Winner> best;
  for (const int64_t machine : machines) {
    std::map<int64_t, Winner> by_m;
    for (StoredWinner &row : stored_winners(store, machine, [&](const Problem &problem) {
           return problem.spec_hash == hash && problem.fixed == wanted && problem.target == target.name &&
                  (threads == 0 || problem.threads == threads);
         })) {
      if (row.object.id == 0) continue;
      Winner found{row.problem.m_min,
                   row.problem.m_max,
                   row.problem.threads,
                   row.winner.when,
                   schedules::parse_schedule(row.candidate.schedule),
                   std::move(row.object),
                   std::move(row.proof)};
      const auto known = by_m.find(found.m_min);
      if (known == by_m.end() || known->second.threads < found.threads) by_m[found.m_min] = std::move(found);
    }
    std::vector<Winner> list;
    for (auto &[m, winner] : by_m) list.push_back(std::move(winner));
    if (list.empty()) continue;
    if (machine == here) return list;
    if (best.empty() || best.front().when < list.front().when) best = std::move(list);
  }
  return best;
}

// Kernels for all M, in order: winners where there are some, shipped schedules between them.
std::vector<EmitKernel> cover(const compiler::KernelSpec &spec, const Target &target, const compiler::Sizes &fixed,
                              const std::vector<Winner> &tuned) {
  const std::vector<Default> shipped = schedules::defaults(spec, target);
  std::string layout;
  if (!tuned.empty()) {
    layout = tuned.front().schedule.layout;
  } else {
    // An untuned machine stores weights as decoding wants them.
    const Default *decode = dispatched_default(shipped, 1, "", Defaults::BuiltIn);
    if (!decode) throw Error(fmt::format("kernel {} has no schedule for {}", spec.name, target.name));
    layout = decode->schedule.layout;
  }
  // Where one kernel may end and the next begin.
  std::vector<int64_t> starts = {1};
  const auto cut = [&](int64_t m_min, int64_t m_max) {
    starts.push_back(m_min);
    if (m_max != INT64_MAX) starts.push_back(m_max + 1);
  };
  for (const Default &d : shipped)
    if (d.schedule.layout == layout) cut(d.m_min, d.m_max);
  for (const Winner &w : tuned)
    if (w.schedule.layout == layout) cut(w.m_min, w.m_max);
  std::sort(starts.begin(), starts.end());
  starts.erase(std::unique(starts.begin(), starts.end()), starts.end());

  std::vector<EmitKernel> kernels;
  for (size_t i = 0; i < starts.size(); ++i) {
    EmitKernel kernel;
    kernel.spec = &spec;
    kernel.target = &target;
    kernel.fixed = fixed;
    kernel.m_min = starts[i];
    kernel.m_max = i + 1 < starts.size() ? starts[i + 1] - 1 : INT64_MAX;
    const auto winner = std::find_if(tuned.begin(), tuned.end(), [&](const Winner &w) {
      return w.schedule.layout == layout && w.m_min <= kernel.m_min && kernel.m_min <= w.m_max;
    });
    if (winner != tuned.end()) {
      kernel.tuned = true;
      kernel.schedule = winner->schedule;
      kernel.recorded = winner->object;
      kernel.recorded_proof = winner->proof;
    } else if (const Default *d = dispatched_default(shipped, kernel.m_min, layout, Defaults::All)) {
      kernel.schedule = d->schedule;
    } else {
      throw Error(fmt::format("kernel {} has no schedule for {}, layout \"{}\" and M = {}", spec.name, target.name,
                              layout, kernel.m_min));
    }
    // Cuts that change nothing are none. A winner covers its own range in one piece.
    if (!kernels.empty() && kernels.back().schedule == kernel.schedule && kernels.back().tuned == kernel.tuned &&
        kernels.back().recorded.id == kernel.recorded.id)
      kernels.back().m_max = kernel.m_max;
    else
      kernels.push_back(std::move(kernel));
  }
  return kernels;
}

// What follows the architecture: "avx2" of "x86-64-avx2"; empty for "x86-64" itself.
std::string short_name(const Target &target) {
  std::string architecture = target.architecture;
  std::replace(architecture.begin(), architecture.end(), '_', '-');
  return target.name.starts_with(architecture + "-") ? target.name.substr(architecture.size() + 1) : "";
}

// One name for one function, whatever else the library holds.
std::string symbol_of(const EmitKernel &k) {
  std::string text = fmt::format("{};{};{};{}-{};", compiler::spec_hash(*k.spec), k.target->name,
                                 schedules::print_schedule(k.schedule), k.m_min, k.m_max);
  for (const auto &[name, value] : k.fixed) text += fmt::format("{}={},", name, value);
  return fmt::format("bittern_{}_{}", k.spec->name, sha256_hex(text).substr(0, 16));
}

}  // namespace

std::string EmitKernel::name() const {
  const std::string what = fixed.count("N") ? fmt::format("{}x{}", fixed.at("N"), fixed.at("K")) : spec->name;
  return fmt::format("{} M={} on {} as {}", what, m_range(m_min, m_max), target->name,
                     schedules::print_schedule(schedule));
}

std::vector<const Target *> emit_targets(const std::string &names) {
  std::vector<const Target *> chosen;
  const auto choose = [&](const Target &target) {
    codegen::check_library_target(target);
    if (!chosen.empty() && chosen.front()->architecture != target.architecture)
      throw Error(fmt::format("targets {} and {} are of different architectures: a library serves one, emit two",
                              chosen.front()->name, target.name));
    if (std::find(chosen.begin(), chosen.end(), &target) == chosen.end()) chosen.push_back(&target);
  };
  if (names.empty()) {
    const std::string here = schedules::host_target(runtime::machine_isa()).architecture;
    for (const Target &target : schedules::targets())
      if (target.architecture == here) choose(target);
  }
  for (size_t at = 0; at < names.size();) {
    const size_t comma = std::min(names.find(',', at), names.size());
    const std::string name = names.substr(at, comma - at);
    at = comma + 1;
    const auto found = std::find_if(schedules::targets().begin(), schedules::targets().end(),
                                    [&](const Target &target) { return !name.empty() && short_name(target) == name; });
    choose(found != schedules::targets().end() ? *found : schedules::find_target(name));
  }
  std::sort(chosen.begin(), chosen.end());  // rows of one table
  return chosen;
}

std::vector<Shape> emit_shapes(const std::vector<Shape> &shapes) {
  std::vector<Shape> distinct;
  for (const Shape &shape : shapes) {
    if (shape.k > kMostWeights / shape.n)
      throw Error(fmt::format("shape {}x{}: more than {} weights", shape.n, shape.k, kMostWeights));
    for (const auto &[name, sizes] :
         {std::pair<const char *, compiler::Sizes>{"w2a8_matmul", {{"N", shape.n}, {"K", shape.k}}},
          {"absmax_quant", {{"K", shape.k}}}})
      if (const auto fault = compiler::value_fault(compiler::builtin_kernel(name), sizes))
        throw Error(fmt::format("shape {}x{}: {}:{}:{}: {}", shape.n, shape.k, name, fault->at.line, fault->at.column,
                                fault->text));
    const auto same = [&](const Shape &other) { return other.n == shape.n && other.k == shape.k; };
    if (std::none_of(distinct.begin(), distinct.end(), same)) distinct.push_back(shape);
  }
  if (distinct.empty()) throw Error("there is no matrix to emit kernels for");
  return distinct;
}

EmitPlan plan_library(const std::vector<Shape> &shapes, const std::vector<const Target *> &targets, Store *database,
                      int threads) {
  EmitPlan plan;
  plan.shapes = shapes;
  plan.targets = targets;
  const compiler::KernelSpec &product = compiler::builtin_kernel("w2a8_matmul");
  const compiler::KernelSpec &quantiser = compiler::builtin_kernel("absmax_quant");
  const std::string architecture = targets.front()->architecture;
  for (const Target &target : schedules::targets())
    if (!plan.baseline && target.architecture == architecture) plan.baseline = &target;
  for (const Target *target : targets) {
    std::vector<EmitKernel> quantisers = cover(quantiser, *target, {}, {});
    if (quantisers.size() != 1)
      throw Error(fmt::format("kernel {} has several schedules for {}", quantiser.name, target->name));
    plan.kernels.push_back(std::move(quantisers.front()));
    for (const Shape &shape : shapes) {
      std::vector<Winner> tuned;
      if (database) {
        tuned = winners(*database, product, shape, *target, threads);
        if (tuned.empty())
          throw Error(fmt::format("database {}: no winner for {}x{} on {}{}; run bitnet-tune --shapes {}x{}",
                                  database->place(), shape.n, shape.k, target->name,
                                  threads ? fmt::format(" with {} threads", threads) : "", shape.n, shape.k));
      }
      for (EmitKernel &kernel : cover(product, *target, {{"N", shape.n}, {"K", shape.k}}, tuned))
        plan.kernels.push_back(std::move(kernel));
    }
  }
  for (EmitKernel &kernel : plan.kernels) {
    if (const auto reason = schedules::illegal(*kernel.spec, kernel.fixed, kernel.schedule, *kernel.target))
      throw Error(fmt::format("{}: {}", kernel.name(), *reason));
    kernel.symbol = symbol_of(kernel);
  }
  return plan;
}

}  // namespace bittern::tuning
