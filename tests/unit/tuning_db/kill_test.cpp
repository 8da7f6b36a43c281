// Twenty kills (SIGKILL) of a tuner at random moments: no committed sample is lost, the database stays sound, and the
// next run goes on from there to the end.
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <thread>

#include "runtime/machine/machine.h"
#include "tests/proof/worker_process.h"
#include "tests/scratch_folder.h"
#include "tuning_db/commands/commands.h"
#include "tuning_db/records/sqlite_store.h"

extern char **environ;

using namespace bittern;
using namespace bittern::tuning;

namespace {

TuneCommand small_tune() {
  TuneCommand tune;
  const char *patience = std::getenv("BITTERN_TEST_PATIENCE");
  tune.work.shapes = "96x256,64x384";
  tune.work.batch = {1, 8};
  tune.threads = {1};
  tune.patience = patience ? patience : "quick";
  tune.time_limit = 600;  // what is tried is counted, however busy the machine is
  tune.quiet = true;
  tune.json = true;
  tune.worker = test_worker();
  return tune;
}

pid_t start_tuner(const std::string &cache) {
  setenv("BITTERN_CACHE", cache.c_str(), 1);
  const char *argv[] = {"test", "--test-case=tuner", "--no-skip", nullptr};
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 1, "/dev/null", 1, 0);
  pid_t child = -1;
  REQUIRE(posix_spawn(&child, "/proc/self/exe", &files, nullptr, const_cast<char **>(argv), environ) == 0);
  posix_spawn_file_actions_destroy(&files);
  return child;
}

std::vector<Sample> all_samples(const std::string &path) {
  SqliteStore store(path);  // checks the file's integrity too
  Ids problems;
  for (int64_t machine : store.machines())
    for (const StoredProblem &problem : store.problems(machine)) problems.push_back(problem.id);
  return store.samples(problems);
}

bool starts_with(const std::vector<Sample> &all, const std::vector<Sample> &start) {
  const auto same = [](const Sample &a, const Sample &b) {
    return a.candidate == b.candidate && a.object == b.object && a.run == b.run && a.round == b.round && a.us == b.us;
  };
  return all.size() >= start.size() && std::equal(start.begin(), start.end(), all.begin(), same);
}

}  // namespace

TEST_CASE("tuner" * doctest::skip()) { std::_Exit(run_tune(small_tune(), nullptr)); }

TEST_CASE("twenty kills lose nothing that was committed, and the tuner goes on") {
  const test::ScratchFolder folder;
  const std::filesystem::path cache = folder.root();
  const std::string path = cache / "tuning.sqlite";
  std::mt19937 random(20);
  std::vector<Sample> before;
  int with_samples = 0;
  setenv("BITTERN_TEST_PATIENCE", "normal", 1);  // enough work for all twenty
  for (int kill_number = 0; kill_number < 20; ++kill_number) {
    const pid_t child = start_tuner(cache);
    // Every other run is killed while it starts, compiles or proves; the others once they have begun to measure.
    const int wait = 50 + static_cast<int>(random() % 700);
    if (kill_number % 2 == 1)
      for (int i = 0; i < 600 && (!std::filesystem::exists(path) || all_samples(path).size() == before.size()); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    std::this_thread::sleep_for(std::chrono::milliseconds(wait));
    // What is committed now must be there afterwards.
    std::vector<Sample> committed = before;
    if (std::filesystem::exists(path)) committed = all_samples(path);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    const std::vector<Sample> after = std::filesystem::exists(path) ? all_samples(path) : std::vector<Sample>{};
    CAPTURE(kill_number);
    CHECK(starts_with(committed, before));
    CHECK(starts_with(after, committed));
    with_samples += after.size() > before.size();
    before = after;
  }
  unsetenv("BITTERN_TEST_PATIENCE");
  CHECK(with_samples > 0);
  MESSAGE("samples after twenty kills: " << before.size() << ", runs that added some: " << with_samples);

  const pid_t child = start_tuner(cache);
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  const std::vector<Sample> finished = all_samples(path);
  CHECK(starts_with(finished, before));
  CHECK(finished.size() > before.size());

  // Run once more: there is nothing left to measure.
  const pid_t again = start_tuner(cache);
  waitpid(again, &status, 0);
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(all_samples(path).size() == finished.size());
  // What killed runs left lying about is gone.
  size_t left = 0;
  for (const auto &entry : std::filesystem::directory_iterator(cache / "tuning")) left += entry.is_directory();
  CHECK(left == 0);
}
