// bittern-gen: makes the built-in kernels at build time. Nobody else needs it.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "tuning_db/making/worker_main.h"
#include "tuning_db/packs/default_pack.h"

int main(int argc, char **argv) {
  if (argc == 2 && std::string(argv[1]) == "worker") return bittern::tuning::worker_main();
  CLI::App app("Compiles and proves the default kernels, and writes them as object files.", "bittern-gen");
  app.set_version_flag("--version", "bittern-gen " BITTERN_VERSION);
  bittern::tuning::DefaultPackRequest request;
  app.add_option("--architecture", request.architecture, "x86_64 or aarch64 (default: this machine's)");
  app.add_option("--runner", request.runner, "Command that runs bitnet-worker where the kernels can be proved");
  app.add_option("--out", request.folder, "Folder for the objects and objects.txt, which lists them")->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  try {
    const bittern::tuning::DefaultPackReport report = bittern::tuning::write_default_pack(
        request, [](const std::string &what) { fmt::print("bittern-gen: {}\n", what); });
    fmt::print("bittern-gen: {} kernels, compiled in {:.1f} s, proved in {:.1f} s\n", report.kernels,
               report.compile_seconds, report.proof_seconds);
    if (report.not_executed > 0) {
      fmt::print("bittern-gen: {} of them need instructions that this machine lacks: proved by their meanings\n",
                 report.not_executed);
    }
  } catch (const std::exception &error) {
    fmt::print(stderr, "bittern-gen: {}\n", error.what());
    return 1;
  }
  return 0;
}
