// bitnet-bench: how fast this machine could be (roof), and how fast the kernels and whole models are on it.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "runtime/bench/kernel_bench.h"
#include "runtime/bench/model_bench.h"
#include "runtime/bench/report.h"
#include "runtime/error.h"
#include "runtime/machine/machine.h"
#include "tools/program.h"

using namespace bittern::runtime;

namespace {

constexpr int kMostThreads = 1024;

// Options that several commands share.
struct Common {
  std::string threads, kernels = "tuned";
  bool json = false;

  void add_json(CLI::App *command) { command->add_flag("--json", json, "One JSON object instead of a table"); }
  void add_kernels(CLI::App *command) {
    command->add_option("--kernels", kernels, "Which kernels: tuned, default or scalar")->capture_default_str();
  }
  // The thread counts asked for, or `otherwise`.
  std::vector<int64_t> thread_counts(std::vector<int64_t> otherwise) const {
    return threads.empty() ? otherwise : parse_counts(threads, kMostThreads, "--threads");
  }
};

std::vector<int64_t> all_counts() {
  std::vector<int64_t> counts;
  for (int n = 1; n <= machine_cores(); ++n) counts.push_back(n);
  return counts;
}

void roof(const Common &common) {
  std::vector<RoofFigures> rows;
  for (int64_t threads : common.thread_counts(all_counts())) {
    ThreadPool pool(static_cast<int>(threads));
    Roof measured(pool);
    rows.push_back(
        {pool.threads(), measured.read_gb_s(41), measured.int8_gop_s(41), measured.read_form(), Roof::multiply_form()});
  }
  fmt::print("{}\n", common.json ? roof_json(rows) : roof_table(rows));
}

void kernel(const Common &common, const std::string &shapes, const std::string &batch, double seconds) {
  const std::vector<Shape> wanted = parse_shapes(shapes, "--shape");
  const std::vector<int64_t> batches = parse_counts(batch, 4096, "--batch");
  std::vector<KernelFigures> rows;
  for (int64_t threads : common.thread_counts({machine_physical_cores()})) {
    ThreadPool pool(static_cast<int>(threads));
    Roof measured(pool);
    const KernelSet kernels(parse_kernel_choice(common.kernels), pool.threads());
    for (const Shape &shape : wanted)
      for (int64_t m : batches) rows.push_back(bench_kernel(pool, kernels, measured, shape, m, seconds));
  }
  fmt::print("{}\n", common.json ? kernel_json(rows) : kernel_table(rows));
}

std::string join(const std::vector<std::string> &names) {
  std::string joined;
  for (const std::string &name : names) joined += (joined.empty() ? "" : ", ") + name;
  return joined;
}

struct ModelFlags {
  ModelBenchOptions options;
  std::string head = "file", kv = "f32";
  std::string batch;
  bool start_only = false;

  void add(CLI::App *command) {
    command->add_option("--preset", options.preset, fmt::format("One of: {}", join(preset_names())))
        ->capture_default_str();
    command->add_option("-p,--prompt", options.prompt, "Tokens to prefill")
        ->check(CLI::Range(1, 65536))
        ->capture_default_str();
    command->add_option("-n,--n-predict", options.generate, "Tokens to decode")
        ->check(CLI::Range(1, 65536))
        ->capture_default_str();
    command->add_option("--head", head, "Output head: file (its own precision) or int8")
        ->check(CLI::IsMember({"file", "int8"}))
        ->capture_default_str();
    command->add_option("--kv", kv, "Keys and values: f32 or f16")
        ->check(CLI::IsMember({"f32", "f16"}))
        ->capture_default_str();
    command->add_option("--batch", batch, "Decode so many sequences together, such as 1,4,8,16,64, and nothing else");
    command->add_flag("--start-only", start_only)->group("");  // what bench_model starts for start_s and rss_mib
  }
};

void model(const Common &common, const ModelFlags &flags) {
  ModelBenchOptions options = flags.options;
  const std::vector<int64_t> threads = common.thread_counts({machine_physical_cores()});
  if (threads.size() != 1) throw Error("model: --threads wants one count");
  options.engine.threads = static_cast<int>(threads[0]);
  options.engine.kernels = parse_kernel_choice(common.kernels);
  if (flags.head == "int8") options.engine.head = HeadType::Int8;
  if (flags.kv == "f16") options.engine.kv = KvType::F16;
  if (flags.start_only) {
    fmt::print("{}\n", run_start(options));
    return;
  }
  if (!flags.batch.empty()) {
    const BatchReport report = bench_batches(options, parse_counts(flags.batch, Engine::kMostSequences, "--batch"));
    fmt::print("{}\n", common.json ? batch_json(report) : batch_table(report));
    return;
  }
  const ModelFigures figures = bench_model(options, "/proc/self/exe");
  fmt::print("{}\n", common.json ? model_json(figures) : model_table(figures));
}

int run(int argc, char **argv) {
  CLI::App app("Measures this machine's roof, and kernels and models against it.", "bitnet-bench");
  app.set_version_flag("--version", "bitnet-bench " BITTERN_VERSION);
  app.require_subcommand(1);
  app.footer(
      "Examples:\n"
      "  bitnet-bench roof                                              read bandwidth and multiply-add peak\n"
      "  bitnet-bench kernel --shape 2560x6912,6912x2560 --batch 1,128  the kernels a model would run on\n"
      "  bitnet-bench model --preset 2b-4t -t 2 -p 128 -n 64            a whole transformer, synthetic weights\n"
      "  bitnet-bench model --preset 2b-4t --batch 1,4,8,16,64          many sequences in one step\n"
      "Nothing prints a speed unless the kernels' results were checked first. Exit status: 0 done, 1 failed,\n"
      "2 wrong usage.");
  Common common;

  CLI::App *roof_command = app.add_subcommand("roof", "Read bandwidth and int8 multiply-add peak per thread count");
  roof_command->add_option("-t,--threads", common.threads, "Thread counts, such as 1,2 (default: 1 to all cores)");
  common.add_json(roof_command);

  std::string shapes, batch = "1,8,128";
  double seconds = 0.7;
  CLI::App *kernel_command = app.add_subcommand("kernel", "The ternary matrix product on cold weights");
  kernel_command->add_option("--shape", shapes, "Weight matrices, rows x columns, such as 6912x2560,2560x6912")
      ->required();
  kernel_command->add_option("--batch", batch, "Batch sizes M")->capture_default_str();
  kernel_command->add_option("-t,--threads", common.threads, "Thread counts, such as 1,2 (default: all cores)");
  kernel_command->add_option("--seconds", seconds, "Time for each row")->check(CLI::Range(0.01, 600.0));
  common.add_kernels(kernel_command);
  common.add_json(kernel_command);

  ModelFlags model_flags;
  CLI::App *model_command = app.add_subcommand("model", "A whole transformer on synthetic weights of true shapes");
  model_flags.add(model_command);
  model_command->add_option("-t,--threads", common.threads, "Thread count (default: all cores)");
  common.add_kernels(model_command);
  common.add_json(model_command);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  if (*roof_command) roof(common);
  if (*model_command) model(common, model_flags);
  if (*kernel_command) kernel(common, shapes, batch, seconds);
  return 0;
}

}  // namespace

int main(int argc, char **argv) { return main_of("bitnet-bench", run, argc, argv); }
