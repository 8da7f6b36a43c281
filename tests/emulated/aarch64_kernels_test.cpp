// Every (kernel, template, layout) of every AArch64 target, compiled here and proved by bitnet-worker under qemu, on
// the oldest processor that has the target's instructions. Needs the aarch64 build (cmake --preset aarch64), which
// tools/test makes. BITTERN_PROOF=full proves three schedules of each instead of one.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "compiler/library.h"
#include "runtime/machine/machine.h"
#include "schedules/space.h"
#include "tests/proof/matrix_sizes.h"
#include "tests/proof/worker_process.h"
#include "tests/scratch_folder.h"
#include "tuning_db/making/farm.h"
#include "tuning_db/workers/run_folder.h"

using namespace bittern;
using namespace bittern::tuning;

namespace {

struct Emulated {
  const char *target, *cpu;
};
constexpr Emulated kProcessors[] = {{"aarch64-neon", "cortex-a72"},
                                    {"aarch64-dotprod", "neoverse-n1"},
                                    {"aarch64-i8mm", "max,sve=off"},
                                    {"aarch64-sve2", "max,sve-default-vector-length=32"}};

std::string worker_on(const char *cpu) {
  const char *build = std::getenv("BITTERN_AARCH64");
  const std::string worker =
      (build ? build : BITTERN_TEST_DATA "/../../build-aarch64") + std::string("/bin/bitnet-worker");
  REQUIRE_MESSAGE(std::filesystem::exists(worker), worker << " is not built: cmake --preset aarch64, then build it");
  return std::string("qemu-aarch64 -cpu ") + cpu + " -L /usr/aarch64-linux-gnu " + worker;
}

// The schedules to prove: of each template and layout, `each` from the whole of its legal space.
std::vector<std::string> chosen(const std::vector<schedules::Point> &points, size_t each) {
  std::map<std::string, std::vector<std::string>> families;
  for (const schedules::Point &point : points)
    if (point.illegal.empty())
      families[point.schedule.backend + point.schedule.template_name + point.schedule.layout].push_back(
          schedules::print_schedule(point.schedule));
  std::vector<std::string> all;
  size_t turn = 0;  // another place of the space for every family
  for (const auto &[family, schedules] : families)
    for (size_t i = 0; i < std::min(each, schedules.size()); ++i)
      all.push_back(schedules[(i * schedules.size() / each + 7919 * ++turn) % schedules.size()]);
  return all;
}

void prove_target(const Emulated &processor) {
  const char *wanted = std::getenv("BITTERN_PROOF");
  const size_t each = wanted != nullptr && std::string(wanted) == "full" ? 3 : 1;
  const schedules::Target &target = schedules::find_target(processor.target);
  const std::string runner = worker_on(processor.cpu);
  const Machine machine = Runner(runner).machine();
  CHECK(machine.emulated);
  REQUIRE_MESSAGE((target.isa_needs & ~machine.fingerprint.isa) == 0,
                  "qemu's " << std::string(processor.cpu) << " lacks something");
  // The widest that it runs is this target: it is really the oldest processor that has the instructions.
  CHECK(schedules::host_target(machine.fingerprint.isa).name == target.name);
  const test::ScratchFolder base;
  const RunFolder folder(base.root());
  Farm farm(test_worker(), runtime::machine_cores(), folder.path(), MakeLimits{60, 300, 60000}, nullptr, runner);
  int proved = 0, tried = 0;
  for (const std::string &name : compiler::builtin_kernel_names()) {
    const compiler::KernelSpec &spec = compiler::builtin_kernel(name);
    const Problem problem = make_problem(spec, test::common_sizes(spec), 33, 1, target.name);
    const std::vector<compiler::Sizes> sizes = test::MatrixSizes(spec).quick();
    std::vector<Order> orders;
    for (const std::string &schedule : chosen(schedules::enumerate(spec, problem.sizes(), target), each)) {
      Order order;
      order.problem = problem;
      order.schedule = schedule;
      order.proof_sizes = sizes;
      order.symbol = "emulated_" + std::to_string(tried++);
      orders.push_back(order);
    }
    CHECK_MESSAGE(!orders.empty(), name << " on " << target.name << " has no legal schedule");
    const std::vector<Made> all = farm.make(orders);
    for (size_t i = 0; i < orders.size(); ++i) {
      CHECK_MESSAGE(all[i].good(),
                    name << " on " << target.name << " as " << orders[i].schedule << ": " << all[i].why());
      proved += all[i].proof ? 1 : 0;
      if (!all[i].library.empty()) std::filesystem::remove(all[i].library);
    }
  }
  MESSAGE(proved << " of " << tried << " schedules for " << target.name << " proved under qemu as "
                 << std::string(processor.cpu));
  CHECK(proved == tried);
}

}  // namespace

TEST_CASE("every AArch64 target has a processor to be proved on") {
  for (const schedules::Target &target : schedules::targets()) {
    if (target.architecture != "aarch64") continue;
    CHECK_MESSAGE(std::any_of(std::begin(kProcessors), std::end(kProcessors),
                              [&](const Emulated &processor) { return target.name == processor.target; }),
                  target.name);
  }
}

TEST_CASE("kernels for aarch64-neon") { prove_target(kProcessors[0]); }
TEST_CASE("kernels for aarch64-dotprod") { prove_target(kProcessors[1]); }
TEST_CASE("kernels for aarch64-i8mm") { prove_target(kProcessors[2]); }
TEST_CASE("kernels for aarch64-sve2") { prove_target(kProcessors[3]); }

TEST_CASE("an emulator proves but does not time") {
  const std::string runner = worker_on("cortex-a72");
  CHECK_THROWS_WITH_AS(Runner(runner).time(TimeRequest(), 1, 1),
                       ("runner '" + runner + "': is an emulator, and its times mean nothing").c_str(), RunnerFailure);
}
