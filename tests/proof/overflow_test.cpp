// A schedule whose int16 sums are too long is refused three times: by legality, when code is made, and, if that is
// forced, by the proof. Each alone would do.
#include <string>
#include <vector>

#include "codegen/backend.h"
#include "compiler/error.h"
#include "compiler/library.h"
#include "runtime/machine/machine.h"
#include "schedules/space.h"
#include "tests/proof/worker_process.h"
#include "tests/scratch_folder.h"
#include "tuning_db/farm.h"
#include "tuning_db/problem.h"
#include "tuning_db/run_folder.h"

using namespace bittern;
using namespace bittern::tuning;

namespace {

// Fields at four times their value are at most 8: with 16 units a lane takes 64 products, 8 units are what fits.
constexpr const char *kTooLong = "llvm.gemv{layout=i2q32,rows=4,tokens=1,chunk=16,unroll=1,prefetch=0,hint=1,scaled=1}";

}  // namespace

TEST_CASE("int16 sums that are too long are refused by legality, by code generation and by the proof") {
  const compiler::KernelSpec &spec = compiler::builtin_kernel("w2a8_matmul");
  const compiler::Sizes sizes = {{"M", 1}, {"N", 64}, {"K", 512}};
  const schedules::Schedule schedule = schedules::parse_schedule(kTooLong);
  const test::ScratchFolder base;
  const RunFolder folder(base.root());
  Farm farm(test_worker(), 1, folder.path(), FarmLimits{60, 60, 5000}, nullptr);
  int targets = 0;
  for (const schedules::Target &target : schedules::targets()) {
    if (target.int16_products != 2) continue;  // others have room for these sums
    ++targets;
    CAPTURE(target.name);
    const std::string illegal = schedules::illegal(spec, sizes, schedule, target).value_or("legal");
    CHECK_MESSAGE(illegal.find("chunk=16: 64 products") != std::string::npos, illegal);

    std::string refused;
    try {
      codegen::compile({spec, schedule, target, sizes, 1, 1, "too_long"});
    } catch (const Error &error) {
      refused = error.what();
    }
    CHECK_MESSAGE(refused.find("chunk=16: 64 products") != std::string::npos, refused);

    const Problem problem = make_problem(spec, {{"N", 64}, {"K", 512}}, 1, 1, target.name);
    std::vector<FarmJob> jobs(2);
    for (FarmJob &job : jobs) {
      job.problem = &problem;
      job.schedule = kTooLong;
      job.unchecked = true;
      job.proof_sizes = {sizes};
      if ((target.isa_needs & ~runtime::machine_isa()) != 0)
        job.meanings_on = schedules::host_target(runtime::machine_isa()).name;
    }
    jobs[0].symbol = "too_long";
    jobs[1].symbol = "short_enough";
    jobs[1].schedule.replace(jobs[1].schedule.find("chunk=16"), 8, "chunk=8");
    farm.run(jobs, Farm::Clock::time_point::max(), [](FarmJob &) {});
    CHECK_MESSAGE(jobs[0].rejected.find("the reference says") != std::string::npos, jobs[0].rejected);
    CHECK_MESSAGE(jobs[1].rejected.empty(), jobs[1].rejected);
    CHECK(jobs[1].proof.passed);
  }
  CHECK(targets >= 3);
}
