#include "tuning_db/records/records.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "compiler/error.h"

namespace bittern::tuning {
namespace {

// Step i takes the schema from version i to i + 1; each runs once, in one transaction with its version number.
constexpr const char *kMigrations[] = {R"sql(
CREATE TABLE machines(
  id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE, vendor TEXT NOT NULL, brand TEXT NOT NULL,
  family INTEGER NOT NULL, model INTEGER NOT NULL, stepping INTEGER NOT NULL, isa INTEGER NOT NULL,
  generator TEXT NOT NULL, cores INTEGER NOT NULL, cache_bytes INTEGER NOT NULL) STRICT;
CREATE TABLE problems(
  id INTEGER PRIMARY KEY, machine INTEGER NOT NULL REFERENCES machines(id), key TEXT NOT NULL,
  spec TEXT NOT NULL, spec_hash TEXT NOT NULL, spec_text TEXT NOT NULL, fixed TEXT NOT NULL,
  m_min INTEGER NOT NULL, m_max INTEGER NOT NULL, m INTEGER NOT NULL, has_m INTEGER NOT NULL,
  threads INTEGER NOT NULL, target TEXT NOT NULL, UNIQUE(machine, key)) STRICT;
CREATE TABLE objects(
  id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, sha256 TEXT NOT NULL, descriptor TEXT NOT NULL,
  compile_ms REAL NOT NULL, library BLOB NOT NULL, library_sha256 TEXT NOT NULL) STRICT;
CREATE TABLE object_parts(
  object INTEGER NOT NULL REFERENCES objects(id), part INTEGER NOT NULL, bytes BLOB NOT NULL,
  PRIMARY KEY(object, part)) STRICT;
CREATE TABLE proofs(
  id INTEGER PRIMARY KEY, object INTEGER NOT NULL REFERENCES objects(id), sizes TEXT NOT NULL,
  proof_id TEXT NOT NULL, inputs TEXT NOT NULL, reference TEXT NOT NULL, passed INTEGER NOT NULL,
  reason TEXT NOT NULL, UNIQUE(object, sizes)) STRICT;
CREATE TABLE candidates(
  id INTEGER PRIMARY KEY, problem INTEGER NOT NULL REFERENCES problems(id), schedule TEXT NOT NULL,
  shipped_default INTEGER NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL, prior REAL NOT NULL,
  build TEXT NOT NULL, object INTEGER REFERENCES objects(id), proof INTEGER REFERENCES proofs(id),
  UNIQUE(problem, schedule, shipped_default)) STRICT;
CREATE TABLE samples(
  id INTEGER PRIMARY KEY, problem INTEGER NOT NULL REFERENCES problems(id),
  candidate INTEGER NOT NULL REFERENCES candidates(id), object INTEGER NOT NULL REFERENCES objects(id),
  run INTEGER NOT NULL, round INTEGER NOT NULL, us REAL NOT NULL) STRICT;
CREATE INDEX samples_by_problem ON samples(problem);
CREATE TABLE roofs(
  id INTEGER PRIMARY KEY, problem INTEGER NOT NULL REFERENCES problems(id), run INTEGER NOT NULL,
  round INTEGER NOT NULL, kind TEXT NOT NULL, value REAL NOT NULL) STRICT;
CREATE INDEX roofs_by_problem ON roofs(problem);
CREATE TABLE winners(
  problem INTEGER PRIMARY KEY REFERENCES problems(id), candidate INTEGER NOT NULL REFERENCES candidates(id),
  us_median REAL NOT NULL, default_us REAL NOT NULL, speedup REAL NOT NULL, roof_pct REAL NOT NULL,
  roof_read_gb_s REAL NOT NULL, roof_int8_gop_s REAL NOT NULL, tie INTEGER NOT NULL, patience TEXT NOT NULL,
  finished TEXT NOT NULL) STRICT;
CREATE TABLE runs(id INTEGER PRIMARY KEY AUTOINCREMENT, started TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP) STRICT;
)sql"};
static_assert(std::size(kMigrations) == kSchemaVersion);

constexpr std::array kStatusNames = {"untried", "compiled", "proved", "timed", "rejected"};

Status status_of(const std::string &name) {
  for (size_t i = 0; i < kStatusNames.size(); ++i)
    if (name == kStatusNames[i]) return static_cast<Status>(i);
  throw Error(fmt::format("tuning database: unknown candidate status '{}'", name));
}

std::string sizes_json(const compiler::Sizes &sizes) { return nlohmann::json(sizes).dump(); }

void check_identity(Database &database) {
  const int64_t application = database.integer("PRAGMA application_id");
  const int64_t version = database.integer("PRAGMA user_version");
  const int64_t tables = database.integer("SELECT count(*) FROM sqlite_master");
  if (application != kApplicationId && (application != 0 || tables != 0 || version != 0))
    throw UnusableDatabase(fmt::format("tuning database {}: not a Bittern tuning database (application id {:#x})",
                                       database.path(), application));
  if (version > kSchemaVersion)
    throw UnusableDatabase(
        fmt::format("tuning database {}: written by a newer Bittern (schema {}, this program knows {})",
                    database.path(), version, kSchemaVersion));
  if (const std::string verdict = database.text("PRAGMA quick_check(1)"); verdict != "ok")
    throw UnusableDatabase(fmt::format("tuning database {}: damaged: {}", database.path(), verdict));
}

void migrate(Database &database) {
  if (database.integer("PRAGMA user_version") == kSchemaVersion) return;
  Transaction transaction(database);
  // Read again under the lock: another tuner may have made the tables meanwhile.
  for (int64_t version = database.integer("PRAGMA user_version"); version < kSchemaVersion; ++version) {
    database.execute(kMigrations[version]);
    database.execute(fmt::format("PRAGMA user_version = {}", version + 1));
  }
  database.execute(fmt::format("PRAGMA application_id = {}", kApplicationId));
  transaction.commit();
}

}  // namespace

const char *status_name(Status status) { return kStatusNames[static_cast<size_t>(status)]; }

Records::Records(const std::string &path) : database_(path) {
  check_identity(database_);  // before the first write
  if (database_.text("PRAGMA journal_mode = WAL") != "wal") database_.fail("cannot use a write-ahead log");
  database_.execute("PRAGMA synchronous = NORMAL");
  database_.execute("PRAGMA foreign_keys = ON");
  migrate(database_);
  chmod(path.c_str(), 0600);
}

int64_t Records::machine(const runtime::Fingerprint &f, int cores, int64_t cache_bytes) {
  Statement(database_,
            "INSERT INTO machines(fingerprint, vendor, brand, family, model, stepping, isa, generator, cores, "
            "cache_bytes) VALUES(?,?,?,?,?,?,?,?,?,?) ON CONFLICT(fingerprint) DO UPDATE SET cores = excluded.cores, "
            "cache_bytes = excluded.cache_bytes")
      .bind(f.id())
      .bind(f.vendor)
      .bind(f.brand)
      .bind(int64_t{f.family})
      .bind(int64_t{f.model})
      .bind(int64_t{f.stepping})
      .bind(int64_t{f.isa})
      .bind(f.generator)
      .bind(int64_t{cores})
      .bind(cache_bytes)
      .run();
  Statement find(database_, "SELECT id FROM machines WHERE fingerprint = ?");
  find.bind(f.id()).step();
  return find.integer(0);
}

std::vector<int64_t> Records::machines() {
  std::vector<int64_t> ids;
  Statement find(database_, "SELECT id FROM machines ORDER BY id");
  while (find.step()) ids.push_back(find.integer(0));
  return ids;
}

int64_t Records::problem(int64_t machine, const Problem &p) {
  Statement(database_,
            "INSERT INTO problems(machine, key, spec, spec_hash, spec_text, fixed, m_min, m_max, m, has_m, threads, "
            "target) VALUES(?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT(machine, key) DO NOTHING")
      .bind(machine)
      .bind(p.key())
      .bind(p.spec_name)
      .bind(p.spec_hash)
      .bind(p.spec_text)
      .bind(sizes_json(p.fixed))
      .bind(p.m_min)
      .bind(p.m_max)
      .bind(p.m)
      .bind(int64_t{p.has_m})
      .bind(int64_t{p.threads})
      .bind(p.target)
      .run();
  Statement find(database_, "SELECT id FROM problems WHERE machine = ? AND key = ?");
  find.bind(machine).bind(p.key()).step();
  return find.integer(0);
}

std::vector<std::pair<int64_t, Problem>> Records::problems(int64_t machine) {
  Statement rows(database_,
                 "SELECT id, spec, spec_hash, spec_text, fixed, m_min, m_max, m, has_m, threads, target FROM problems "
                 "WHERE machine = ? ORDER BY id");
  rows.bind(machine);
  std::vector<std::pair<int64_t, Problem>> result;
  while (rows.step()) {
    Problem p;
    p.spec_name = rows.text(1);
    p.spec_hash = rows.text(2);
    p.spec_text = rows.text(3);
    p.fixed = nlohmann::json::parse(rows.text(4)).get<compiler::Sizes>();
    p.m_min = rows.integer(5);
    p.m_max = rows.integer(6);
    p.m = rows.integer(7);
    p.has_m = rows.integer(8) != 0;
    p.threads = static_cast<int>(rows.integer(9));
    p.target = rows.text(10);
    result.emplace_back(rows.integer(0), std::move(p));
  }
  return result;
}

void Records::add_candidates(int64_t problem, const std::vector<CandidateRecord> &candidates) {
  Transaction transaction(database_);
  Statement insert(database_,
                   "INSERT INTO candidates(problem, schedule, shipped_default, status, reason, prior, build) "
                   "VALUES(?,?,?,?,?,?,?) ON CONFLICT(problem, schedule, shipped_default) DO NOTHING");
  for (const CandidateRecord &c : candidates)
    insert.bind(problem)
        .bind(c.schedule)
        .bind(int64_t{c.shipped_default})
        .bind(status_name(c.status))
        .bind(c.reason)
        .bind(c.prior)
        .bind(c.build)
        .run();
  transaction.commit();
}

std::vector<CandidateRecord> Records::candidates(int64_t problem) {
  Statement rows(database_,
                 "SELECT id, schedule, shipped_default, status, reason, prior, object, proof, build FROM candidates "
                 "WHERE problem = ? ORDER BY prior, id");
  rows.bind(problem);
  std::vector<CandidateRecord> result;
  while (rows.step())
    result.push_back({rows.integer(0), rows.text(1), rows.integer(2) != 0, status_of(rows.text(3)), rows.text(4),
                      rows.real(5), rows.integer(6), rows.integer(7), rows.text(8)});
  return result;
}

void Records::set_status(int64_t candidate, Status status, const std::string &build, const std::string &reason) {
  Statement(database_, "UPDATE candidates SET status = ?, reason = ?, build = ? WHERE id = ?")
      .bind(status_name(status))
      .bind(reason)
      .bind(build)
      .bind(candidate)
      .run();
}

std::optional<ObjectRecord> Records::find_object(const std::string &key) {
  Statement find(database_, "SELECT id FROM objects WHERE key = ?");
  if (!find.bind(key).step()) return std::nullopt;
  return object(find.integer(0));
}

int64_t Records::add_object(const std::string &key, const ObjectRecord &object) {
  Transaction transaction(database_);
  Statement(database_,
            "INSERT INTO objects(key, sha256, descriptor, compile_ms, library, library_sha256) VALUES(?,?,?,?,?,?)")
      .bind(key)
      .bind(object.sha256)
      .bind(object.descriptor)
      .bind(object.compile_ms)
      .blob(object.library)
      .bind(sha256_hex(object.library))
      .run();
  const int64_t id = database_.last_row();
  Statement part(database_, "INSERT INTO object_parts(object, part, bytes) VALUES(?,?,?)");
  for (size_t i = 0; i < object.objects.size(); ++i)
    part.bind(id).bind(static_cast<int64_t>(i)).blob(object.objects[i]).run();
  transaction.commit();
  return id;
}

ObjectRecord Records::object(int64_t id) {
  Statement row(database_, "SELECT sha256, descriptor, compile_ms, library, library_sha256 FROM objects WHERE id = ?");
  if (!row.bind(id).step()) throw Error(fmt::format("tuning database {}: no object {}", path(), id));
  ObjectRecord result{id, row.text(0), {}, row.bytes(3), row.text(1), row.real(2)};
  Statement parts(database_, "SELECT bytes FROM object_parts WHERE object = ? ORDER BY part");
  parts.bind(id);
  std::string all;
  while (parts.step()) {
    result.objects.push_back(parts.bytes(0));
    all += result.objects.back();
  }
  if (sha256_hex(all) != result.sha256 || sha256_hex(result.library) != row.text(4))
    throw Error(fmt::format("tuning database {}: object {} does not match its SHA-256", path(), id));
  return result;
}

void Records::set_object(int64_t candidate, int64_t object) {
  Statement(database_, "UPDATE candidates SET object = ? WHERE id = ?").bind(object).bind(candidate).run();
}

std::optional<ProofRecord> Records::find_proof(int64_t object, const std::string &sizes) {
  Statement find(database_, "SELECT id FROM proofs WHERE object = ? AND sizes = ?");
  if (!find.bind(object).bind(sizes).step()) return std::nullopt;
  return proof(find.integer(0));
}

int64_t Records::add_proof(int64_t object, const std::string &sizes, const ProofRecord &proof) {
  Statement(database_,
            "INSERT INTO proofs(object, sizes, proof_id, inputs, reference, passed, reason) VALUES(?,?,?,?,?,?,?) "
            "ON CONFLICT(object, sizes) DO UPDATE SET proof_id = excluded.proof_id, inputs = excluded.inputs, "
            "reference = excluded.reference, passed = excluded.passed, reason = excluded.reason")
      .bind(object)
      .bind(sizes)
      .bind(proof.proof_id)
      .bind(proof.inputs)
      .bind(proof.reference)
      .bind(int64_t{proof.passed})
      .bind(proof.reason)
      .run();
  Statement find(database_, "SELECT id FROM proofs WHERE object = ? AND sizes = ?");
  find.bind(object).bind(sizes).step();
  return find.integer(0);
}

std::optional<ProofRecord> Records::proof(int64_t id) {
  Statement row(database_, "SELECT proof_id, inputs, reference, passed, reason FROM proofs WHERE id = ?");
  if (!row.bind(id).step()) return std::nullopt;
  return ProofRecord{id, row.text(0), row.text(1), row.text(2), row.integer(3) != 0, row.text(4)};
}

void Records::set_proof(int64_t candidate, int64_t proof) {
  Statement(database_, "UPDATE candidates SET proof = ? WHERE id = ?").bind(proof).bind(candidate).run();
}

int64_t Records::new_run() {
  database_.execute("INSERT INTO runs DEFAULT VALUES");
  return database_.last_row();
}

void Records::add_samples(int64_t problem, const std::vector<Sample> &samples, const std::vector<RoofSample> &roofs) {
  Transaction transaction(database_);
  Statement sample(database_, "INSERT INTO samples(problem, candidate, object, run, round, us) VALUES(?,?,?,?,?,?)");
  for (const Sample &s : samples)
    sample.bind(problem).bind(s.candidate).bind(s.object).bind(s.run).bind(s.round).bind(s.us).run();
  Statement roof(database_, "INSERT INTO roofs(problem, run, round, kind, value) VALUES(?,?,?,?,?)");
  for (const RoofSample &r : roofs) roof.bind(problem).bind(r.run).bind(r.round).bind(r.kind).bind(r.value).run();
  transaction.commit();
}

std::vector<Sample> Records::samples(int64_t problem) {
  Statement rows(database_, "SELECT candidate, object, run, round, us FROM samples WHERE problem = ? ORDER BY id");
  rows.bind(problem);
  std::vector<Sample> result;
  while (rows.step())
    result.push_back({rows.integer(0), rows.integer(1), rows.integer(2), rows.integer(3), rows.real(4)});
  return result;
}

std::vector<RoofSample> Records::roofs(int64_t problem) {
  Statement rows(database_, "SELECT run, round, kind, value FROM roofs WHERE problem = ? ORDER BY id");
  rows.bind(problem);
  std::vector<RoofSample> result;
  while (rows.step()) result.push_back({rows.integer(0), rows.integer(1), rows.text(2), rows.real(3)});
  return result;
}

void Records::set_winner(const WinnerRecord &w) {
  Statement(database_,
            "INSERT OR REPLACE INTO winners(problem, candidate, us_median, default_us, speedup, roof_pct, "
            "roof_read_gb_s, roof_int8_gop_s, tie, patience, finished) "
            "VALUES(?,?,?,?,?,?,?,?,?,?,CURRENT_TIMESTAMP)")
      .bind(w.problem)
      .bind(w.candidate)
      .bind(w.us_median)
      .bind(w.default_us)
      .bind(w.speedup)
      .bind(w.roof_pct)
      .bind(w.roof_read_gb_s)
      .bind(w.roof_int8_gop_s)
      .bind(int64_t{w.tie})
      .bind(w.patience)
      .run();
}

std::optional<WinnerRecord> Records::winner(int64_t problem) {
  Statement row(database_,
                "SELECT candidate, us_median, default_us, speedup, roof_pct, roof_read_gb_s, roof_int8_gop_s, tie, "
                "patience, finished FROM winners WHERE problem = ?");
  if (!row.bind(problem).step()) return std::nullopt;
  return WinnerRecord{problem,     row.integer(0), row.real(1),         row.real(2), row.real(3), row.real(4),
                      row.real(5), row.real(6),    row.integer(7) != 0, row.text(8), row.text(9)};
}

std::unique_ptr<Records> open_records(const std::string &path, bool is_default, std::string &warning) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  std::error_code failed;
  if (!folder.empty()) std::filesystem::create_directories(folder, failed);
  if (failed) throw Error(fmt::format("tuning database {}: cannot create its folder: {}", path, failed.message()));
  try {
    return std::make_unique<Records>(path);
  } catch (const UnusableDatabase &error) {
    if (!is_default) throw;  // a file the user named is never moved
    const std::string what = error.what();
    std::string aside;
    for (int i = 1; aside.empty() || std::filesystem::exists(aside); ++i) aside = fmt::format("{}.aside-{}", path, i);
    for (const char *suffix : {"", "-wal", "-shm"}) {
      std::filesystem::rename(path + suffix, aside + suffix, failed);
      if (failed && *suffix == 0)
        throw Error(fmt::format("{} (and it cannot be set aside: {})", what, failed.message()));
    }
    warning = fmt::format("{}; kept as {}, starting a fresh one", what, aside);
    return std::make_unique<Records>(path);
  }
}

}  // namespace bittern::tuning
