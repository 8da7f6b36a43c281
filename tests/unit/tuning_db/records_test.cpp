// The tuning database: what is written comes back, batches are atomic, two writers share it, damaged records are left
// out and repaired, older schemas are taken over, and files that are not ours stay untouched.
#include <doctest/doctest.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/scratch_folder.h"
#include "tuning_db/records/open_store.h"
#include "tuning_db/records/schema.h"
#include "tuning_db/records/sqlite_store.h"
#include "tuning_db/records/stored_winners.h"

using namespace bittern::tuning;
using bittern::Error;

namespace {

bittern::runtime::Fingerprint fingerprint() {
  bittern::runtime::Fingerprint f;
  f.vendor = "TestVendor";
  f.brand = "Test";
  f.family = 6;
  f.generator = "bittern test";
  return f;
}

Problem problem(int threads = 2) {
  Problem p;
  p.spec_name = "w2a8_matmul";
  p.spec_hash = "abc";
  p.spec_text =
      "kernel w2a8_matmul(M, N, K) { in W : ternary[N, K] in A : i8[M, K] pad 64 out Y : i32[M, N] "
      "Y[m, n] = sum(k: K) i32(W[n, k]) * i32(A[m, k]) }";
  p.tokens = "M";
  p.fixed = {{"N", 64}, {"K", 128}};
  p.m = 8;
  p.m_min = 5;
  p.m_max = 8;
  p.threads = threads;
  p.target = "x86-64-avx2";
  return p;
}

CandidateRecord candidate(int64_t problem, const std::string &schedule, double prior = 0) {
  CandidateRecord c;
  c.problem = problem;
  c.schedule = schedule;
  c.prior = prior;
  return c;
}

ObjectRecord object(const std::string &first = std::string("\0\1elf", 5)) {
  ObjectRecord object;
  object.objects = {first, "second"};
  object.sha256 = sha256_hex(object.objects[0] + object.objects[1]);
  object.library = "linked " + first;
  object.descriptor = "{}";
  object.compile_ms = 12.5;
  return object;
}

ProofRecord proof() { return {0, "0123456789abcdef", "[\"random\"]", std::string(64, 'a'), true, ""}; }

WinnerRecord winner(int64_t problem, int64_t candidate) {
  WinnerRecord w;
  w.problem = problem;
  w.candidate = candidate;
  return w;
}

const CodeKey kKey{"key", "{\"M\":8}"};

std::string slurp(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// What a test does to a database behind the store's back.
void execute(const std::string &path, const std::string &sql) {
  Database database(path);
  database.execute(sql);
}

int64_t integer(const std::string &path, const std::string &sql) {
  Database database(path);
  return database.integer(sql);
}

std::string message_of(const std::string &path, bool is_default = false) {
  std::string notice;
  try {
    open_store(path, is_default, notice);
  } catch (const Error &error) {
    return error.what();
  }
  return "";
}

bool contains(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("everything written comes back after reopening") {
  const bittern::test::ScratchFolder folder;
  int64_t id = 0, won = 0;
  {
    SqliteStore store(folder.path("t.sqlite"));
    const int64_t machine = store.add_machine(fingerprint(), 2, 1 << 20);
    CHECK(store.add_machine(fingerprint(), 4, 1 << 21) == machine);
    CHECK(store.find_machine(fingerprint().id()) == machine);
    CHECK_FALSE(store.find_machine("another"));
    const Ids ids = store.add_problems(machine, {problem(), problem(1)});
    id = ids[0];
    CHECK(ids[1] != id);
    CHECK(store.add_problems(machine, {problem(1), problem()}) == Ids{ids[1], ids[0]});
    CandidateRecord a = candidate(id, "llvm.gemv{rows=4}", 2), b = candidate(id, "halide.gemv{rows=2}", 1);
    b.status = Status::Rejected;
    b.reason = "int16 overflows";
    store.add_candidates({a, b, candidate(ids[1], "llvm.gemv{rows=4}", 5)});
    store.add_candidates({a});
    const auto stored = store.candidates({id});
    REQUIRE(stored.size() == 2);
    CHECK(stored[0].schedule == b.schedule);
    CHECK(stored[0].status == Status::Rejected);
    CHECK(stored[0].reason == b.reason);
    CHECK(stored[1].status == Status::Untried);
    CHECK(store.candidates(ids).size() == 3);
    CHECK(store.candidates(ids).back().problem == ids[1]);
    won = stored[1].id;

    const StoredCode code = store.add_code(kKey, {object(), proof()});
    store.update_candidates({{won, Status::Proved, "build", "", code.object.id, code.proof.id}});
    store.update_candidates({{won, Status::Timed, "build", "", 0, 0}});  // keeps object and proof
    const int64_t run = store.new_run();
    CHECK(store.new_run() == run + 1);
    store.add_samples(id,
                      {{won, code.object.id, run, 0, 81.5, false, id}, {won, code.object.id, run, 1, 80.25, true, id}},
                      {{run, 0, "read_gb_s", 27.5, true, id}});
    store.set_winners({{id, won, 80.5, 100, 1.24, 91, 27.5, 400, false, "quick", "", "busy"}});
  }
  SqliteStore store(folder.path("t.sqlite"));
  const int64_t machine = store.find_machine(fingerprint().id()).value();
  CHECK(store.problems(machine).front().problem.key() == problem().key());
  const auto code = store.find_code({kKey, {"other", "{}"}});
  REQUIRE(code.size() == 1);
  CHECK(code.at("key").object.objects == object().objects);
  CHECK(code.at("key").object.library == object().library);
  CHECK(code.at("key").proof.proof_id == "0123456789abcdef");
  CHECK(store.find_code({{"key", "{\"M\":9}"}}).at("key").proof.id == 0);
  const auto samples = store.samples({id});
  REQUIRE(samples.size() == 2);
  CHECK(samples[1].us == 80.25);
  CHECK(samples[1].disturbed);
  CHECK_FALSE(samples[0].disturbed);
  CHECK(store.sample_counts({id, id + 1}) == std::map<int64_t, size_t>{{id, 2}});
  CHECK(store.roofs({id})[0].value == 27.5);
  CHECK(store.roofs({id})[0].disturbed);
  const auto winners = stored_winners(store, machine);
  REQUIRE(winners.size() == 1);
  CHECK(winners[0].winner.speedup == 1.24);
  CHECK(winners[0].winner.note == "busy");
  CHECK(winners[0].candidate.status == Status::Timed);
  CHECK(winners[0].object.sha256 == object().sha256);
  CHECK(winners[0].proof.passed);
  CHECK(stored_winners(store, machine, [](const Problem &p) { return p.threads == 1; }).empty());
  CHECK((std::filesystem::status(folder.path("t.sqlite")).permissions() & std::filesystem::perms::others_all) ==
        std::filesystem::perms::none);
}

TEST_CASE("a batch of samples is stored whole or not at all") {
  const bittern::test::ScratchFolder folder;
  SqliteStore store(folder.path("t.sqlite"));
  const int64_t id = store.add_problems(store.add_machine(fingerprint(), 2, 1), {problem()})[0];
  store.add_candidates({candidate(id, "s")});
  const int64_t good = store.candidates({id})[0].id, code = store.add_code(kKey, {object(), {}}).object.id;
  CHECK_THROWS_AS(store.add_samples(id, {{good, code, 1, 0, 5}, {good + 1000, code, 1, 0, 6}}, {}), Error);
  CHECK(store.samples({id}).empty());
}

TEST_CASE("two tuners find what the other has added, whoever comes first") {
  const bittern::test::ScratchFolder folder;
  const std::string path = folder.path("t.sqlite");
  std::vector<std::thread> tuners;
  std::vector<std::string> faults(3);
  for (size_t t = 0; t < faults.size(); ++t)
    tuners.emplace_back([&, t] {
      try {
        std::string notice;
        const auto store = open_store(path, false, notice);
        const int64_t id = store->add_problems(store->add_machine(fingerprint(), 2, 1), {problem()})[0];
        for (int i = 0; i < 40; ++i) {
          const std::string name = std::to_string(i);
          store->add_candidates({candidate(id, name, i)});
          // The same code from both, and of every fourth key other bytes from each.
          const ObjectRecord made = object(i % 4 == 0 ? name + " by " + std::to_string(t) : name);
          const StoredCode code = store->add_code({name, "{}"}, {made, proof()});
          const CandidateRecord row = store->candidates({id}).at(static_cast<size_t>(i));
          store->update_candidates({{row.id, Status::Proved, "build", "", code.object.id, code.proof.id}});
          store->add_samples(id, {{row.id, code.object.id, store->new_run(), 0, 1.0, false, id}}, {});
          store->set_winners({winner(id, row.id)});
        }
      } catch (const std::exception &error) {
        faults[t] = error.what();
      }
    });
  for (std::thread &tuner : tuners) tuner.join();
  for (const std::string &fault : faults) CHECK(fault == "");
  SqliteStore store(path);
  const int64_t id = store.problems(store.machines().at(0)).at(0).id;
  CHECK(store.candidates({id}).size() == 40);
  CHECK(store.samples({id}).size() == 120);
  for (int i = 0; i < 40; ++i) {
    const std::string name = std::to_string(i);
    const auto code = store.find_code({{name, "{}"}});
    REQUIRE(code.count(name) == 1);
    CHECK(code.at(name).proof.passed);
  }
  CHECK(integer(path, "SELECT count(*) FROM objects") == 30 + 3 * 10);
}

namespace {

// A store with one winner, to be damaged.
struct OneWinner {
  bittern::test::ScratchFolder folder;
  std::string path = folder.path("t.sqlite");
  SqliteStore store{path};
  int64_t machine = store.add_machine(fingerprint(), 2, 1);
  Ids ids = store.add_problems(machine, {problem(), problem(1)});
  StoredCode code = store.add_code(kKey, {object(), proof()});

  OneWinner() {
    store.add_candidates({candidate(ids[0], "s")});
    const int64_t row = store.candidates({ids[0]})[0].id;
    store.update_candidates({{row, Status::Timed, "b", "", code.object.id, code.proof.id}});
    store.set_winners({winner(ids[0], row)});
  }
};

}  // namespace

TEST_CASE("damaged code is left out, and repaired when it is made again") {
  for (const char *damage : {"UPDATE object_parts SET bytes = x'00' WHERE part = 0", "DELETE FROM object_parts",
                             "UPDATE objects SET library = x'00'", "UPDATE objects SET descriptor = '{'"}) {
    CAPTURE(damage);
    OneWinner t;
    REQUIRE(t.store.find_code({kKey}).size() == 1);
    execute(t.path, damage);
    CHECK(t.store.find_code({kKey}).empty());
    CHECK(t.store.objects({t.code.object.id}).empty());
    CHECK(stored_winners(t.store, t.machine).at(0).object.id == 0);
    const StoredCode again = t.store.add_code(kKey, {object(), proof()});
    CHECK(again.object.id == t.code.object.id);
    REQUIRE(t.store.find_code({kKey}).size() == 1);
    CHECK(t.store.find_code({kKey}).at("key").object.objects == object().objects);
    CHECK(t.store.find_code({kKey}).at("key").proof.passed);
  }
}

TEST_CASE("a proof that shows nothing is none") {
  for (const char *damage : {"UPDATE proofs SET inputs = '[oops'", "UPDATE proofs SET reference = 'short'",
                             "UPDATE proofs SET proof_id = ''"}) {
    CAPTURE(damage);
    OneWinner t;
    execute(t.path, damage);
    CHECK(t.store.find_code({kKey}).at("key").proof.id == 0);
    CHECK(t.store.proofs({t.code.proof.id}).empty());
    CHECK_FALSE(stored_winners(t.store, t.machine).at(0).proof.passed);
    t.store.add_code(kKey, {t.store.find_code({kKey}).at("key").object, proof()});
    CHECK(t.store.find_code({kKey}).at("key").proof.passed);
  }
}

TEST_CASE("damaged problems and candidates are tried again") {
  OneWinner t;
  execute(t.path, "UPDATE problems SET fixed = '{\"N\": 64, ' WHERE threads = 2");
  CHECK(t.store.problems(t.machine).size() == 1);
  CHECK(t.store.add_problems(t.machine, {problem()}) == Ids{t.ids[0]});
  CHECK(t.store.problems(t.machine).size() == 2);
  CHECK(t.store.problems(t.machine)[0].problem.sizes() == problem().sizes());
  execute(t.path, "UPDATE problems SET spec_text = 'kernel w2a8_mat' WHERE threads = 2");
  CHECK(t.store.problems(t.machine).size() == 1);
  CHECK(t.store.add_problems(t.machine, {problem()}) == Ids{t.ids[0]});
  CHECK(t.store.problems(t.machine).size() == 2);
  execute(t.path, "UPDATE candidates SET status = 'won the lottery'");
  CHECK(t.store.candidates({t.ids[0]})[0].status == Status::Untried);
}

TEST_CASE("a database of version 0.2 is taken over with all that it holds") {
  const bittern::test::ScratchFolder folder;
  const std::string path = folder.path("old.sqlite");
  execute(path, slurp(BITTERN_TEST_DATA "/tuning_schema_1.sql"));
  std::string notice;
  {
    const auto store = open_store(path, false, notice);
    CHECK(contains(notice, "from schema 1"));
    CHECK(contains(notice, path));
    const auto winners = stored_winners(*store, store->find_machine("f00d").value());
    REQUIRE(winners.size() == 1);
    CHECK(winners[0].problem.key() == problem().key());
    CHECK(winners[0].winner.us_median == 80.5);
    CHECK(winners[0].winner.when == "2026-10-01 12:00:00");
    CHECK(winners[0].object.objects.size() == 2);
    CHECK(winners[0].object.library ==
          "\x7f"
          "ELF linked");
    CHECK(winners[0].proof.proof_id == "0123456789abcdef");
    const Ids ids = {store->problems(1).at(0).id};
    CHECK(store->candidates(ids).size() == 2);
    CHECK(store->samples(ids).size() == 2);
    CHECK_FALSE(store->samples(ids)[0].disturbed);
    CHECK(store->roofs(ids).size() == 1);
    // Other bytes under the same key now stand beside the old ones.
    CHECK(store->add_code({"key", "{}"}, {object(), {}}).object.id != winners[0].object.id);
    CHECK(store->new_run() == 2);
  }
  CHECK(integer(path, "PRAGMA user_version") == kSchemaVersion);
  notice.clear();
  open_store(path, false, notice);
  CHECK(notice.empty());
}

TEST_CASE("foreign and damaged files give one error that names them, and stay as they are") {
  const bittern::test::ScratchFolder folder;
  const std::string foreign = folder.path("foreign.sqlite");
  execute(foreign, "CREATE TABLE songs(title)");
  const std::string before = slurp(foreign);
  CHECK(contains(message_of(foreign), foreign));
  CHECK(contains(message_of(foreign), "not a Bittern"));
  CHECK(slurp(foreign) == before);

  const std::string text = folder.path("text.sqlite");
  std::ofstream(text) << std::string(5000, 'x');
  CHECK(contains(message_of(text), text));
  CHECK(slurp(text) == std::string(5000, 'x'));

  const std::string fewer = folder.path("fewer.sqlite");
  {
    SqliteStore store(fewer);
  }
  execute(fewer, "PRAGMA foreign_keys = OFF; DROP TABLE proofs");
  CHECK(contains(message_of(fewer), "9 of its 10 tables"));
  const std::string odd = folder.path("odd.sqlite");
  {
    SqliteStore store(odd);
  }
  execute(odd, "PRAGMA user_version = -1");
  CHECK(contains(message_of(odd), "schema -1"));
  CHECK(contains(message_of("/proc/t.sqlite"), "/proc/t.sqlite"));
  std::string notice;
  CHECK_THROWS_AS(open_existing_store(folder.path("nowhere.sqlite"), notice), Error);
  CHECK_THROWS_AS(open_existing_store("/nowhere", notice), Error);
  CHECK_FALSE(std::filesystem::exists(folder.path("nowhere.sqlite")));
}

TEST_CASE("a database of a newer version is left alone, the default one too") {
  const bittern::test::ScratchFolder folder;
  const std::string newer = folder.path("newer.sqlite");
  {
    SqliteStore store(newer);
  }
  execute(newer, "PRAGMA user_version = 99");
  for (const bool is_default : {false, true}) {
    CHECK(contains(message_of(newer, is_default), "newer"));
    CHECK(contains(message_of(newer, is_default), newer));
  }
  CHECK(integer(newer, "PRAGMA user_version") == 99);
  CHECK_FALSE(std::filesystem::exists(newer + ".aside-1"));
}

TEST_CASE("a damaged page is found before anything is written") {
  const bittern::test::ScratchFolder folder;
  const std::string path = folder.path("t.sqlite");
  {
    SqliteStore store(path);
    const int64_t id = store.add_problems(store.add_machine(fingerprint(), 2, 1), {problem()})[0];
    std::vector<CandidateRecord> many;
    for (int i = 0; i < 500; ++i) many.push_back(candidate(id, "schedule number " + std::to_string(i)));
    store.add_candidates(many);
  }
  execute(path, "PRAGMA wal_checkpoint(TRUNCATE)");
  const auto size = static_cast<std::streamoff>(std::filesystem::file_size(path));
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(size / 2);
    file << std::string(4096, '\xee');
  }
  const std::string before = slurp(path);
  CHECK(contains(message_of(path), path));
  CHECK(slurp(path) == before);
}

TEST_CASE("the default database is set aside and kept, one that the user named is not touched") {
  const bittern::test::ScratchFolder folder;
  const std::string path = folder.path("tuning.sqlite");
  std::ofstream(path) << std::string(3000, 'y');
  std::string notice;
  CHECK_THROWS_AS(open_store(path, false, notice), Error);
  CHECK(slurp(path) == std::string(3000, 'y'));
  {
    const auto store = open_store(path, true, notice);
  }
  CHECK(contains(notice, path));
  CHECK(slurp(path + ".aside-1") == std::string(3000, 'y'));
  CHECK(integer(path, "PRAGMA user_version") == kSchemaVersion);
}

TEST_CASE("a database that another user could have written is refused before it is opened") {
  const bittern::test::ScratchFolder folder;
  const std::string inner = folder.path("inner"), path = inner + "/t.sqlite";
  {
    std::string notice;
    const auto store = open_store(path, false, notice);
  }
  struct stat info{};
  REQUIRE(stat(inner.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0700);  // the folder was made for us alone
  CHECK(message_of(path) == "");
  const std::string before = slurp(path);
  const auto refused = [&](const char *why) {
    CAPTURE(why);
    for (const bool is_default : {false, true}) CHECK(contains(message_of(path, is_default), why));
    std::string notice;
    CHECK_THROWS_AS(open_existing_store(path, notice), Error);
    CHECK(slurp(path) == before);
    CHECK_FALSE(std::filesystem::exists(path + ".aside-1"));
  };
  chmod(path.c_str(), 0666);
  refused("writable by other users");
  chmod(path.c_str(), 0620);
  refused("writable by other users");
  chmod(path.c_str(), 0600);
  std::ofstream(path + "-journal") << "somebody else's changes";
  chmod((path + "-journal").c_str(), 0666);
  refused("t.sqlite-journal is writable");
  unlink((path + "-journal").c_str());
  chmod(inner.c_str(), 0770);
  CHECK(contains(message_of(path), "folder"));
  CHECK(contains(message_of(path), "writable by other users"));
  CHECK(message_of(path, true) == "");  // our own cache folder is closed instead
  REQUIRE(stat(inner.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0750);
  chmod(inner.c_str(), 01777);  // shared by all, as /tmp is: nobody can replace our file there
  CHECK(message_of(path) == "");
  chmod(inner.c_str(), 0700);
  if (geteuid() == 0) {
    REQUIRE(chown(path.c_str(), 12345, 12345) == 0);
    refused("belongs to another user");
    REQUIRE(chown(path.c_str(), 0, 0) == 0);
  }
  std::filesystem::rename(path, path + ".real");
  std::filesystem::create_symlink(path + ".real", path);
  CHECK(contains(message_of(path), "not a regular file"));
}
