// bitnet-worker: proves and times kernels on this machine for a bitnet-tune that runs on another.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "tools/program.h"
#include "tuning_db/workers/remote_worker.h"

namespace {

constexpr const char *kExamples = R"(Examples, on the machine with the compiler:
  bitnet-tune --preset 2b-4t --runner "ssh board bitnet-worker"
  bitnet-tune --shapes 256x1024 --patience estimate --runner "qemu-aarch64 -L /usr/aarch64-linux-gnu bitnet-worker"
or, without a line between the machines:
  bitnet-tune --shapes 256x1024 --target aarch64-dotprod --emit-only -o candidates    # copy the folder, then there:
  bitnet-worker candidates

Without a folder it serves JSON lines on standard input and output until that ends. Under an emulator of user programs
it proves and refuses to time.
)";

int run(int argc, char **argv) {
  CLI::App app{"bitnet-worker: proves and times kernels for a bitnet-tune on another machine"};
  app.set_version_flag("--version", std::string("bitnet-worker ") + BITTERN_VERSION);
  app.footer(kExamples);
  std::string folder;
  bool json = false;
  app.add_option("folder", folder, "Prove the candidates that bitnet-tune --emit-only wrote here, and end");
  app.add_flag("--json", json, "With a folder: one JSON object on stdout instead of text");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  signal(SIGPIPE, SIG_IGN);
  if (!folder.empty()) return bittern::tuning::prove_folder(folder, json);
  return bittern::tuning::serve_runner(STDIN_FILENO, STDOUT_FILENO);
}

}  // namespace

int main(int argc, char **argv) { return main_of("bitnet-worker", run, argc, argv); }
