// Candidates that crash, hang, exit or talk nonsense are rejected with the reason, and the next candidate is served.
#include "tuning_db/making/farm.h"

#include <dlfcn.h>
#include <elf.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "codegen/backend.h"
#include "compiler/library.h"
#include "compiler/parser.h"
#include "runtime/abi/kernel_abi.h"
#include "schedules/space.h"
#include "tests/proof/worker_process.h"
#include "tests/scratch_folder.h"
#include "tuning_db/records/sqlite_store.h"
#include "tuning_db/search/companions.h"
#include "tuning_db/workers/run_folder.h"

using namespace bittern;
using namespace bittern::tuning;

namespace {

struct Bench {
  test::ScratchFolder base;
  RunFolder folder{base.root()};
  MakeLimits limits{60, 60, 1000};
  Farm farm{test_worker(), 1, folder.path(), limits, nullptr};
  Problem problem = make_problem(compiler::builtin_kernel("w2a8_matmul"), {{"N", 33}, {"K", 130}}, 1, 1, "x86-64");

  Order order(const std::string &symbol) const {
    Order order;
    order.problem = problem;
    order.fixed = problem.fixed;
    order.symbol = symbol;
    const auto points = schedules::enumerate(compiler::parse_kernel(problem.spec_text, "kernel"), problem.sizes(),
                                             schedules::find_target(problem.target));
    for (const schedules::Point &point : points)
      if (point.illegal.empty()) {
        order.schedule = schedules::print_schedule(point.schedule);
        break;
      }
    return order;
  }
  Made make(const Order &order) { return farm.make({order}).front(); }
};

// A shared object with other first instructions of its kernel.
std::string patched(const std::string &from, const std::string &code) {
  void *library = dlopen(from.c_str(), RTLD_NOW | RTLD_LOCAL);
  REQUIRE(library != nullptr);
  const auto *pack = static_cast<const bt_pack *>(dlsym(library, "bt_pack_table"));
  REQUIRE(pack != nullptr);
  auto *entry = reinterpret_cast<void *>(pack->kernels[0]->fn);
  Dl_info info{};
  REQUIRE(dladdr(entry, &info) != 0);
  const auto address = static_cast<uint64_t>(static_cast<char *>(entry) - static_cast<char *>(info.dli_fbase));
  dlclose(library);
  std::ifstream in(from, std::ios::binary);
  std::string image((std::istreambuf_iterator<char>(in)), {});
  Elf64_Ehdr header;
  std::memcpy(&header, image.data(), sizeof header);
  for (int i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    std::memcpy(&segment, image.data() + header.e_phoff + static_cast<size_t>(i) * sizeof segment, sizeof segment);
    if (segment.p_type == PT_LOAD && address >= segment.p_vaddr && address < segment.p_vaddr + segment.p_filesz)
      image.replace(address - segment.p_vaddr + segment.p_offset, code.size(), code);
  }
  return image;
}

std::string bytes(std::initializer_list<int> values) {
  std::string text;
  for (int value : values) text += static_cast<char>(value);
  return text;
}

}  // namespace

TEST_CASE("a right candidate is compiled, linked and proved") {
  Bench bench;
  const Made made = bench.make(bench.order("right"));
  CHECK_MESSAGE(made.good(), made.why());
  REQUIRE(made.proof);
  CHECK(made.proof->id.size() == 16);
  CHECK(std::filesystem::exists(made.library));
  REQUIRE(made.code);
  CHECK(made.code->sha256.size() == 64);
}

TEST_CASE("what is known is not made again, and a proof that must come out again does") {
  Bench bench;
  Order order = bench.order("known");
  const Made first = bench.make(order);
  REQUIRE(first.good());
  order.code = first.code;
  order.proof = Proof{"0123456789abcdef", {}, ""};
  order.code->compile_ms = 12345;
  const Made kept = bench.make(order);
  CHECK(kept.code->compile_ms == 12345);
  CHECK(kept.proof->id == "0123456789abcdef");
  order.prove = Prove::Again;
  const Made other = bench.make(order);
  REQUIRE(other.rejection);
  CHECK(other.rejection->kind == RejectionKind::WrongResult);
  CHECK(other.why() == "proof " + first.proof->id + " is not the stored 0123456789abcdef");
  order.proof = first.proof;
  CHECK(bench.make(order).good());
  order.prove = Prove::No;
  order.proof.reset();
  const Made unproved = bench.make(order);
  CHECK(unproved.good());
  CHECK_FALSE(unproved.proof);
}

TEST_CASE("kernels that are linked together get the proofs that they get alone") {
  Bench bench;
  std::vector<Order> orders = {bench.order("first"), bench.order("second")};
  orders[1].problem = make_problem(compiler::builtin_kernel("w2a8_matmul"), {{"N", 33}, {"K", 130}}, 8, 1, "x86-64");
  const std::vector<Made> alone = bench.farm.make(orders);
  const std::vector<Made> together = bench.farm.make_together(orders, [&](const std::vector<Made> &made) {
    Farm::Linked linked{bench.folder.path() + "/both.so", {1, 0}};
    std::vector<std::string> objects;
    for (const Made &one : made) objects.insert(objects.end(), one.code->objects.begin(), one.code->objects.end());
    objects.push_back(codegen::emit_pack_table(
        {{made[1].code->descriptor, "candidate", 0, 0}, {made[0].code->descriptor, "candidate", 0, 0}}, "bt_pack_table",
        schedules::find_target("x86-64")));
    codegen::link_shared(objects, {"bt_pack_table"}, linked.library);
    return linked;
  });
  for (size_t i = 0; i < orders.size(); ++i) {
    REQUIRE_MESSAGE(together[i].good(), together[i].why());
    CHECK(together[i].proof->id == alone[i].proof->id);
  }
  CHECK(alone[0].proof->id != alone[1].proof->id);
  // One that does not compile keeps all from being linked.
  orders[0].schedule = "llvm.nonsense{rows=4}";
  const std::vector<Made> broken = bench.farm.make_together(orders, [](const std::vector<Made> &) -> Farm::Linked {
    FAIL("linked");
    return {};
  });
  CHECK(broken[0].rejection);
  CHECK_FALSE(broken[1].rejection);
}

TEST_CASE("machine code that misbehaves is a rejected candidate of the right kind, never a dead tuner") {
  Bench bench;
  const Made good = bench.make(bench.order("good"));
  REQUIRE(good.good());
  struct Case {
    const char *name, *reason;
    RejectionKind kind;
    std::string code;
  };
  const Case cases[] = {{"crash", "memory fault", RejectionKind::Crash,
                         bytes({0x31, 0xc0, 0xc6, 0x00, 0x00})},  // xor eax,eax; mov byte [rax],0
                        {"illegal", "illegal instruction", RejectionKind::Crash, bytes({0x0f, 0x0b})},  // ud2
                        {"hang", "hang", RejectionKind::Timeout, bytes({0xeb, 0xfe})},                  // jmp to itself
                        {"nothing", "the reference says", RejectionKind::WrongResult, bytes({0xc3})},   // ret
                        {"leaves", "exit with status 0", RejectionKind::Crash,                          // exit_group(0)
                         bytes({0xb8, 0xe7, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05})},
                        {"garbage", "garbled answer", RejectionKind::Crash,  // write(3, "x\n", 2); ret
                         bytes({0xb8, 1, 0, 0,    0, 0xbf, 3, 0, 0,    0,    0x48, 0x8d, 0x35, 8,
                                0,    0, 0, 0xba, 2, 0,    0, 0, 0x0f, 0x05, 0xc3, 'x',  '\n'})}};
  for (const Case &bad : cases) {
    CAPTURE(bad.name);
    Order order = bench.order(bad.name);
    order.code = good.code;
    order.code->library = patched(good.library, bad.code);
    const Made made = bench.make(order);
    CHECK(made.reached);
    REQUIRE(made.rejection);
    CAPTURE(made.why());
    CHECK(made.why().find(bad.reason) != std::string::npos);
    CHECK(made.rejection->kind == bad.kind);
    CHECK(made.rejection->candidate == order.schedule);
    CHECK_FALSE(made.proof);
  }
  const Made again = bench.make(bench.order("again"));
  CHECK_MESSAGE(again.good(), again.why());
  CHECK(again.proof->reference == good.proof->reference);
}

TEST_CASE("what is under way when the time ends is given up, and nobody is blamed") {
  Bench bench;
  const Made good = bench.make(bench.order("good"));
  REQUIRE(good.good());
  const RunFolder folder(bench.base.path("patient"));
  Farm patient(test_worker(), 1, folder.path(), {60, 60, 60000}, nullptr);  // lets a call run for a minute
  Order hangs = bench.order("hangs"), next = bench.order("next");
  hangs.code = good.code;
  hangs.code->library = patched(good.library, bytes({0xeb, 0xfe}));
  const auto start = Farm::Clock::now();
  std::vector<bool> finished;
  const std::vector<Made> made = patient.make({hangs, next}, start + std::chrono::milliseconds(1500),
                                              [&](size_t, Made &one) { finished.push_back(one.reached); });
  CHECK(Farm::Clock::now() - start < std::chrono::seconds(30));
  for (const Made &one : made) {
    CHECK_FALSE(one.reached);
    CHECK_FALSE(one.rejection);
  }
  CHECK(std::find(finished.begin(), finished.end(), true) == finished.end());
  CHECK(patient.make({next}).front().good());  // in time again
}

TEST_CASE("a reason says what was running") {
  Bench bench;
  const Made good = bench.make(bench.order("good"));
  Order order = bench.order("bad");
  order.code = good.code;
  order.code->library = patched(good.library, bytes({0x0f, 0x0b}));
  const std::string why = bench.make(order).why();
  CHECK(why.find("input set 'random'") != std::string::npos);
  CHECK(why.find("K=130") != std::string::npos);
}

TEST_CASE("a kernel that dies while it is timed is named by its place, whatever its schedule is called") {
  Bench bench;
  const Made good = bench.make(bench.order("good"));
  const std::string bad = bench.folder.path() + "/bad.so";
  std::ofstream(bad, std::ios::binary) << patched(good.library, bytes({0x0f, 0x0b}));
  TimeRequest request;
  request.spec = bench.problem.spec_text;
  request.sizes = bench.problem.sizes();
  request.libraries = {good.library, bad};
  request.block_us = 10;
  request.cold_bytes = 1 << 16;
  request.call_ms = 1000;
  Worker worker(test_worker());
  try {
    worker.call(request, 60);
    FAIL("it was timed");
  } catch (const WorkerFailure &failure) {
    CHECK(failure.kind == RejectionKind::Crash);
    CHECK(failure.kernel == 1);
  }
  request.libraries.pop_back();
  CHECK(worker.call(request, 60).samples.size() == 1);
}

TEST_CASE("a schedule that does not exist, and one that is illegal, are rejected with the compiler's words") {
  Bench bench;
  Order order = bench.order("odd");
  order.schedule = "llvm.nonsense{rows=4}";
  CHECK(bench.make(order).rejection.value().kind == RejectionKind::CompileError);
  order.schedule = "not a schedule";
  CHECK(bench.make(order).rejection.value().kind == RejectionKind::IllegalSchedule);
}

TEST_CASE("kernels of a text that nobody has seen are proved like any other") {
  Bench bench;
  const compiler::KernelSpec spec = compiler::parse_kernel(R"(kernel clamped(M, N, K) {
  in W : ternary[N, K]
  in b : f32[N]
  in A : i8[M, K] pad 64
  in inv : f32[M]
  out Y : f32[M, N]
  acc[m, n] = sum(k: K) i32(W[n, k]) * i32(A[m, k])
  Y[m, n] = min(max(f32(acc[m, n]) * inv[m] + b[n], -6.0), 6.0)
})",
                                                           "clamped");
  bench.problem = make_problem(spec, {{"N", 37}, {"K", 200}}, 3, 1, "x86-64");
  const Made made = bench.make(bench.order("clamped"));
  CHECK_MESSAGE(made.good(), made.why());
  CHECK(made.proof);
}

TEST_CASE("a request that is not one is an error, and the worker lives on") {
  Worker worker(test_worker());
  for (const char *line : {"", "nonsense", "[]", R"({"op": "compile"})", R"({"op": "no such", "seq": 1, "limit": 0})",
                           R"({"op": "compile", "seq": 1, "limit": 0, "spec": 3})"}) {
    CAPTURE(line);
    const IncomingAnswer answer = worker.exchange(std::string(line) + "\n", 20);
    REQUIRE(answer.failure);
    CHECK(answer.failure->kind == RejectionKind::BadRequest);
    CHECK_FALSE(answer.failure->error.empty());
    CHECK(worker.restarts() == 0);
  }
  std::atomic<bool> cancel{true};
  Worker cancelled(test_worker(), &cancel);
  CHECK_THROWS_AS(cancelled.call(CompileRequest(), 20), Interrupted);
}

TEST_CASE("a layout that programs carry no kernels for brings proved ones for every number of tokens") {
  Bench bench;
  SqliteStore store(bench.base.path("test.sqlite"));
  TunerOptions options;
  options.threads = {1, 3};
  options.build = "test";
  const KernelWork work{"matmul", compiler::builtin_kernel("w2a8_matmul"), {{"N", 33}, {"K", 130}}, {1}};
  const schedules::Target &target = schedules::find_target("x86-64");
  for (const char *layout : {"t5r5", "tl2r64"}) {
    CAPTURE(layout);
    const std::vector<Outcome> found =
        companions(store, bench.farm, work, target, layout, options, Farm::kNoDeadline).value();
    for (const int threads : {1, 3})
      for (const int64_t m : {1, 2, 3, 16, 17, 100000})
        CHECK(std::count_if(found.begin(), found.end(), [&](const Outcome &o) {
                return o.problem.threads == threads && o.problem.m_min <= m && m <= o.problem.m_max &&
                       o.layout == layout && o.proof.passed && !o.object.objects.empty();
              }) == 1);
    // What is known is neither compiled nor proved again.
    const std::vector<Outcome> again =
        companions(store, bench.farm, work, target, layout, options, Farm::kNoDeadline).value();
    REQUIRE(again.size() == found.size());
    for (size_t i = 0; i < found.size(); ++i) {
      CHECK(again[i].object.id == found[i].object.id);
      CHECK(again[i].proof.proof_id == found[i].proof.proof_id);
    }
  }
  CHECK(companions(store, bench.farm, work, target, "i2q32", options, Farm::kNoDeadline)->empty());
  CHECK_FALSE(companions(store, bench.farm, {"matmul", work.spec, {{"N", 35}, {"K", 130}}, {1}}, target, "t5r5",
                         options, Farm::Clock::now() - std::chrono::seconds(1)));
}
