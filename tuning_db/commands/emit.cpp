#include "tuning_db/commands/emit.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "codegen/backend.h"
#include "codegen/library/library.h"
#include "compiler/error.h"
#include "compiler/printer.h"
#include "runtime/machine/machine.h"
#include "tuning_db/commands/progress.h"
#include "tuning_db/packs/emit_plan.h"
#include "tuning_db/packs/staged_folder.h"
#include "tuning_db/records/open_store.h"
#include "tuning_db/search/stored_kernels.h"
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

// Rows of a product are what callers share among threads.
void check_cut(const EmitKernel &k) {
  const bool by_rows = k.spec->sizes[static_cast<size_t>(k.code.descriptor.tile_size_index)] == "N";
  if (k.spec->name == kTernaryProduct && !by_rows)
    throw Error(
        fmt::format("{}: it cannot be cut by rows of the matrix, as the library's interface promises", k.name()));
}

// Throws Error when a kernel was rejected.
void check_made(const EmitKernel &k, const Made &made) {
  if (!made.rejection) return;
  const RejectionKind kind = made.rejection->kind;
  if (kind == RejectionKind::IllegalSchedule || kind == RejectionKind::CompileError)
    throw Error(fmt::format("{}: {}", k.name(), made.why()));
  throw Error(fmt::format("not emitted, since a kernel is wrong: {}: {}", k.name(), made.why()));
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
    const RunFolder scratch(runtime::needed_cache_folder() + "/emit");
    make_all(scratch.path());
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

  Order order_of(const EmitKernel &k) const {
    // Sizes that stay open are proved at small values, and at the first shape's.
    compiler::Sizes sizes = k.fixed;
    if (!sizes.count("K")) sizes["K"] = plan_.shapes.front().k;
    Order order;
    order.problem = make_problem(*k.spec, sizes, k.m_min, 1, k.target->name);
    order.problem.m_min = k.m_min;
    order.problem.m_max = k.m_max;
    order.schedule = schedules::print_schedule(k.schedule);
    order.fixed = k.fixed;
    order.symbol = k.symbol;
    order.prove = runs_here(k) ? Prove::Unknown : Prove::No;
    // Names that Halide makes count its calls: in a process of its own they are the same every time.
    order.fresh_worker = k.schedule.backend == "halide";
    return order;
  }

  std::string linked(const std::string &scratch) {
    std::vector<codegen::TableRow> rows;
    std::vector<std::string> objects;
    for (const EmitKernel &k : plan_.kernels) {
      rows.push_back({k.code.descriptor, k.proof ? k.proof->id : "", 0, 0});
      objects.insert(objects.end(), k.code.objects.begin(), k.code.objects.end());
    }
    return codegen::link_library(objects, rows, *plan_.baseline, scratch);
  }

  void make_all(const std::string &scratch) {
    say(0.02, "compiling", fmt::format("{} kernels", plan_.kernels.size()));
    Farm farm(command_.worker, runtime::machine_cores(), scratch, command_.limits, cancel_);
    take_recorded(farm);
    make_library(farm, scratch);
    prove_by_meanings(farm, scratch);
  }

  // Under its old name a winner's machine code must come out as it was proved; else it is made and proved anew.
  void take_recorded(Farm &farm) {
    std::vector<Order> orders;
    std::vector<EmitKernel *> kernels;
    for (EmitKernel &k : plan_.kernels) {
      if (!k.tuned || !k.recorded_proof.passed) continue;
      Order order = order_of(k);
      try {
        order.symbol = code_of(k.recorded).descriptor.symbol;
        order.proof = proof_of(k.recorded_proof);
      } catch (const Error &error) {
        throw Error(fmt::format("{}: {}", k.name(), error.what()));
      }
      order.prove = Prove::No;
      orders.push_back(std::move(order));
      kernels.push_back(&k);
    }
    const std::vector<Made> made = farm.make_together(
        orders, [&](const std::vector<Made> &) { return Farm::Linked{"", std::vector<size_t>(orders.size())}; });
    for (size_t i = 0; i < made.size(); ++i) {
      check_made(*kernels[i], made[i]);
      if (made[i].code->sha256 != kernels[i]->recorded.sha256) continue;
      kernels[i]->code = *made[i].code;
      kernels[i]->proof = made[i].proof;
      kernels[i]->proof_from_database = true;
    }
  }

  // Kernels that run here are proved through the library itself, made loadable: what is proved is what is linked.
  void make_library(Farm &farm, const std::string &scratch) {
    std::vector<Order> orders;
    std::vector<EmitKernel *> kernels;
    size_t wanted = 0;
    bool others = false;
    for (EmitKernel &k : plan_.kernels) {
      kernels.push_back(&k);
      orders.push_back(order_of(k));
      if (k.proof_from_database) {
        orders.back().code = k.code;
        orders.back().proof = k.proof;
        orders.back().prove = Prove::No;
      }
      wanted += orders.back().prove == Prove::No ? 0 : 1;
      others = others || !runs_here(k);
    }
    const auto link = [&](const std::vector<Made> &made) {
      Farm::Linked library{"", {}};
      for (size_t i = 0; i < made.size(); ++i) {
        plan_.kernels[i].code = *made[i].code;
        check_cut(plan_.kernels[i]);
        library.rows.push_back(i);
      }
      if (wanted == 0) return library;
      say(0.1, "linking", fmt::format("{} kernels", plan_.kernels.size()));
      library.library = scratch + "/library.so";
      codegen::link_shared({linked(scratch)}, {"bt_pack_table"}, library.library, codegen::library_imports());
      return library;
    };
    make(farm, orders, kernels, link, "proving", 0.1, others ? 0.5 : 0.95, wanted,
         [](EmitKernel &k) -> std::optional<Proof> & { return k.proof; });
  }

  void prove_by_meanings(Farm &farm, const std::string &scratch) {
    std::vector<Order> orders;
    std::vector<EmitKernel *> kernels;
    const schedules::Target &host = schedules::host_target(runtime::machine_isa());
    for (EmitKernel &k : plan_.kernels) {
      if (runs_here(k) || k.proof || k.schedule.backend != "llvm") continue;
      orders.push_back(order_of(k));
      orders.back().meanings_on = host.name;
      orders.back().prove = Prove::Unknown;
      kernels.push_back(&k);
    }
    if (orders.empty()) return;
    const auto link = [&](const std::vector<Made> &made) {
      Farm::Linked library{scratch + "/from-meanings.so", {}};
      std::vector<codegen::TableRow> rows;
      std::vector<std::string> objects;
      for (const Made &one : made) {
        library.rows.push_back(rows.size());
        rows.push_back({one.code->descriptor, "", 0, 0});
        objects.insert(objects.end(), one.code->objects.begin(), one.code->objects.end());
      }
      objects.push_back(codegen::emit_pack_table(rows, "bt_pack_table", host));
      codegen::link_shared(objects, {"bt_pack_table"}, library.library);
      return library;
    };
    make(farm, orders, kernels, link, "proving by meanings", 0.5, 0.95, orders.size(),
         [](EmitKernel &k) -> std::optional<Proof> & { return k.from_meanings_proof; });
  }

  // Makes kernels that are linked together, of which `wanted` are proved, and notes their proofs.
  void make(Farm &farm, const std::vector<Order> &orders, const std::vector<EmitKernel *> &kernels,
            const Farm::Link &link, const char *doing, double from, double to, size_t wanted,
            std::optional<Proof> &(*proof)(EmitKernel &)) {
    size_t proved = 0;
    const std::vector<Made> made = farm.make_together(orders, link, [&](size_t i, Made &) {
      if (orders[i].prove == Prove::No) return;
      ++proved;
      say(from + (to - from) * static_cast<double>(proved) / static_cast<double>(wanted), doing,
          fmt::format("{}/{}, {}", proved, wanted, kernels[i]->name()));
    });
    for (size_t i = 0; i < made.size(); ++i) {
      check_made(*kernels[i], made[i]);
      proof(*kernels[i]) = made[i].proof;
    }
  }

  ordered_json kernel_json(const EmitKernel &k) const {
    ordered_json row = {{"m_min", k.m_min}};
    if (k.m_max != INT64_MAX) row["m_max"] = k.m_max;
    row["schedule"] = schedules::print_schedule(k.schedule);
    row["source"] = k.tuned ? "tuned" : "default";
    row["object_sha256"] = k.code.sha256;
    // A kernel that was not executed may have been proved by its instructions' meanings.
    const bool executed = k.proof.has_value();
    const std::optional<Proof> &proof = executed ? k.proof : k.from_meanings_proof;
    row["proof"] = {{"executed", executed}};
    if (proof) {
      row["proof"]["id"] = proof->id;
      row["proof"]["reference"] = proof->reference;
      row["proof"]["inputs"] = proof->inputs;
    }
    if (executed) row["proof"]["from_database"] = k.proof_from_database;
    if (!executed) row["proof"]["by_meanings_of_instructions"] = proof.has_value();
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
                        {"architecture", plan_.baseline->architecture},
                        {"specs", specs},
                        {"targets", targets},
                        {"files", list}}
               .dump(1) +
           "\n";
  }

  void write(StagedFolder &out, const std::string &scratch) {
    say(0.97, "writing", command_.out);
    std::vector<codegen::LibraryFile> files = codegen::library_files(plan_.baseline->architecture);
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
      by_meanings += !k.proof && k.from_meanings_proof ? 1 : 0;
      recorded += k.proof_from_database ? 1 : 0;
      proved += k.proof && !k.proof_from_database ? 1 : 0;
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
