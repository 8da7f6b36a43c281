// Proofs and times through a runner: an honest one gives what this machine gives, and one that fails, hangs or lies
// ends the run with an error that says which runner and what was wrong.
#include "tuning_db/workers/runner.h"

#include <doctest/doctest.h>

#include <fstream>

#include "compiler/library.h"
#include "schedules/template.h"
#include "tests/proof/worker_process.h"
#include "tests/scratch_folder.h"
#include "tuning_db/making/farm.h"
#include "tuning_db/workers/run_folder.h"

using namespace bittern;
using namespace bittern::tuning;

namespace {

const std::string kWorker = BITTERN_BIN "/bitnet-worker";

std::string liar(const std::string &mode) {
  return "python3 " BITTERN_TEST_DATA "/../proof/lying_runner.py " + mode + " " + kWorker;
}

// One kernel, compiled and proved here, and what a proof elsewhere must say.
struct Bench {
  test::ScratchFolder base;
  RunFolder folder{base.root()};
  Problem problem = make_problem(compiler::builtin_kernel("w2a8_matmul"), {{"N", 33}, {"K", 130}}, 1, 1, "x86-64");
  Order order;
  Made made;
  ProveRequest request;
  ProveAnswer expected;

  Bench() {
    const schedules::Target &target = schedules::find_target("x86-64");
    order.problem = problem;
    order.fixed = problem.fixed;
    order.symbol = "kernel";
    order.schedule = schedules::print_schedule(
        schedules::defaults(compiler::builtin_kernel("w2a8_matmul"), target).front().schedule);
    made = Farm(test_worker(), 1, folder.path(), {60, 60, 1000}, nullptr).make({order}).front();
    REQUIRE_MESSAGE(made.good(), made.why());
    request.question = {problem.spec_text, made.code->sha256, problem.sizes(), {}, 1, folder.path()};
    request.library = made.library;
    request.call_ms = 1000;
    Worker worker(test_worker());
    expected = worker.call(ExpectRequest{request.question, made.code->descriptor}, 60);
  }

  TimeRequest timing(bool roof) const {
    return {problem.spec_text,
            problem.sizes(),
            1,
            {made.library, made.library},
            3,
            100.0,
            0,
            0,
            1 << 16,
            roof,
            false,
            1000};
  }
};

// What a runner's failure says, or "" when it does not fail.
template <typename Action>
std::string failure(Action action) {
  try {
    action();
  } catch (const RunnerFailure &error) {
    return error.what();
  }
  return "";
}

struct Case {
  const char *mode, *says;
};

}  // namespace

TEST_CASE("an honest runner proves and times as this machine does") {
  const Bench bench;
  CHECK(bench.expected.id == bench.made.proof->id);
  CHECK(bench.expected.reference == bench.made.proof->reference);
  for (const std::string &command : {kWorker, liar("honest")}) {
    Runner runner(command);
    CHECK(runner.machine().fingerprint.id() == this_machine().fingerprint.id());
    CHECK_FALSE(runner.machine().emulated);
    CHECK(runner.prove(bench.request, bench.expected, 60).id == bench.made.proof->id);
    const TimeAnswer times = runner.time(bench.timing(true), 33 * 130, 60);
    CHECK(times.samples.size() == 3);
    CHECK(times.read_gb_s.size() == 3);
  }
}

TEST_CASE("a farm proves through a runner, and what crashes there is a rejected candidate") {
  const Bench bench;
  Farm farm(test_worker(), 1, bench.folder.path(), {60, 60, 1000}, nullptr, kWorker);
  Order good = bench.order, bad = bench.order;
  good.code = bad.code = bench.made.code;
  good.symbol = "good";
  bad.symbol = "bad";
  bad.code->library.resize(bad.code->library.size() / 2);
  const std::vector<Made> made = farm.make({bad, good});
  REQUIRE(made[0].rejection);
  CHECK(made[0].rejection->kind != RejectionKind::WrongResult);
  CHECK_MESSAGE(made[1].good(), made[1].why());
  CHECK(made[1].proof->id == bench.made.proof->id);
}

TEST_CASE("a runner that fails, hangs or lies ends the run and says how") {
  const Bench bench;
  const RunnerLimits limits{2, 2};
  const Case proofs[] = {
      {"fails", "exit with status 3: no route to host"},
      {"hangs", "no answer after 2 s"},
      {"garbles", "garbled answer"},
      {"other-answer", "answers another request"},
      {"other-version", "is of bittern 9.9.9"},
      {"other-protocol", "speaks protocol 99"},
      {"false-fingerprint", "claims a fingerprint that is not that of the processor"},
      {"no-cores", "claims 0 cores"},
      {"no-isa", "does not describe its machine: field \"isa\" is missing"},
      {"wrong-hash", "with another hash than it was sent"},
      {"wrong-steps", "runs where there are"},
      {"wrong-inputs", "over other inputs"},
      {"wrong-reference", "against other reference outputs"},
      {"other-kernel", "claims a proof of another kernel"},
      {"no-reason", "gives no reason"},
      {"no-verdict", "incomplete answer to \"prove\": field \"passed\" is missing"},
      {"more-words", "incomplete answer to \"prove\": field \"note\" is not known"},
      {"dies-at-proof", "exit with status 255: connection reset"},
  };
  for (const Case &lie : proofs) {
    CAPTURE(lie.mode);
    Runner runner(liar(lie.mode), nullptr, limits);
    const std::string said = failure([&] { runner.prove(bench.request, bench.expected, 2); });
    CHECK_MESSAGE(said.find(lie.says) != std::string::npos, said);
    CHECK_MESSAGE(said.find("runner 'python3 ") == 0, said);
  }
  const Case times[] = {
      {"emulated", "is an emulator, and its times mean nothing"},
      {"too-fast", "which no machine reaches"},
      {"negative", "which no machine reaches"},
      {"too-slow", "and answered after"},
      {"few-rounds", "gives 2 rounds of times where 3"},
      {"few-kernels", "gives 1 times for 2 kernels"},
      {"no-roof", "gives 0 samples of read_gb_s"},
      {"no-times", "incomplete answer to \"time\""},
  };
  for (const Case &lie : times) {
    CAPTURE(lie.mode);
    Runner runner(liar(lie.mode), nullptr, limits);
    const std::string said =
        failure([&] { runner.time(bench.timing(lie.mode == std::string("no-roof")), 33 * 130, 20); });
    CHECK_MESSAGE(said.find(lie.says) != std::string::npos, said);
  }
}

TEST_CASE("a runner's failure is not the candidate's") {
  const Bench bench;
  Farm farm(test_worker(), 1, bench.folder.path(), {60, 60, 1000}, nullptr, liar("other-kernel"));
  Order order = bench.order;
  order.code = bench.made.code;
  CHECK_THROWS_AS(farm.make({order}), RunnerFailure);
}
