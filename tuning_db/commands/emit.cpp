#include "tuning_db/commands/emit.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "codegen/library/library.h"
#include "compiler/error.h"
#include "compiler/printer.h"
#include "runtime/machine/machine.h"
#include "runtime/threads/pool.h"
#include "tuning_db/commands/progress.h"
#include "tuning_db/packs/emit_plan.h"
#include "tuning_db/packs/staged_folder.h"
#include "tuning_db/records/open_store.h"
#include "tuning_db/workers/run_folder.h"

namespace bittern::tuning {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr int kManifestFormat = 1;
constexpr const char *kTernaryProduct = "w2a8_matmul";

std::vector<Shape> shapes_of(WorkRequest request) {
  request.batch = {1};
  std::vector<Shape> shapes;
  if (!request.shapes.empty()) {
    shapes = runtime::parse_shapes(request.shapes, "--shapes");
  } else {
    for (const KernelWork &work : make_works(request)) {
      if (work.fixed.count("G"))
        throw Error(
            fmt::format("model {}: its matrices have a scale for every {} weights; emitted kernels have one for "
                        "every row",
                        request.model, work.fixed.at("G")));
      if (work.spec.name == kTernaryProduct) shapes.push_back({work.fixed.at("N"), work.fixed.at("K")});
    }
  }
  return emit_shapes(shapes);
}

std::unique_ptr<Store> open_tuned(const std::string &path) {
  std::string notice;
  auto store = open_existing_store(path, notice);
  if (!notice.empty()) fmt::print(stderr, "bitnet-emit: {}\n", notice);
  return store;
}

bool runs_here(const EmitKernel &kernel) { return (kernel.target->isa_needs & ~runtime::machine_isa()) == 0; }

std::string hash_of(const codegen::Compiled &compiled) {
  std::string all;
  for (const std::string &object : compiled.objects) all += object;
  return sha256_hex(all);
}

void compile(EmitKernel &k) {
  try {
    const auto made = [&](const std::string &symbol) {
      return codegen::compile({*k.spec, k.schedule, *k.target, k.fixed, k.m_min, k.m_max, symbol});
    };
    // Under its old name the winner's machine code must come out as it was proved; else it is proved anew.
    if (k.tuned) {
      k.compiled = made(json::parse(k.recorded.descriptor).at("symbol"));
      k.sha256 = hash_of(k.compiled);
      if (k.sha256 == k.recorded.sha256 && k.recorded_proof.passed) {
        k.proof = k.recorded_proof;
        k.proof_from_database = true;
        return;
      }
    }
    k.compiled = made(k.symbol);
    k.sha256 = hash_of(k.compiled);
    if (!runs_here(k) && k.schedule.backend == "llvm") {
      codegen::Request request{*k.spec, k.schedule, *k.target, k.fixed, k.m_min, k.m_max, k.symbol};
      request.meanings_on = &schedules::host_target(runtime::machine_isa());
      k.stand_in = codegen::compile(request);
    }
  } catch (const json::exception &error) {
    throw Error(fmt::format("{}: its record is damaged: {}", k.name(), error.what()));
  } catch (const Error &error) {
    throw Error(fmt::format("{}: {}", k.name(), error.what()));
  }
  // Rows of a product are what callers share among threads.
  const bool by_rows = k.spec->sizes[static_cast<size_t>(k.compiled.descriptor.tile_size_index)] == "N";
  if (k.spec->name == kTernaryProduct && !by_rows)
    throw Error(
        fmt::format("{}: it cannot be cut by rows of the matrix, as the library's interface promises", k.name()));
}

class Emitter {
 public:
  Emitter(const EmitCommand &command, const std::atomic<bool> *cancel)
      : command_(command), cancel_(cancel), line_(stderr, command.quiet) {}

  int run() {
    const auto start = std::chrono::steady_clock::now();
    const auto targets = emit_targets(command_.targets);
    const std::vector<Shape> shapes = shapes_of(command_.work);
    StagedFolder out(command_.out);
    const std::unique_ptr<Store> database = command_.from_db.empty() ? nullptr : open_tuned(command_.from_db);
    plan_ = plan_library(shapes, targets, database.get(), command_.threads);
    compile_all();
    const RunFolder scratch(runtime::cache_folder() + "/emit");
    prove_all(scratch.path());
    write(out, scratch.path());
    stop_if_wanted();
    out.commit();
    line_.clear();
    summary(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    return 0;
  }

 private:
  void say(double fraction, const std::string &where, const std::string &doing) {
    line_.show({fraction, where, doing, ""});
  }
  void stop_if_wanted() const {
    if (cancel_ && *cancel_) throw Interrupted();
  }

  void compile_all() {
    say(0.02, "compiling", fmt::format("{} kernels", plan_.kernels.size()));
    runtime::ThreadPool pool(runtime::machine_cores());
    std::atomic<size_t> next{0};
    pool.run([&](int) {
      for (size_t i; (i = next.fetch_add(1)) < plan_.kernels.size();) {
        // Names that Halide makes count its calls: made one by one, in order, they are the same every time.
        if (plan_.kernels[i].schedule.backend != "halide" && !(cancel_ && *cancel_)) compile(plan_.kernels[i]);
      }
    });
    for (EmitKernel &kernel : plan_.kernels) {
      stop_if_wanted();
      if (kernel.schedule.backend == "halide") compile(kernel);
    }
  }

  std::string linked(const std::string &scratch) {
    std::vector<codegen::TableRow> rows;
    std::vector<std::string> objects;
    for (const EmitKernel &k : plan_.kernels) {
      rows.push_back({k.compiled.descriptor, k.proof.proof_id, 0, 0});
      objects.insert(objects.end(), k.compiled.objects.begin(), k.compiled.objects.end());
    }
    return codegen::link_library(objects, rows, *plan_.baseline, scratch);
  }

  // Kernels that run here are proved through the library itself, made loadable: what is proved is what is linked. For
  // the others, what stands in for them is proved.
  void prove_all(const std::string &scratch) {
    std::vector<EmitKernel *> own, others;
    for (EmitKernel &k : plan_.kernels) {
      if (!runs_here(k) && !k.stand_in.objects.empty()) others.push_back(&k);
      if (runs_here(k) && k.proof.proof_id.empty()) own.push_back(&k);
    }
    Farm farm(command_.worker, runtime::machine_cores(), scratch, command_.limits, cancel_);
    if (!own.empty()) {
      say(0.1, "linking", fmt::format("{} kernels", plan_.kernels.size()));
      const std::string trial = scratch + "/library.so";
      codegen::link_shared({linked(scratch)}, {"bt_pack_table"}, trial, codegen::library_imports());
      std::vector<size_t> places;
      for (const EmitKernel *k : own) places.push_back(static_cast<size_t>(k - plan_.kernels.data()));
      prove(farm, trial, own, places, "proving", 0.1, others.empty() ? 0.95 : 0.5,
            [](EmitKernel &k) -> ProofRecord & { return k.proof; });
    }
    if (others.empty()) return;
    const std::string trial = scratch + "/stand-ins.so";
    std::vector<codegen::TableRow> rows;
    std::vector<std::string> objects;
    std::vector<size_t> places;
    for (const EmitKernel *k : others) {
      places.push_back(rows.size());
      rows.push_back({k->stand_in.descriptor, "", 0, 0});
      objects.insert(objects.end(), k->stand_in.objects.begin(), k->stand_in.objects.end());
    }
    objects.push_back(codegen::emit_pack_table(rows, "bt_pack_table", schedules::host_target(runtime::machine_isa())));
    codegen::link_shared(objects, {"bt_pack_table"}, trial);
    prove(farm, trial, others, places, "proving by meanings", 0.5, 0.95,
          [](EmitKernel &k) -> ProofRecord & { return k.stand_in_proof; });
  }

  // Proves kernels that have these places in a library's table.
  void prove(Farm &farm, const std::string &library, const std::vector<EmitKernel *> &kernels,
             const std::vector<size_t> &places, const char *doing, double from, double to,
             ProofRecord &(*record)(EmitKernel &)) {
    std::vector<Problem> problems;
    std::vector<FarmJob> jobs;
    problems.reserve(kernels.size());
    for (size_t i = 0; i < kernels.size(); ++i) {
      const EmitKernel &k = *kernels[i];
      // Sizes that stay open are proved at small values, and at the first shape's.
      compiler::Sizes sizes = k.fixed;
      if (!sizes.count("K")) sizes["K"] = plan_.shapes.front().k;
      problems.push_back(make_problem(*k.spec, sizes, k.m_min, 1, k.target->name));
      FarmJob job;
      job.problem = &problems.back();
      job.object.sha256 = runs_here(k) ? k.sha256 : hash_of(k.stand_in);
      job.index = places[i];
      jobs.push_back(std::move(job));
    }
    size_t proved = 0;
    std::string wrong;
    farm.prove_pack(library, jobs, [&](FarmJob &job) {
      ++proved;
      EmitKernel &kernel = *kernels[static_cast<size_t>(&job - jobs.data())];
      record(kernel) = job.proof;
      if (!job.rejected.empty() && wrong.empty()) wrong = fmt::format("{}: {}", kernel.name(), job.rejected);
      say(from + (to - from) * static_cast<double>(proved) / static_cast<double>(jobs.size()), doing,
          fmt::format("{}/{}, {}", proved, jobs.size(), kernel.name()));
    });
    if (!wrong.empty()) throw Error(fmt::format("not emitted, since a kernel is wrong: {}", wrong));
  }

  ordered_json kernel_json(const EmitKernel &k) const {
    ordered_json row = {{"m_min", k.m_min}};
    if (k.m_max != INT64_MAX) row["m_max"] = k.m_max;
    row["schedule"] = schedules::print_schedule(k.schedule);
    row["source"] = k.tuned ? "tuned" : "default";
    row["object_sha256"] = k.sha256;
    // A kernel that was not executed may have been proved by its instructions' meanings.
    const bool executed = !k.proof.proof_id.empty();
    const ProofRecord &proof = executed ? k.proof : k.stand_in_proof;
    row["proof"] = {{"executed", executed}};
    if (!proof.proof_id.empty()) {
      row["proof"]["id"] = proof.proof_id;
      row["proof"]["reference"] = proof.reference;
      row["proof"]["inputs"] = json::parse(proof.inputs);
    }
    if (executed) row["proof"]["from_database"] = k.proof_from_database;
    if (!executed) row["proof"]["by_meanings_of_instructions"] = !proof.proof_id.empty();
    return row;
  }

  // Nothing in it depends on the time, the folder or the user.
  std::string manifest(const std::vector<codegen::LibraryFile> &files) const {
    ordered_json targets = ordered_json::array(), specs = ordered_json::object();
    auto kernel = plan_.kernels.begin();
    for (const schedules::Target *target : plan_.targets) {
      ordered_json row = {{"name", target->name}, {"executed", runs_here(*kernel)}};
      specs[kernel->spec->name] = compiler::spec_hash(*kernel->spec);
      row["quantiser"] = kernel_json(*kernel++);
      row["shapes"] = ordered_json::array();
      for (const Shape &shape : plan_.shapes) {
        ordered_json of_shape = {{"n", shape.n}, {"k", shape.k}, {"layout", kernel->schedule.layout}};
        specs[kernel->spec->name] = compiler::spec_hash(*kernel->spec);
        for (; kernel != plan_.kernels.end() && kernel->target == target && kernel->fixed.count("N") &&
               kernel->fixed.at("N") == shape.n && kernel->fixed.at("K") == shape.k;
             ++kernel)
          of_shape["kernels"].push_back(kernel_json(*kernel));
        row["shapes"].push_back(of_shape);
      }
      targets.push_back(row);
    }
    ordered_json list = ordered_json::array();
    for (const codegen::LibraryFile &file : files)
      list.push_back({{"path", file.path}, {"bytes", file.bytes.size()}, {"sha256", sha256_hex(file.bytes)}});
    return ordered_json{{"format", kManifestFormat},
                        {"generator", "bittern " BITTERN_VERSION},
                        {"architecture", codegen::architecture_of(*plan_.baseline)},
                        {"specs", specs},
                        {"targets", targets},
                        {"files", list}}
               .dump(1) +
           "\n";
  }

  void write(StagedFolder &out, const std::string &scratch) {
    say(0.97, "writing", command_.out);
    std::vector<codegen::LibraryFile> files = codegen::library_files(codegen::architecture_of(*plan_.baseline));
    files.push_back({"lib/libbittern_kernels.a",
                     codegen::archive_library(codegen::seal_library(linked(scratch)), "bittern_kernels.o")});
    std::sort(files.begin(), files.end(), [](const auto &a, const auto &b) { return a.path < b.path; });
    for (const codegen::LibraryFile &file : files) out.write(file.path, file.bytes);
    out.write("manifest.json", manifest(files));
    bytes_ =
        std::find_if(files.begin(), files.end(), [](const auto &f) { return f.path.ends_with(".a"); })->bytes.size();
  }

  void summary(double seconds) const {
    size_t proved = 0, recorded = 0, by_meanings = 0;
    for (const EmitKernel &k : plan_.kernels) {
      by_meanings += k.proof.proof_id.empty() && !k.stand_in_proof.proof_id.empty() ? 1 : 0;
      recorded += k.proof_from_database ? 1 : 0;
      proved += !k.proof.proof_id.empty() && !k.proof_from_database ? 1 : 0;
    }
    const size_t unexecuted = plan_.kernels.size() - proved - recorded;
    std::vector<std::string> names;
    for (const schedules::Target *target : plan_.targets) names.push_back(target->name);
    if (command_.json) {
      fmt::print("{}\n", ordered_json{{"folder", command_.out},
                                      {"targets", names},
                                      {"shapes", plan_.shapes.size()},
                                      {"kernels", plan_.kernels.size()},
                                      {"proved", proved},
                                      {"proof_on_record", recorded},
                                      {"not_executed", unexecuted},
                                      {"proved_by_meanings", by_meanings},
                                      {"library_bytes", bytes_},
                                      {"seconds", seconds}}
                             .dump(1));
      return;
    }
    fmt::print("{}: {} kernels for {} shape{} on {}, {:.1f} KiB: {} proved", command_.out, plan_.kernels.size(),
               plan_.shapes.size(), plan_.shapes.size() == 1 ? "" : "s", fmt::join(names, ", "),
               static_cast<double>(bytes_) / 1024, proved);
    if (recorded) fmt::print(", {} with a proof on record for these very bytes", recorded);
    if (unexecuted)
      fmt::print(", {} not executed (this machine lacks the instructions; {} of them proved by what those mean)",
                 unexecuted, by_meanings);
    fmt::print(" ({:.1f} s)\n", seconds);
  }

  const EmitCommand &command_;
  const std::atomic<bool> *cancel_;
  ProgressLine line_;
  EmitPlan plan_;
  size_t bytes_ = 0;
};

}  // namespace

int run_emit(const EmitCommand &command, const std::atomic<bool> *cancel) { return Emitter(command, cancel).run(); }

}  // namespace bittern::tuning
