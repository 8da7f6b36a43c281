// Candidates that crash, hang, exit or talk nonsense are rejected with the reason, and the next candidate is served.
#include "tuning_db/making/farm.h"

#include <dlfcn.h>
#include <elf.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

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

constexpr auto kNoDeadline = Farm::Clock::time_point::max();

struct Bench {
  test::ScratchFolder base;
  RunFolder folder{base.root()};
  FarmLimits limits{60, 60, 1000};
  Farm farm{test_worker(), 1, folder.path(), limits, nullptr};
  Problem problem = make_problem(compiler::builtin_kernel("w2a8_matmul"), {{"N", 33}, {"K", 130}}, 1, 1, "x86-64");

  FarmJob job(const std::string &symbol) const {
    FarmJob job;
    job.problem = &problem;
    job.compiled = problem.fixed;
    job.symbol = symbol;
    const auto points = schedules::enumerate(compiler::parse_kernel(problem.spec_text, "kernel"), problem.sizes(),
                                             schedules::find_target(problem.target));
    for (const schedules::Point &point : points)
      if (point.illegal.empty()) {
        job.schedule = schedules::print_schedule(point.schedule);
        break;
      }
    return job;
  }
  void run(FarmJob &job) {
    std::vector<FarmJob> jobs = {job};
    farm.run(jobs, kNoDeadline, [](FarmJob &) {});
    job = jobs.front();
  }
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
  FarmJob job = bench.job("right");
  bench.run(job);
  CHECK_MESSAGE(job.rejected.empty(), job.rejected);
  CHECK(job.done);
  CHECK(job.proof.passed);
  CHECK(job.proof.proof_id.size() == 16);
  CHECK(std::filesystem::exists(job.library));
  CHECK(job.object.sha256.size() == 64);
}

TEST_CASE("machine code that misbehaves is a rejected candidate, never a dead tuner") {
  Bench bench;
  FarmJob good = bench.job("good");
  bench.run(good);
  REQUIRE(good.rejected.empty());
  struct Case {
    const char *name, *reason;
    std::string code;
  };
  const Case cases[] = {
      {"crash", "memory fault", bytes({0x31, 0xc0, 0xc6, 0x00, 0x00})},  // xor eax,eax; mov byte [rax],0
      {"illegal", "illegal instruction", bytes({0x0f, 0x0b})},           // ud2
      {"hang", "hang", bytes({0xeb, 0xfe})},                             // jmp to itself
      {"nothing", "the reference says", bytes({0xc3})},                  // ret
      {"leaves", "exit with status 0",                                   // exit_group(0)
       bytes({0xb8, 0xe7, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05})},
      {"garbage", "garbled answer",  // write(3, "x\n", 2); ret
       bytes({0xb8, 1, 0, 0,    0, 0xbf, 3, 0, 0,    0,    0x48, 0x8d, 0x35, 8,
              0,    0, 0, 0xba, 2, 0,    0, 0, 0x0f, 0x05, 0xc3, 'x',  '\n'})}};
  for (const Case &bad : cases) {
    CAPTURE(bad.name);
    FarmJob job = bench.job(bad.name);
    job.object = good.object;
    job.object.library = patched(good.library, bad.code);
    bench.run(job);
    CAPTURE(job.rejected);
    CHECK(job.done);
    CHECK(job.rejected.find(bad.reason) != std::string::npos);
    CHECK_FALSE(job.proof.passed);
  }
  FarmJob again = bench.job("again");
  bench.run(again);
  CHECK_MESSAGE(again.rejected.empty(), again.rejected);
  CHECK(again.proof.reference == good.proof.reference);
}

TEST_CASE("a reason says what was running") {
  Bench bench;
  FarmJob good = bench.job("good");
  bench.run(good);
  FarmJob job = bench.job("bad");
  job.object = good.object;
  job.object.library = patched(good.library, bytes({0x0f, 0x0b}));
  bench.run(job);
  CHECK(job.rejected.find("input set 'random'") != std::string::npos);
  CHECK(job.rejected.find("K=130") != std::string::npos);
}

TEST_CASE("a schedule that does not exist, and one that is illegal, are rejected with the compiler's words") {
  Bench bench;
  FarmJob job = bench.job("odd");
  job.schedule = "llvm.nonsense{rows=4}";
  bench.run(job);
  CHECK(job.done);
  CHECK_FALSE(job.rejected.empty());
  FarmJob text = bench.job("text");
  text.schedule = "not a schedule";
  bench.run(text);
  CHECK_FALSE(text.rejected.empty());
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
  FarmJob job = bench.job("clamped");
  bench.run(job);
  CHECK_MESSAGE(job.rejected.empty(), job.rejected);
  CHECK(job.proof.passed);
}

TEST_CASE("a worker ends when its parent goes away") {
  Worker worker(test_worker());
  CHECK_THROWS_AS(worker.call({{"op", "no such thing"}}, 20), Error);
  CHECK(worker.restarts() == 0);
  CHECK_THROWS_AS(worker.call({{"op", "compile"}}, 20), Error);  // incomplete: an error, not a crash
  CHECK(worker.restarts() == 0);
  std::atomic<bool> cancel{true};
  Worker cancelled(test_worker(), &cancel);
  CHECK_THROWS_AS(cancelled.call({{"op", "compile"}}, 20), Interrupted);
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
    const std::vector<Outcome> found = companions(store, bench.farm, work, target, layout, options);
    for (const int threads : {1, 3})
      for (const int64_t m : {1, 2, 3, 16, 17, 100000})
        CHECK(std::count_if(found.begin(), found.end(), [&](const Outcome &o) {
                return o.problem.threads == threads && o.problem.m_min <= m && m <= o.problem.m_max &&
                       o.layout == layout && o.proof.passed && !o.object.objects.empty();
              }) == 1);
    // What is known is neither compiled nor proved again.
    const std::vector<Outcome> again = companions(store, bench.farm, work, target, layout, options);
    REQUIRE(again.size() == found.size());
    for (size_t i = 0; i < found.size(); ++i) {
      CHECK(again[i].object.id == found[i].object.id);
      CHECK(again[i].proof.proof_id == found[i].proof.proof_id);
    }
  }
  CHECK(companions(store, bench.farm, work, target, "i2q32", options).empty());
}
