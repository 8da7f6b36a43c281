// bitnet-tune: finds the fastest exact kernels for a model's shapes on this machine and packs them for bitnet-run. The
// command line only; the work is in tuning_db/.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "runtime/io/join.h"
#include "runtime/model/model_source.h"
#include "tools/model_flags.h"
#include "tools/program.h"
#include "tuning_db/commands/commands.h"
#include "tuning_db/commands/lower.h"
#include "tuning_db/making/worker_main.h"

namespace {

using namespace bittern::tuning;

constexpr const char *kExamples = R"(Examples:
  bitnet-tune -m tests/data/demo                      tune a model's kernels, a minute at most for the demo
  bitnet-tune --preset 2b-4t -t 2 --patience normal   the true shapes of BitNet b1.58 2B-4T, without its weights
  bitnet-tune --shapes 6912x2560,2560x6912 --batch 1,128 --json
  bitnet-tune --shapes 6912x2560 --batch 1,8 -t 1,2 --compare-layouts --report layouts.html
  bitnet-tune --kernel my.bk --dims M=1,N=4096,K=4096 your own kernel text: lowered, proved, tuned, run
  bitnet-tune --preset 2b-4t --runner "ssh board bitnet-worker"   for another machine, compiled here
  bitnet-tune show                                    what was tried, rejected and why, untried, and what won
  bitnet-tune verify                                  proves the stored winners again
  bitnet-tune lower --shapes 6912x2560 --dims M=1     what a kernel becomes: text, plan, LLVM IR, assembly
  bitnet-tune lower --kernel my.bk --dims M=8,K=512 --schedule 'llvm.loops{rows=2,tokens=4}' --target x86-64-avx2 --emit asm

Everything learnt is saved as it is learnt: after Ctrl-C or a kill the same command goes on where it stood. The database
is tuning.sqlite in the cache folder ($BITTERN_CACHE, else the XDG cache home's bittern); packs lie beside it.
)";

int run(int argc, char **argv) {
  CLI::App app{"bitnet-tune: tunes and proves kernels for this machine"};
  app.set_version_flag("--version", std::string("bitnet-tune ") + BITTERN_VERSION);
  app.footer(kExamples);
  TuneCommand tune;
  auto *what = app.add_option_group("what to tune");
  what->add_option("-m,--model", tune.work.model, "Model folder or GGUF file");
  what->add_option("--preset", tune.work.preset,
                   "Shapes of a known model: " + bittern::runtime::join_names(bittern::runtime::preset_names()));
  what->add_option("--shapes", tune.work.shapes, "Weight shapes, NxK,...");
  what->add_option("--kernel", tune.work.kernel_file, "Kernel text (.bk)");
  ModelFlags model;
  model.add_meaning(app);
  app.add_option("--dims", tune.work.dims, "Sizes for --kernel, M=1,N=4096,K=4096");
  app.add_option("-t,--threads", tune.threads, "Thread counts, 1,2 (default: 1, powers of two, all cores)")
      ->delimiter(',');
  app.add_option("--batch", tune.work.batch, "Batch sizes, one for each bucket to tune")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--patience", tune.patience, "estimate (no timing), quick, normal or exhaustive")
      ->capture_default_str();
  app.add_option("--time-limit", tune.time_limit, "Seconds in all (default: the patience's own)")
      ->check(CLI::Range(1.0, 1e7));
  app.add_flag("--again", tune.again, "Search again even where there is a winner already");
  bool emit_only = false;
  app.add_option("--target", tune.target, "Instruction set to compile for (default: the widest the machine runs)");
  app.add_option("--runner", tune.runner, "Command that runs bitnet-worker on the machine to tune for")
      ->type_name("COMMAND");
  app.add_flag("--emit-only", emit_only, "Only compile the first candidates, for bitnet-worker to prove elsewhere");
  app.add_option("-o,--output", tune.output, "Folder for --emit-only's candidates, or for the pack of kernels");
  app.add_flag("--compare-layouts", tune.compare,
               "Measure the best kernel of every weight layout at every batch size and thread count: which wins, and "
               "whether bytes or instructions bind it");
  app.add_option("--report", tune.report, "Write a picture of the results to this HTML file");
  std::string db;
  bool json = false;
  // Subcommands take these too.
  app.add_option("--db", db, "Database file (default: tuning.sqlite in the cache folder)");
  app.add_flag("--json", json, "One JSON object on stdout instead of text");
  app.add_flag("--quiet", tune.quiet, "No progress on stderr");
  app.fallthrough();
  auto *show = app.add_subcommand("show", "What was tried, rejected (with reasons), is untried, and won");
  auto *verify = app.add_subcommand("verify", "Prove the stored winners again");
  auto *lower = app.add_subcommand("lower", "Show the steps from a kernel's text to its machine code");
  LowerCommand lowering;
  lower->add_option("--schedule", lowering.schedule, "A schedule as it is printed (default: the target's own)");
  const std::vector<std::string> stages = lower_stages();
  lower->add_option("--emit", lowering.emit, "One stage: " + bittern::runtime::join_names(stages));
  app.require_subcommand(0, 1);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }

  // It saves and ends in order; a second one loses nothing that was committed.
  stop_on({SIGINT, SIGTERM});
  try {
    if (*show) return run_show(db, json);
    if (*verify) return run_verify(db, json, &stop_requested);
    if (*lower) {
      if (tune.work.shapes.empty() == tune.work.kernel_file.empty()) {
        std::fprintf(stderr, "bitnet-tune: lower: give one of --shapes and --kernel (see --help)\n");
        return kUsage;
      }
      if (!lowering.emit.empty() && std::find(stages.begin(), stages.end(), lowering.emit) == stages.end()) {
        std::fprintf(stderr, "bitnet-tune: lower: --emit is one of %s, not '%s'\n",
                     bittern::runtime::join_names(stages).c_str(), lowering.emit.c_str());
        return kUsage;
      }
      lowering.shape = tune.work.shapes;
      lowering.kernel_file = tune.work.kernel_file;
      lowering.dims = tune.work.dims;
      lowering.target = tune.target;
      return run_lower(lowering);
    }
    if (!tune.work.dims.empty() && tune.work.kernel_file.empty()) {
      std::fprintf(stderr, "bitnet-tune: --dims requires --kernel (see --help)\n");
      return kUsage;
    }
    const int given = !tune.work.model.empty() + !tune.work.preset.empty() + !tune.work.shapes.empty() +
                      !tune.work.kernel_file.empty();
    if (given != 1) {
      std::fprintf(stderr, "bitnet-tune: give one of --model, --preset, --shapes and --kernel (see --help)\n");
      return kUsage;
    }
    tune.work.open = model.resolved();
    tune.db = db;
    tune.json = json;
    if (emit_only) return run_emit_only(tune, &stop_requested);
    return run_tune(tune, &stop_requested);
  } catch (const Interrupted &) {
    return kInterrupted;
  }
}

}  // namespace

int main(int argc, char **argv) {
  if (argc == 2 && std::string(argv[1]) == "worker") return worker_main();
  return main_of("bitnet-tune", run, argc, argv);
}
