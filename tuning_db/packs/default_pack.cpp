#include "tuning_db/packs/default_pack.h"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <set>

#include "codegen/backend.h"
#include "compiler/error.h"
#include "compiler/library.h"
#include "compiler/printer.h"
#include "runtime/machine/machine.h"
#include "schedules/space.h"
#include "schedules/template.h"
#include "tuning_db/making/farm.h"
#include "tuning_db/packs/role_check.h"
#include "tuning_db/workers/files.h"
#include "tuning_db/workers/run_folder.h"

namespace bittern::tuning {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kProofSeconds = 900;    // of one kernel
constexpr int64_t kCallMs = 300 * 1000;  // of one of its calls; more is a hang

struct Kernel {
  const compiler::KernelSpec *spec;
  const schedules::Target *target;
  schedules::Default shipped;
  KernelCode code;
  std::string proof;  // "": nobody has proved it

  std::string name() const {
    return fmt::format("{} for {} as {}", spec->name, target->name, schedules::print_schedule(shipped.schedule));
  }
};

double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Every layout that a schedule of any target may choose must have a default kernel for every M on every target: a tuned
// kernel for one batch size fixes the layout, and the other sizes fall back to defaults.
void check_coverage(const compiler::KernelSpec &spec, const schedules::Target &target,
                    const std::vector<schedules::Default> &shipped) {
  std::set<std::string> layouts;
  for (const schedules::Target &other : schedules::targets()) {
    if (other.architecture != target.architecture) continue;
    for (const schedules::Template &row : schedules::templates()) {
      if (!row.applies(spec, other)) continue;
      for (const std::string &layout : row.layouts(spec, other)) layouts.insert(layout);
    }
  }
  if (layouts.empty()) layouts.insert("");
  for (const std::string &layout : layouts) {
    std::vector<std::pair<int64_t, int64_t>> ranges;
    for (const schedules::Default &d : shipped)
      if (d.schedule.layout == layout) ranges.emplace_back(d.m_min, d.m_max);
    std::sort(ranges.begin(), ranges.end());
    int64_t covered = 0;  // every M up to here has a kernel
    for (const auto &[least, most] : ranges)
      if (least <= covered + 1) covered = std::max(covered, most);
    if (covered != INT64_MAX) {
      throw Error(fmt::format("the defaults of kernel {} for {} have none for layout \"{}\" and M = {}", spec.name,
                              target.name, layout, covered + 1));
    }
  }
}

std::vector<Kernel> list_kernels(const std::string &architecture) {
  std::vector<Kernel> kernels;
  for (const schedules::Target &target : schedules::targets()) {
    if (!target.built_in || target.architecture != architecture) continue;
    for (const std::string &name : compiler::builtin_kernel_names()) {
      const compiler::KernelSpec &spec = compiler::builtin_kernel(name);
      const std::vector<schedules::Default> shipped = schedules::defaults(spec, target);
      check_coverage(spec, target, shipped);
      for (const schedules::Default &d : shipped)
        if (d.built_in) kernels.push_back({&spec, &target, d, {}, ""});
    }
  }
  return kernels;
}

Order order_of(const Kernel &kernel, size_t number) {
  Order order;
  order.problem.spec_name = kernel.spec->name;
  order.problem.spec_hash = compiler::spec_hash(*kernel.spec);
  order.problem.spec_text = compiler::print_kernel(*kernel.spec);
  order.problem.m_min = kernel.shipped.m_min;
  order.problem.m_max = kernel.shipped.m_max;
  order.problem.target = kernel.target->name;
  order.schedule = schedules::print_schedule(kernel.shipped.schedule);
  order.symbol = fmt::format("bt_default_{}_{}", number, kernel.spec->name);
  return order;
}

// The objects and a table that lists the kernels.
std::vector<std::string> all_objects(const std::vector<codegen::TableRow> &rows,
                                     const std::vector<const KernelCode *> &codes, const std::string &table_symbol,
                                     const schedules::Target &baseline) {
  std::vector<std::string> objects;
  for (const KernelCode *code : codes) objects.insert(objects.end(), code->objects.begin(), code->objects.end());
  objects.push_back(codegen::emit_pack_table(rows, table_symbol, baseline));
  return objects;
}

// Makes kernels and proves those whose order says so, loaded from one library.
class DefaultKernels {
 public:
  DefaultKernels(Farm &farm, std::string folder, const schedules::Target &baseline)
      : farm_(farm), folder_(std::move(folder)), baseline_(baseline) {}

  // `compiled` is called when all are compiled. Throws Error naming the kernel that is wrong.
  std::vector<Made> make(const std::vector<Order> &orders, const std::vector<const Kernel *> &kernels,
                         const std::function<void()> &compiled) {
    const std::string trial = folder_ + "/trial.so";
    std::vector<Made> made = farm_.make_together(orders, [&](const std::vector<Made> &all) {
      compiled();
      Farm::Linked linked{trial, {}};
      std::vector<codegen::TableRow> rows;
      std::vector<const KernelCode *> codes;
      for (const Made &one : all) {
        linked.rows.push_back(rows.size());
        rows.push_back({one.code->descriptor, "", 0, 0});
        codes.push_back(&*one.code);
      }
      codegen::link_shared(all_objects(rows, codes, "bt_pack_table", baseline_), {"bt_pack_table"}, trial);
      return linked;
    });
    std::error_code ignored;
    std::filesystem::remove(trial, ignored);
    for (size_t i = 0; i < made.size(); ++i)
      if (made[i].rejection)
        throw Error(fmt::format("default kernel {}: {}: {}", kernels[i]->name(),
                                rejection_name(made[i].rejection->kind), made[i].why()));
    return made;
  }

 private:
  Farm &farm_;
  std::string folder_;
  const schedules::Target &baseline_;
};

std::string own_architecture() {
  utsname system{};
  uname(&system);
  return system.machine;
}

}  // namespace

DefaultPackReport write_default_pack(const DefaultPackRequest &request,
                                     const std::function<void(const std::string &)> &say) {
  namespace fs = std::filesystem;
  const std::string &folder = request.folder;
  const schedules::Target &baseline =
      schedules::baseline_target(request.architecture.empty() ? own_architecture() : request.architecture);
  DefaultPackReport report;
  check_roles();
  std::vector<Kernel> kernels = list_kernels(baseline.architecture);
  report.kernels = static_cast<int>(kernels.size());
  say(fmt::format("compiling {} kernels", kernels.size()));
  fs::create_directories(folder);
  const RunFolder scratch(fs::absolute(folder).string());
  Farm farm(request.worker, runtime::machine_cores(), scratch.path(), MakeLimits{600, kProofSeconds, kCallMs}, nullptr,
            request.runner);
  DefaultKernels maker(farm, scratch.path(), baseline);
  const bool here = request.runner.empty();
  const uint32_t isa = here ? runtime::machine_isa() : Runner(request.runner).machine().fingerprint.isa;
  std::vector<Order> orders;
  std::vector<const Kernel *> of;
  for (const Kernel &kernel : kernels) {
    orders.push_back(order_of(kernel, orders.size()));
    if ((kernel.target->isa_needs & ~isa) != 0) orders.back().prove = Prove::No;
    of.push_back(&kernel);
  }
  Clock::time_point start = Clock::now();
  std::vector<Made> made = maker.make(orders, of, [&] {
    report.compile_seconds = since(start);
    say(fmt::format("proving them ({:.1f} s to compile)", report.compile_seconds));
    start = Clock::now();
  });
  for (size_t i = 0; i < made.size(); ++i) {
    kernels[i].code = std::move(*made[i].code);
    if (made[i].proof) kernels[i].proof = made[i].proof->id;
  }
  if (here) {
    // What this machine lacks instructions for is proved by their meanings; the proof is of the code that ships.
    std::vector<Order> by_meanings;
    std::vector<Kernel *> others;
    for (size_t i = 0; i < kernels.size(); ++i) {
      if (orders[i].prove != Prove::No) continue;
      Order order = orders[i];
      order.prove = Prove::Unknown;
      order.symbol += "_from_meanings";
      order.meanings_on = schedules::host_target(isa).name;
      order.proved_hash = kernels[i].code.sha256;
      by_meanings.push_back(std::move(order));
      others.push_back(&kernels[i]);
    }
    made = maker.make(by_meanings, {others.begin(), others.end()}, [] {});
    for (size_t i = 0; i < made.size(); ++i) {
      others[i]->proof = made[i].proof->id + BT_NOT_EXECUTED;
    }
    report.not_executed = static_cast<int>(others.size());
  }
  report.proof_seconds = since(start);

  std::vector<codegen::TableRow> rows;
  std::vector<const KernelCode *> codes;
  for (const Kernel &kernel : kernels) {
    rows.push_back({kernel.code.descriptor, kernel.proof, 0, 0});
    codes.push_back(&kernel.code);
  }
  std::string list;
  int number = 0;
  for (const std::string &object : all_objects(rows, codes, "bt_default_pack", baseline)) {
    const std::string path = (fs::absolute(folder) / fmt::format("default_{}.o", number++)).string();
    write_file(path, object);
    list += path + "\n";
  }
  write_file((fs::path(folder) / "objects.txt").string(), list);
  return report;
}

}  // namespace bittern::tuning
