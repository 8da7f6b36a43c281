#include "tuning_db/commands/commands.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "compiler/error.h"
#include "compiler/library.h"
#include "compiler/parser.h"
#include "compiler/token_size.h"
#include "runtime/io/shapes.h"
#include "runtime/kernels/pack_loader.h"
#include "runtime/machine/machine.h"
#include "runtime/program/needs.h"
#include "tuning_db/commands/layout_report.h"
#include "tuning_db/commands/progress.h"
#include "tuning_db/commands/report.h"
#include "tuning_db/packs/pack_writer.h"
#include "tuning_db/proof/dims.h"
#include "tuning_db/records/open_store.h"
#include "tuning_db/records/stored_winners.h"
#include "tuning_db/search/stored_kernels.h"

namespace bittern::tuning {
namespace {

using nlohmann::json;

constexpr std::streamsize kLargestKernelText = 1 << 20;
constexpr int kMostThreads = 1024;

void warn(const std::string &text) { fmt::print(stderr, "bitnet-tune: warning: {}\n", text); }

std::string default_database() { return runtime::needed_cache_folder() + "/tuning.sqlite"; }

std::unique_ptr<Store> open_database(const std::string &db) {
  std::string notice;
  auto store = open_store(db.empty() ? default_database() : db, db.empty(), notice);
  if (!notice.empty()) warn(notice);
  return store;
}

// What `show` and `verify` read: nothing is made. Null when the default database is not there yet.
std::unique_ptr<Store> open_to_read(const std::string &db) {
  std::error_code failed;
  if (db.empty() && !std::filesystem::exists(default_database(), failed)) return nullptr;
  std::string notice;
  auto store = open_existing_store(db.empty() ? default_database() : db, notice);
  if (!notice.empty()) warn(notice);
  return store;
}

bool has_ternary(const compiler::KernelSpec &spec) {
  return std::any_of(spec.tensors.begin(), spec.tensors.end(),
                     [](const compiler::Tensor &t) { return t.type == compiler::Type::Ternary; });
}

// Decoding runs every matrix once a token, prompts all ternary matrices at once, and the head only for the last token.
void add_model(const runtime::ModelSource &source, const std::vector<int64_t> &batch, std::vector<KernelWork> &works) {
  for (const runtime::KernelProblem &problem : runtime::kernel_problems(source, batch)) {
    const compiler::KernelSpec &spec = compiler::builtin_kernel(problem.spec);
    const bool head = problem.what == "head";
    if (!has_ternary(spec) && !head) continue;
    compiler::Sizes fixed(problem.sizes.begin(), problem.sizes.end());
    const std::string tokens = compiler::token_size(spec);
    const int64_t m = fixed.at(tokens);
    fixed.erase(tokens);
    if (head && m != batch.front()) continue;
    const auto known = std::find_if(works.begin(), works.end(), [&](const KernelWork &work) {
      return work.spec.name == spec.name && work.fixed == fixed;
    });
    if (known == works.end())
      works.push_back({problem.what, spec, fixed, {head ? 1 : m}});
    else if (std::find(known->m_values.begin(), known->m_values.end(), m) == known->m_values.end())
      known->m_values.push_back(m);
  }
}

// Layouts are compared by times of kernels that have some. Throws Error where there is nothing to compare.
void check_comparison(const Patience &patience, const std::vector<KernelWork> &works) {
  if (patience.first_decode == 0)
    throw Error(fmt::format("--compare-layouts measures, and --patience {} does not", patience.name));
  if (std::none_of(works.begin(), works.end(), [](const KernelWork &work) { return has_ternary(work.spec); }))
    throw Error(fmt::format("--compare-layouts: kernel {} has no ternary weights, so no layouts of them",
                            works.front().spec.name));
}

std::vector<int> default_threads() {
  std::vector<int> threads;
  const int cores = runtime::machine_cores();
  for (int t = 1; t < cores; t *= 2) threads.push_back(t);
  threads.push_back(cores);
  return threads;
}

}  // namespace

std::string read_kernel_text(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(static_cast<size_t>(kLargestKernelText) + 1, '\0');
  if (!file.read(text.data(), static_cast<std::streamsize>(text.size())) && file.gcount() == 0)
    throw Error(fmt::format("kernel file {}: cannot be read or is empty", path));
  if (file.gcount() > kLargestKernelText) throw Error(fmt::format("kernel file {}: larger than 1 MiB", path));
  text.resize(static_cast<size_t>(file.gcount()));
  return text;
}

std::vector<KernelWork> make_works(const WorkRequest &request) {
  std::vector<int64_t> batch = request.batch;
  for (int64_t m : batch)
    if (m < 1 || m > 65536) throw Error(fmt::format("batch size {} is not between 1 and 65536", m));
  std::sort(batch.begin(), batch.end());
  batch.erase(std::unique(batch.begin(), batch.end()), batch.end());
  for (size_t i = 1; i < batch.size(); ++i)
    if (bucket_of(batch[i]).m_min == bucket_of(batch[i - 1]).m_min)
      throw Error(fmt::format("batch sizes {} and {} lie in the same bucket ({}): give one of them", batch[i - 1],
                              batch[i], print_bucket(bucket_of(batch[i]))));
  std::vector<KernelWork> works;
  if (!request.model.empty()) add_model(*runtime::open_model(request.model, request.open), batch, works);
  if (!request.preset.empty()) add_model(*runtime::synthetic_model(request.preset), batch, works);
  if (!request.shapes.empty())
    for (const runtime::Shape &shape : runtime::parse_shapes(request.shapes, "--shapes"))
      works.push_back(
          {fmt::format("matmul"), compiler::builtin_kernel("w2a8_matmul"), {{"N", shape.n}, {"K", shape.k}}, batch});
  compiler::Source source;
  if (!request.kernel_file.empty()) {
    source = {request.kernel_file, read_kernel_text(request.kernel_file)};
    const compiler::KernelSpec spec = compiler::parse_kernel(source.text, source.name);
    compiler::Sizes sizes = parse_dims(request.dims);
    std::vector<int64_t> ms = {1};
    const std::string tokens = compiler::token_size(spec);
    if (const auto m = sizes.find(tokens); m != sizes.end()) {
      ms = {m->second};
      sizes.erase(m);
    } else if (!tokens.empty()) {
      ms = batch;
    }
    works.push_back({spec.name, spec, sizes, ms});
  }
  if (works.empty()) throw Error("nothing to tune: give a model, a preset, shapes or a kernel file");
  // Sizes are checked before anything runs, and that the text's sums and conversions fit at them.
  for (const KernelWork &work : works)
    for (int64_t m : work.m_values)
      make_problem(work.spec, work.fixed, m, 1, "", source.text.empty() ? nullptr : &source);
  return works;
}

int run_tune(const TuneCommand &command, const std::atomic<bool> *cancel) {
  const auto start = std::chrono::steady_clock::now();
  TunerOptions options;
  options.threads = command.threads.empty() ? default_threads() : command.threads;
  for (int t : options.threads)
    if (t < 1 || t > kMostThreads) throw Error(fmt::format("thread count {} is not between 1 and {}", t, kMostThreads));
  std::sort(options.threads.begin(), options.threads.end());
  options.threads.erase(std::unique(options.threads.begin(), options.threads.end()), options.threads.end());
  options.patience = find_patience(command.patience);
  if (command.time_limit < 0) throw Error("the time limit must be positive");
  options.time_limit = command.time_limit;
  options.again = command.again;
  options.compare = command.compare;
  options.limits = command.limits;
  options.worker = command.worker;
  options.target = command.target;
  options.runner = command.runner;
  options.build = program_build();
  options.cancel = cancel;
  const std::vector<KernelWork> works = make_works(command.work);
  if (command.compare) check_comparison(options.patience, works);
  const auto store = open_database(command.db);
  const RunFolder folder(runtime::needed_cache_folder() + "/tuning");
  ProgressLine line(stderr, command.quiet);
  Progress last;
  options.progress = [&](const Progress &progress) {
    last = progress;
    line.show(progress);
  };
  Tuner tuner(*store, folder, std::move(options));
  const std::string machine = tuner.machine().fingerprint.id();
  TuningResult result = tuner.run(works);

  WrittenPack pack;
  if (!result.interrupted && !result.outcomes.empty()) {
    try {
      std::vector<PackKernel> kernels;
      for (const auto *outcomes : {&result.outcomes, &result.companions})
        for (const Outcome &o : *outcomes)
          kernels.push_back({o.what, o.problem, code_of(o.object), proof_of(o.proof), o.winner});
      const std::string packs = command.output.empty() ? runtime::pack_folder(machine) : command.output;
      pack = write_pack(
          tuner.farm(), kernels, packs, folder.path(),
          [&](const std::string &doing) {
            last.fraction = 1;
            last.where = "kernel pack";
            last.doing = doing;
            last.best.clear();
            line.show(last);
          },
          tuner.machine());
    } catch (const Interrupted &) {
      result.interrupted = true;
    }
  }
  line.clear();
  if (!command.report.empty()) {
    std::ofstream file(command.report);
    file << report_html(result.outcomes, result.choices, layout_html(result.layouts));
    if (!file.flush()) throw Error(fmt::format("cannot write the report {}", command.report));
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (command.json) {
    json rows = json::array();
    for (const Outcome &outcome : result.outcomes) rows.push_back(outcome_json(outcome));
    fmt::print("{}\n", json{{"fingerprint", machine},
                            {"database", store->place()},
                            {"results", rows},
                            {"layouts", result.choices},
                            {"layout_times", layout_json(result.layouts)},
                            {"unreached", result.unreached},
                            {"rejections", rejections_json(result)},
                            {"pack", pack.manifest},
                            {"interrupted", result.interrupted},
                            {"seconds", seconds}}
                           .dump(1));
  } else {
    fmt::print("{}", outcome_table(result.outcomes));
    fmt::print("{}", layout_table(result.layouts));
    for (const std::string &choice : result.choices) fmt::print("{}\n", choice);
    for (const std::string &name : result.hopeless) {
      fmt::print("no kernel for {}:\n", name);
      for (const auto &[count, reason] : result.rejections[name].list())
        fmt::print("  {} candidate{} rejected: {}\n", count, count == 1 ? "" : "s", reason);
    }
    for (const std::string &name : result.unreached)
      fmt::print("not reached in the time: {} (run again to go on)\n", name);
    if (!pack.manifest.empty())
      fmt::print("{} kernels, {}: {} ({:.1f} s)\n", pack.kernels,
                 pack.unchanged ? "as in the pack that is there" : "proved again through the pack", pack.manifest,
                 seconds);
    if (!pack.manifest.empty() && !command.runner.empty())
      fmt::print("copy it to the other machine: ~/.cache/bittern/packs/{}/\n", machine);
  }
  if (result.interrupted) {
    fmt::print(stderr, "interrupted; what was learnt is saved in {}: the same command goes on from there\n",
               store->place());
    return kInterrupted;
  }
  return result.outcomes.empty() ? 1 : 0;
}

int run_show(const std::string &db, bool as_json) {
  const auto store = open_to_read(db);
  const std::string fingerprint = runtime::machine_fingerprint().id();
  const std::optional<int64_t> machine = store ? store->find_machine(fingerprint) : std::nullopt;
  if (as_json)
    fmt::print("{}\n",
               (machine ? show_json(*store, *machine) : json{{"fingerprint", fingerprint}, {"problems", json::array()}})
                   .dump(1));
  else
    fmt::print("{}", machine ? show_text(*store, *machine) : "nothing has been tuned on this machine yet\n");
  return 0;
}

int run_verify(const std::string &db, bool as_json, const std::atomic<bool> *cancel, const WorkerCommand &worker) {
  const auto store = open_to_read(db);
  const auto machine = store ? store->find_machine(runtime::machine_fingerprint().id()) : std::nullopt;
  const std::vector<StoredWinner> winners = machine ? stored_winners(*store, *machine) : std::vector<StoredWinner>{};
  const RunFolder folder(runtime::needed_cache_folder() + "/tuning");
  Farm farm(worker, runtime::machine_cores(), folder.path(), MakeLimits{}, cancel);
  size_t good = 0;
  json rows = json::array();
  for (const StoredWinner &won : winners) {
    const Problem &problem = won.problem;
    std::string fault;
    try {
      // Code is run only when it is what was proved.
      if (won.object.id == 0) throw Error("its code is not what its hash says, or is gone");
      if (!won.proof.passed) throw Error("it has no proof");
      Order order;
      order.problem = problem;
      order.schedule = won.candidate.schedule;
      order.code = code_of(won.object);
      order.proof = proof_of(won.proof);
      order.symbol = order.code->descriptor.symbol;
      order.prove = Prove::Again;
      fault = farm.make({order}).front().why();
    } catch (const Interrupted &) {
      return kInterrupted;
    } catch (const std::exception &error) {
      fault = error.what();
    }
    good += fault.empty();
    rows.push_back({{"key", problem.key()},
                    {"schedule", won.candidate.schedule},
                    {"proof", won.proof.proof_id},
                    {"ok", fault.empty()},
                    {"reason", fault}});
    if (!as_json)
      fmt::print("{} {} M={} threads={} {}{}\n", fault.empty() ? "exact " : "WRONG ", problem.shape(),
                 print_bucket({problem.m_min, problem.m_max}), problem.threads, won.candidate.schedule,
                 fault.empty() ? fmt::format(" (proof {})", won.proof.proof_id) : ": " + fault);
  }
  if (as_json)
    fmt::print("{}\n", json{{"kernels", rows}, {"good", good}}.dump(1));
  else
    fmt::print("{} of {} winners proved again\n", good, rows.size());
  return good == rows.size() ? 0 : 1;
}

}  // namespace bittern::tuning
