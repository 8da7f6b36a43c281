#include "tuning_db/packs/default_pack.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "codegen/backend.h"
#include "compiler/error.h"
#include "compiler/library.h"
#include "compiler/printer.h"
#include "runtime/machine/machine.h"
#include "runtime/threads/pool.h"
#include "schedules/space.h"
#include "schedules/template.h"
#include "tuning_db/making/descriptor_json.h"
#include "tuning_db/making/farm.h"
#include "tuning_db/proof/problem.h"
#include "tuning_db/proof/proof.h"
#include "tuning_db/workers/run_folder.h"

namespace bittern::tuning {
namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned kProofSeconds = 300;  // of one kernel; more is a hang

struct Kernel {
  const compiler::KernelSpec *spec;
  const schedules::Target *target;
  schedules::Default shipped;
  codegen::Compiled compiled;
  codegen::Compiled
      meant;  // where this machine lacks the target: the same from its instructions' meanings, to be proved
  std::string proof;

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
    if (schedules::architecture(other) != schedules::architecture(target)) continue;
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
    if (!target.ships || schedules::architecture(target) != architecture) continue;
    for (const std::string &name : compiler::builtin_kernel_names()) {
      const compiler::KernelSpec &spec = compiler::builtin_kernel(name);
      const std::vector<schedules::Default> shipped = schedules::defaults(spec, target);
      check_coverage(spec, target, shipped);
      for (const schedules::Default &d : shipped)
        if (d.built_in) kernels.push_back({&spec, &target, d, {}, {}, ""});
    }
  }
  return kernels;
}

bool executes(const schedules::Target &target) { return (target.isa_needs & ~runtime::machine_isa()) == 0; }

// `meanings`: also what this machine can run in place of what it cannot.
void compile_all(std::vector<Kernel> &kernels, bool meanings) {
  runtime::ThreadPool pool(runtime::machine_cores());
  std::atomic<size_t> next{0};
  pool.run([&](int) {
    for (size_t i; (i = next.fetch_add(1)) < kernels.size();) {
      Kernel &k = kernels[i];
      codegen::Request request{*k.spec,
                               k.shipped.schedule,
                               *k.target,
                               {},
                               k.shipped.m_min,
                               k.shipped.m_max,
                               fmt::format("bt_default_{}_{}", i, k.spec->name)};
      try {
        k.compiled = codegen::compile(request);
        if (!meanings || executes(*k.target)) continue;
        request.meanings_on = &schedules::host_target(runtime::machine_isa());
        request.symbol += "_meant";
        k.meant = codegen::compile(request);
      } catch (const Error &error) {
        throw Error(fmt::format("default kernel {}: {}", k.name(), error.what()));
      }
    }
  });
}

// The pack's objects: for the trial what this machine can execute of every kernel, else what ships.
enum class Purpose { Trial, Shipping };
std::vector<std::string> all_objects(const std::vector<Kernel> &kernels, Purpose purpose,
                                     const std::string &table_symbol, const schedules::Target &baseline) {
  std::vector<codegen::TableRow> rows;
  std::vector<std::string> objects;
  for (const Kernel &k : kernels) {
    const codegen::Compiled &own = purpose == Purpose::Trial && !k.meant.objects.empty() ? k.meant : k.compiled;
    rows.push_back({own.descriptor, k.proof, 0, 0});
    objects.insert(objects.end(), own.objects.begin(), own.objects.end());
  }
  objects.push_back(codegen::emit_pack_table(rows, table_symbol, baseline));
  return objects;
}

// Proves kernels first, first + step, ... and reports each on `out`, a line before and a line after.
void prove_share(const std::vector<Kernel> &kernels, const bt_pack &pack, size_t first, size_t step, FILE *out) {
  FixtureCache fixtures(int64_t{256} << 20, 1, "");
  for (size_t i = first; i < kernels.size(); i += step) {
    fmt::print(out, "start {}\n", i);
    std::fflush(out);
    alarm(kProofSeconds);
    std::string objects;
    for (const std::string &object : kernels[i].compiled.objects) objects += object;
    const bt_kernel &kernel = *pack.kernels[i];
    const char *how = kernels[i].meant.objects.empty() ? "" : BT_NOT_EXECUTED;
    const std::string layout = kernel.layout != nullptr ? prove_layout(*kernel.layout) : "";
    const ProofResult result =
        prove(kernel, sha256_hex(objects), *kernels[i].spec, proof_steps(*kernels[i].spec, kernel, {}), fixtures);
    if (!layout.empty() || !result.passed) {
      fmt::print(out, "wrong {} {}\n", i, layout.empty() ? result.reason : layout);
    } else {
      fmt::print(out, "proved {} {}{}\n", i, result.id, how);
    }
    std::fflush(out);
  }
}

// Runs prove_share in a child process a core, since a wrong kernel may crash or never return.
void prove_all(std::vector<Kernel> &kernels, const bt_pack &pack) {
  const auto workers = static_cast<size_t>(runtime::machine_cores());
  std::vector<std::pair<pid_t, FILE *>> children;
  for (size_t w = 0; w < workers; ++w) {
    int ends[2];
    if (pipe(ends) != 0) throw Error("cannot make a pipe for a proof process");
    const pid_t child = fork();
    if (child < 0) throw Error("cannot start a proof process");
    if (child == 0) {
      FILE *out = fdopen(ends[1], "w");
      try {
        prove_share(kernels, pack, w, workers, out);
      } catch (const std::exception &error) {
        fmt::print(out, "failed {}\n", error.what());
        std::fflush(out);
      }
      _exit(0);
    }
    close(ends[1]);
    children.emplace_back(child, fdopen(ends[0], "r"));
  }

  std::string complaint;
  for (const auto &[child, in] : children) {
    std::string output;
    char buffer[4096];
    for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, in)) > 0;) output.append(buffer, n);
    std::fclose(in);
    int status = 0;
    waitpid(child, &status, 0);
    size_t started = kernels.size();
    for (size_t at = 0; at < output.size();) {
      const size_t end = std::min(output.find('\n', at), output.size());
      const std::string line = output.substr(at, end - at);
      at = end + 1;
      const size_t space = line.find(' '), second = line.find(' ', space + 1);
      const std::string verb = line.substr(0, space);
      if (verb == "failed") {
        complaint = line.substr(space + 1);
        continue;
      }
      const size_t i = std::stoul(line.substr(space + 1));
      started = verb == "start" ? i : kernels.size();
      if (verb == "proved") kernels[i].proof = line.substr(second + 1);
      if (verb == "wrong")
        complaint = fmt::format("default kernel {} is wrong: {}", kernels[i].name(), line.substr(second + 1));
    }
    if (WIFSIGNALED(status) && started < kernels.size()) {
      complaint = fmt::format(
          "default kernel {} {}", kernels[started].name(),
          WTERMSIG(status) == SIGALRM ? "never returned" : fmt::format("died of signal {}", WTERMSIG(status)));
    } else if (status != 0 && complaint.empty()) {
      complaint = fmt::format("a proof process ended with status {}", status);
    }
  }
  if (!complaint.empty()) throw Error(complaint);
}

// Loads them all from one library in child processes of this one.
void prove_here(std::vector<Kernel> &kernels, const std::string &folder, const schedules::Target &baseline) {
  const std::string trial = (std::filesystem::absolute(folder) / "trial.so").string();
  codegen::link_shared(all_objects(kernels, Purpose::Trial, "bt_pack_table", baseline), {"bt_pack_table"}, trial);
  void *library = dlopen(trial.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw Error(fmt::format("cannot load the kernels just linked: {}", dlerror()));
  prove_all(kernels, *static_cast<const bt_pack *>(dlsym(library, "bt_pack_table")));
  dlclose(library);
  std::filesystem::remove(trial);
}

// Sends them one by one to another machine, or to an emulator of one.
void prove_there(std::vector<Kernel> &kernels, const DefaultPackRequest &request) {
  const uint32_t isa = Runner(request.runner).machine().fingerprint.isa;
  std::vector<Problem> problems;
  std::vector<FarmJob> jobs;
  std::vector<size_t> of;
  problems.reserve(kernels.size());
  for (size_t i = 0; i < kernels.size(); ++i) {
    const Kernel &k = kernels[i];
    if ((k.compiled.descriptor.isa_needs & ~isa) != 0) continue;
    Problem problem;
    problem.spec_name = k.spec->name;
    problem.spec_hash = k.compiled.descriptor.spec_hash;
    problem.spec_text = compiler::print_kernel(*k.spec);
    problem.has_m = false;  // all sizes are open
    problem.target = k.target->name;
    problems.push_back(problem);
    FarmJob job;
    job.problem = &problems.back();
    job.schedule = schedules::print_schedule(k.shipped.schedule);
    job.symbol = k.compiled.descriptor.symbol;
    job.object.objects = k.compiled.objects;
    std::string all;
    for (const std::string &object : k.compiled.objects) all += object;
    job.object.sha256 = sha256_hex(all);
    job.object.descriptor = descriptor_to_json(k.compiled.descriptor).dump();
    jobs.push_back(std::move(job));
    of.push_back(i);
  }
  const RunFolder folder(request.folder + "/proving");
  Farm farm(request.worker, runtime::machine_cores(), folder.path(), FarmLimits{60, 900, int64_t{1000} * kProofSeconds},
            nullptr, request.runner);
  farm.run(jobs, Farm::Clock::time_point::max(), [](FarmJob &) {});
  for (size_t i = 0; i < jobs.size(); ++i) {
    if (!jobs[i].rejected.empty())
      throw Error(fmt::format("default kernel {} is wrong: {}", kernels[of[i]].name(), jobs[i].rejected));
    kernels[of[i]].proof = jobs[i].proof.proof_id;
  }
}

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
  std::vector<Kernel> kernels = list_kernels(schedules::architecture(baseline));
  report.kernels = static_cast<int>(kernels.size());
  say(fmt::format("compiling {} kernels", kernels.size()));
  Clock::time_point start = Clock::now();
  compile_all(kernels, request.runner.empty());
  report.compile_seconds = since(start);

  fs::create_directories(folder);
  say(fmt::format("proving them ({:.1f} s to compile)", report.compile_seconds));
  start = Clock::now();
  if (request.runner.empty())
    prove_here(kernels, folder, baseline);
  else
    prove_there(kernels, request);
  report.proof_seconds = since(start);

  std::ofstream list(fs::path(folder) / "objects.txt");
  int number = 0;
  for (const std::string &object : all_objects(kernels, Purpose::Shipping, "bt_default_pack", baseline)) {
    const fs::path path = fs::absolute(folder) / fmt::format("default_{}.o", number++);
    std::ofstream(path, std::ios::binary).write(object.data(), static_cast<std::streamsize>(object.size()));
    list << path.string() << '\n';
  }
  list.close();
  if (!list) throw Error(fmt::format("cannot write the default pack's objects into {}", folder));
  for (const Kernel &k : kernels) report.not_executed += k.meant.objects.empty() ? 0 : 1;
  return report;
}

}  // namespace bittern::tuning
