// Golden tests on machine code: what the hot loops of contraction kernels are made of, for every target of the table,
// also those that this machine cannot run. tests/data/assembly/<target>.txt has blocks of
//   kernel at sizes, schedule
//   count mnemonic          exactly so often in the hot loop; 0 for what must not be there
//   most N                  at most so many instructions in all
// A difference prints the whole loop's profile: a change of the file is reviewed like code.
#include <doctest/doctest.h>

#include <fstream>
#include <sstream>

#include "codegen/backend.h"
#include "codegen/llvm/hot_loop.h"
#include "compiler/library.h"
#include "schedules/target.h"

using namespace bittern;

namespace {

codegen::HotLoop hot_loop_of(const schedules::Target &target, const std::string &schedule_text) {
  const schedules::Schedule schedule = schedules::parse_schedule(schedule_text);
  const codegen::Compiled compiled = codegen::compile(
      {compiler::builtin_kernel("w2a8_matmul"), schedule, target, {{"N", 2560}, {"K", 2560}}, 1, INT64_MAX, "kernel"});
  return codegen::hot_loop(compiled.objects.front(), "kernel", target);
}

std::string profile(const codegen::HotLoop &loop) {
  std::ostringstream text;
  for (const auto &[mnemonic, count] : loop.mnemonics) text << "  " << count << ' ' << mnemonic << '\n';
  text << "  most " << loop.instructions << '\n';
  return text.str();
}

}  // namespace

TEST_CASE("hot loops are made of the instructions that their target is for") {
  for (const schedules::Target &target : schedules::targets()) {
    const std::string path = std::string(BITTERN_TEST_DATA) + "/assembly/" + target.name + ".txt";
    CAPTURE(path);
    std::ifstream file(path);
    CHECK_MESSAGE(file.good(), "target " << target.name << " has no golden assembly");
    codegen::HotLoop loop;
    int checks = 0;
    for (std::string line; std::getline(file, line);) {
      if (line.empty() || line[0] == '#') continue;
      if (line[0] != ' ') {
        loop = hot_loop_of(target, line);
        continue;
      }
      ++checks;
      std::istringstream words(line);
      std::string count, mnemonic;
      words >> count;
      std::getline(words >> std::ws, mnemonic);
      if (count == "most") {
        CHECK_MESSAGE(loop.instructions <= std::stoi(mnemonic), line << ", but the loop is\n" << profile(loop));
      } else {
        const auto found = loop.mnemonics.find(mnemonic);
        const int occurs = found == loop.mnemonics.end() ? 0 : found->second;
        CHECK_MESSAGE(occurs == std::stoi(count), line << ", but the loop is\n" << profile(loop));
      }
    }
    CHECK(checks >= 6);
  }
}
