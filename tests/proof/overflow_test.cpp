// A schedule whose int16 sums are too long is refused three times: by legality, when code is made, and, if that is
// forced, by the proof. Each alone would do.
#include <set>
#include <string>
#include <vector>

#include "codegen/backend.h"
#include "compiler/error.h"
#include "compiler/library.h"
#include "runtime/machine/machine.h"
#include "schedules/space.h"
#include "schedules/template.h"
#include "schedules/ternary_facts.h"
#include "tests/proof/worker_process.h"
#include "tests/scratch_folder.h"
#include "tuning_db/making/farm.h"
#include "tuning_db/proof/problem.h"
#include "tuning_db/workers/run_folder.h"

using namespace bittern;
using namespace bittern::tuning;

namespace {

struct TooLong {
  const char *schedule, *fitting;  // the same with as many products or sums as fit
  bool int16_products;             // only where products are summed in int16
  int64_t k;                       // that the long chunk is met once
  const char *reason;
};

constexpr TooLong kTooLong[] = {
    // Fields at four times their value are at most 8: with 16 units a lane takes 64 products, 8 units are what fits.
    {"llvm.gemv{layout=i2q32,rows=4,tokens=1,chunk=16,unroll=1,prefetch=0,hint=1,scaled=1}",
     "llvm.gemv{layout=i2q32,rows=4,tokens=1,chunk=8,unroll=1,prefetch=0,hint=1,scaled=1}", true, 512,
     "chunk=16: 64 products"},
    // Codes are at most 2, and a lane takes two products a unit.
    {"llvm.base3{layout=t5r20,units=2,tokens=1,chunk=128,prefetch=0,hint=1}",
     "llvm.base3{layout=t5r20,units=2,tokens=1,chunk=64,prefetch=0,hint=1}", true, 4096, "chunk=128: 256 products"},
    {"llvm.base3{layout=u16x10r10,units=1,tokens=1,chunk=128,prefetch=0,hint=1}",
     "llvm.base3{layout=u16x10r10,units=1,tokens=1,chunk=64,prefetch=0,hint=1}", true, 4096, "chunk=128: 256 products"},
    // Sums of three activations are at most 385: 85 of them fit.
    {"llvm.lut{layout=tl2r64,units=2,tokens=1,split=0,chunk=120,prefetch=0,hint=1}",
     "llvm.lut{layout=tl2r64,units=2,tokens=1,split=0,chunk=80,prefetch=0,hint=1}", false, 384,
     "chunk=120: 120 products"},
};

std::string refusal(const codegen::Request &request) {
  try {
    codegen::compile(request);
  } catch (const Error &error) {
    return error.what();
  }
  return "compiled";
}

}  // namespace

TEST_CASE("int16 sums that are too long are refused by legality, by code generation and by the proof") {
  const compiler::KernelSpec &spec = compiler::builtin_kernel("w2a8_matmul");
  const test::ScratchFolder base;
  const RunFolder folder(base.root());
  Farm farm(test_worker(), 1, folder.path(), MakeLimits{60, 60, 5000}, nullptr);
  for (const TooLong &row : kTooLong) {
    const compiler::Sizes sizes = {{"M", 1}, {"N", 64}, {"K", row.k}};
    const schedules::Schedule schedule = schedules::parse_schedule(row.schedule);
    int targets = 0;
    for (const schedules::Target &target : schedules::targets()) {
      if (row.int16_products && schedules::ternary_facts(target).int16_products != 2)
        continue;  // others have room for these sums
      ++targets;
      CAPTURE(target.name);
      CAPTURE(row.schedule);
      const std::string illegal = schedules::illegal(spec, sizes, schedule, target).value_or("legal");
      CHECK_MESSAGE(illegal.starts_with(row.reason), illegal);
      const std::string refused = refusal({spec, schedule, target, sizes, 1, 1, "too_long"});
      CHECK(refused == "llvm." + schedule.template_name + ": " + illegal);

      const Problem problem = make_problem(spec, {{"N", 64}, {"K", row.k}}, 1, 1, target.name);
      std::vector<Order> orders(2);
      for (Order &order : orders) {
        order.problem = problem;
        order.unchecked = true;
        order.proof_sizes = {sizes};
        if ((target.isa_needs & ~runtime::machine_isa()) != 0)
          order.meanings_on = schedules::host_target(runtime::machine_isa()).name;
      }
      orders[0].schedule = row.schedule;
      orders[0].symbol = "too_long";
      orders[1].schedule = row.fitting;
      orders[1].symbol = "short_enough";
      const std::vector<Made> made = farm.make(orders);
      REQUIRE(made[0].rejection);
      CHECK(made[0].rejection->kind == RejectionKind::WrongResult);
      CHECK_MESSAGE(made[0].why().find("the reference says") != std::string::npos, made[0].why());
      CHECK_MESSAGE(made[1].good(), made[1].why());
      CHECK(made[1].proof);
      // Without being forced, the farm says of what kind the fault is.
      orders.pop_back();
      orders[0].unchecked = false;
      orders[0].fixed = sizes;
      const Made refused_order = farm.make(orders).front();
      REQUIRE(refused_order.rejection);
      CHECK(refused_order.rejection->kind == RejectionKind::IllegalSchedule);
      CHECK(refused_order.rejection->candidate == row.schedule);
    }
    CHECK(targets >= 3);
  }
}

TEST_CASE("int32 sums that are too long are refused by legality and by code generation, whatever the template") {
  const compiler::KernelSpec &spec = compiler::builtin_kernel("w2a8_matmul");
  const schedules::Target &target = schedules::find_target("x86-64-avx512vnni");
  // The text's own sum just fits; no schedule's, whose codes are 0 .. 2 or more, does.
  const compiler::Sizes sizes = {{"M", 16}, {"N", 64}, {"K", (int64_t{1} << 24) - 64}};
  std::set<std::string> bounded, refused;
  for (const schedules::Template &row : schedules::templates())
    if (row.overflow && row.applies(spec, target)) bounded.insert(row.backend + "." + row.name);
  for (const schedules::Point &point : schedules::enumerate(spec, {{"M", 16}, {"N", 64}, {"K", 2560}}, target)) {
    const std::string name = point.schedule.backend + "." + point.schedule.template_name;
    if (!point.illegal.empty() || !bounded.contains(name) || !refused.insert(name).second) continue;
    CAPTURE(schedules::print_schedule(point.schedule));
    const std::string illegal = schedules::illegal(spec, sizes, point.schedule, target).value_or("legal");
    CHECK_MESSAGE(illegal.find("int32 accumulator") != std::string::npos, illegal);
    CHECK(refusal({spec, point.schedule, target, sizes, 1, 16, "too_deep"}) == name + ": " + illegal);
  }
  CHECK(refused == bounded);
  CHECK(refused.size() >= 6);
}
