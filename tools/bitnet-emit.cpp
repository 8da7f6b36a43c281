// bitnet-emit: writes proved kernels as a static library that any C or C++ program can link. The command line only; the
// work is in tuning_db/ and codegen/library/.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "runtime/io/join.h"
#include "tools/model_flags.h"
#include "tools/program.h"
#include "tuning_db/commands/emit.h"
#include "tuning_db/making/worker_main.h"

namespace {

using namespace bittern::tuning;

constexpr const char *kExamples = R"(Examples:
  bitnet-emit --shapes 6912x2560,2560x6912 -o kernels      for every instruction set of this machine's architecture
  bitnet-emit -m tests/data/demo --target avx2 -o kernels  a model's matrices, as bitnet-run fuses them, for AVX2 alone
  bitnet-emit --shapes 6912x2560 --target avx512vnni --from-db ~/.cache/bittern/tuning.sqlite -o kernels
                                                           the schedules that bitnet-tune found

The folder holds lib/libbittern_kernels.a, include/bittern_kernels.h (C99 and C++; it says how to use the library), a CMake
package (find_package(BitternKernels), target BitternKernels::BitternKernels), a pkg-config file (bittern-kernels) and
manifest.json, with the schedule and proof of each kernel. The library chooses among its instruction sets at run time and
needs only a C library. Every kernel is proved before anything is written; what this machine cannot run is proved by the
meanings of its instructions, and marked as not executed. The same command gives the same bytes.
)";

int run(int argc, char **argv) {
  CLI::App app{"bitnet-emit: writes proved kernels as a static library for other programs"};
  app.set_version_flag("--version", std::string("bitnet-emit ") + BITTERN_VERSION);
  app.footer(kExamples);
  EmitCommand emit;
  auto *what = app.add_option_group("what to emit");
  what->add_option("-m,--model", emit.work.model, "Model folder or GGUF file: its ternary matrices");
  what->add_option("--preset", emit.work.preset,
                   "Shapes of a known model: " + bittern::runtime::join_names(bittern::runtime::preset_names()));
  what->add_option("--shapes", emit.work.shapes, "Weight shapes, NxK,...");
  what->require_option(1);
  ModelFlags model;
  model.add_meaning(app);
  app.add_option("--target", emit.targets,
                 "Instruction sets of one architecture, avx2,... (default: all of this machine's architecture)");
  auto *db = app.add_option("--from-db", emit.from_db, "Use the winners of this tuning database");
  app.add_option("-t,--threads", emit.threads, "Winners for this many threads (default: the most there are)")
      ->check(CLI::Range(1, 1024))
      ->needs(db);
  app.add_option("-o,--out", emit.out, "Folder to make; it must not be there, or be empty")->required();
  app.add_flag("--json", emit.json, "One JSON object on stdout instead of text");
  app.add_flag("--quiet", emit.quiet, "No progress on stderr");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }

  stop_on({SIGINT, SIGTERM});  // the first removes what was begun
  try {
    emit.work.open = model.resolved();
    return run_emit(emit, &stop_requested);
  } catch (const Interrupted &) {
    std::fprintf(stderr, "bitnet-emit: interrupted; nothing was written\n");
    return kInterrupted;
  }
}

}  // namespace

int main(int argc, char **argv) {
  if (argc == 2 && std::string(argv[1]) == "worker") return worker_main();
  return main_of("bitnet-emit", run, argc, argv);
}
