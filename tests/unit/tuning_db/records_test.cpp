// The tuning database: what is written comes back, batches are atomic, and files that are not ours stay untouched.
#include "tuning_db/records/records.h"

#include <doctest/doctest.h>
#include <sqlite3.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/scratch_folder.h"

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
  p.spec_text = "kernel";
  p.fixed = {{"N", 64}, {"K", 128}};
  p.m = 8;
  p.m_min = 5;
  p.m_max = 8;
  p.threads = threads;
  p.target = "x86-64-avx2";
  return p;
}

std::string slurp(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string message_of(const std::string &path) {
  try {
    Records records(path);
  } catch (const Error &error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("everything written comes back after reopening") {
  const bittern::test::ScratchFolder folder;
  int64_t id = 0, candidate = 0;
  {
    Records records(folder.path("t.sqlite"));
    const int64_t machine = records.machine(fingerprint(), 2, 1 << 20);
    CHECK(records.machine(fingerprint(), 4, 1 << 21) == machine);
    id = records.problem(machine, problem());
    CHECK(records.problem(machine, problem()) == id);
    CHECK(records.problem(machine, problem(1)) != id);
    CandidateRecord a, b;
    a.schedule = "llvm.gemv{rows=4}";
    a.prior = 2;
    b.schedule = "halide.gemv{rows=2}";
    b.status = Status::Rejected;
    b.reason = "int16 overflows";
    b.prior = 1;
    records.add_candidates(id, {a, b});
    records.add_candidates(id, {a});
    const auto stored = records.candidates(id);
    REQUIRE(stored.size() == 2);
    CHECK(stored[0].schedule == b.schedule);
    CHECK(stored[0].status == Status::Rejected);
    CHECK(stored[0].reason == b.reason);
    CHECK(stored[1].status == Status::Untried);
    candidate = stored[1].id;

    ObjectRecord object;
    object.objects = {std::string("\0\1elf", 5), "second"};
    object.sha256 = sha256_hex(object.objects[0] + object.objects[1]);
    object.library = "linked";
    object.descriptor = "{}";
    object.compile_ms = 12.5;
    const int64_t object_id = records.add_object("key", object);
    records.set_object(candidate, object_id);
    const int64_t proof_id =
        records.add_proof(object_id, "{\"M\":8}", {0, "0123456789abcdef", "[\"random\"]", "ref", true, ""});
    records.set_proof(candidate, proof_id);
    records.set_status(candidate, Status::Proved, "build");
    const int64_t run = records.new_run();
    CHECK(records.new_run() == run + 1);
    records.add_samples(id, {{candidate, object_id, run, 0, 81.5}, {candidate, object_id, run, 1, 80.25}},
                        {{run, 0, "read_gb_s", 27.5}});
    records.set_winner({id, candidate, 80.5, 100, 1.24, 91, 27.5, 400, false, "quick", ""});
  }
  Records records(folder.path("t.sqlite"));
  CHECK(records.problems(records.machine(fingerprint(), 4, 1 << 21)).front().second.key() == problem().key());
  const auto object = records.find_object("key");
  REQUIRE(object);
  CHECK(object->objects[0] == std::string("\0\1elf", 5));
  CHECK(object->objects[1] == "second");
  CHECK(object->library == "linked");
  REQUIRE(records.find_proof(object->id, "{\"M\":8}"));
  CHECK(records.find_proof(object->id, "{\"M\":8}")->proof_id == "0123456789abcdef");
  CHECK_FALSE(records.find_proof(object->id, "{\"M\":9}"));
  REQUIRE(records.samples(id).size() == 2);
  CHECK(records.samples(id)[1].us == 80.25);
  CHECK(records.roofs(id)[0].value == 27.5);
  REQUIRE(records.winner(id));
  CHECK(records.winner(id)->speedup == 1.24);
  CHECK(records.candidates(id)[1].status == Status::Proved);
  CHECK((std::filesystem::status(folder.path("t.sqlite")).permissions() & std::filesystem::perms::others_all) ==
        std::filesystem::perms::none);
}

TEST_CASE("a batch of samples is stored whole or not at all") {
  const bittern::test::ScratchFolder folder;
  Records records(folder.path("t.sqlite"));
  const int64_t id = records.problem(records.machine(fingerprint(), 2, 1), problem());
  CandidateRecord candidate;
  candidate.schedule = "s";
  records.add_candidates(id, {candidate});
  const int64_t good = records.candidates(id)[0].id;
  ObjectRecord code;
  code.objects = {"code"};
  code.sha256 = sha256_hex("code");
  const int64_t object = records.add_object("key", code);
  CHECK_THROWS_AS(records.add_samples(id, {{good, object, 1, 0, 5}, {good + 1000, object, 1, 0, 6}}, {}), Error);
  CHECK(records.samples(id).empty());
}

TEST_CASE("an object whose bytes changed is refused") {
  const bittern::test::ScratchFolder folder;
  Records records(folder.path("t.sqlite"));
  ObjectRecord object;
  object.objects = {"code"};
  object.sha256 = sha256_hex("code");
  const int64_t id = records.add_object("k", object);
  records.database().execute("UPDATE object_parts SET bytes = x'00'");
  CHECK_THROWS_AS(records.object(id), Error);
}

TEST_CASE("foreign and damaged files give one error that names them, and stay as they are") {
  const bittern::test::ScratchFolder folder;
  const std::string foreign = folder.path("foreign.sqlite");
  {
    Database database(foreign);
    database.execute("CREATE TABLE songs(title)");
  }
  const std::string before = slurp(foreign);
  CHECK(message_of(foreign).find(foreign) != std::string::npos);
  CHECK(message_of(foreign).find("not a Bittern") != std::string::npos);
  CHECK(slurp(foreign) == before);

  const std::string text = folder.path("text.sqlite");
  std::ofstream(text) << std::string(5000, 'x');
  CHECK(message_of(text).find(text) != std::string::npos);
  CHECK(slurp(text) == std::string(5000, 'x'));

  const std::string newer = folder.path("newer.sqlite");
  {
    Records records(newer);
    records.database().execute("PRAGMA user_version = 99");
  }
  CHECK(message_of(newer).find("newer") != std::string::npos);
  CHECK(message_of("/nonexistent/folder/t.sqlite").find("cannot open") != std::string::npos);
}

TEST_CASE("a damaged page is found before anything is written") {
  const bittern::test::ScratchFolder folder;
  const std::string path = folder.path("t.sqlite");
  {
    Records records(path);
    const int64_t id = records.problem(records.machine(fingerprint(), 2, 1), problem());
    std::vector<CandidateRecord> many(500);
    for (size_t i = 0; i < many.size(); ++i) many[i].schedule = "schedule number " + std::to_string(i);
    records.add_candidates(id, many);
    records.database().execute("PRAGMA wal_checkpoint(TRUNCATE)");
  }
  const auto size = static_cast<std::streamoff>(std::filesystem::file_size(path));
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(size / 2);
    file << std::string(4096, '\xee');
  }
  const std::string before = slurp(path);
  const std::string message = message_of(path);
  CHECK(message.find(path) != std::string::npos);
  CHECK(slurp(path) == before);
}

TEST_CASE("the default database is set aside and kept, one that the user named is not touched") {
  const bittern::test::ScratchFolder folder;
  const std::string path = folder.path("tuning.sqlite");
  std::ofstream(path) << std::string(3000, 'y');
  std::string warning;
  CHECK_THROWS_AS(open_records(path, false, warning), Error);
  CHECK(slurp(path) == std::string(3000, 'y'));
  const auto records = open_records(path, true, warning);
  CHECK(warning.find(path) != std::string::npos);
  CHECK(slurp(path + ".aside-1") == std::string(3000, 'y'));
  CHECK(records->database().integer("PRAGMA user_version") == kSchemaVersion);
}
