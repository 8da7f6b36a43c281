#include "tuning_db/records/sqlite_store.h"

#include <sys/stat.h>

#include <array>
#include <map>
#include <nlohmann/json.hpp>

#include "compiler/error.h"
#include "compiler/parser.h"
#include "tuning_db/records/schema.h"

namespace bittern::tuning {
namespace {

using nlohmann::json;

constexpr std::array kStatusNames = {"untried", "compiled", "proved", "timed", "rejected"};

// A status that nobody knows is a damaged row: the candidate is tried again.
Status status_of(const std::string &name) {
  for (size_t i = 0; i < kStatusNames.size(); ++i)
    if (name == kStatusNames[i]) return static_cast<Status>(i);
  return Status::Untried;
}

// The row of proofs that starts at `column`; none when it claims what it does not show.
ProofRecord proof_at(const Statement &row, int column) {
  ProofRecord proof{row.integer(column),  row.text(column + 1),         row.text(column + 2),
                    row.text(column + 3), row.integer(column + 4) != 0, row.text(column + 5)};
  const bool shown = proof.passed
                         ? proof.proof_id.size() == 16 && proof.reference.size() == 64 && json::accept(proof.inputs)
                         : !proof.reason.empty();
  return shown ? proof : ProofRecord{};
}

}  // namespace

const char *status_name(Status status) { return kStatusNames[static_cast<size_t>(status)]; }

SqliteStore::SqliteStore(const std::string &path) : database_(path) {
  check_identity(database_);  // before the first write
  if (database_.text("PRAGMA journal_mode = WAL") != "wal") database_.fail("cannot use a write-ahead log");
  database_.execute("PRAGMA synchronous = NORMAL");
  if (const int found = migrate(database_); found != kSchemaVersion) migrated_from_ = found;
  database_.execute("PRAGMA foreign_keys = ON");
  chmod(path.c_str(), 0600);
}

int64_t SqliteStore::add_machine(const runtime::Fingerprint &f, int cores, int64_t cache_bytes) {
  return Statement(database_,
                   "INSERT INTO machines(fingerprint, vendor, brand, family, model, stepping, isa, generator, cores, "
                   "cache_bytes) VALUES(?,?,?,?,?,?,?,?,?,?) ON CONFLICT(fingerprint) DO UPDATE SET "
                   "cores = excluded.cores, cache_bytes = excluded.cache_bytes RETURNING id")
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
      .run_returning();
}

std::optional<int64_t> SqliteStore::find_machine(const std::string &fingerprint) {
  Statement find(database_, "SELECT id FROM machines WHERE fingerprint = ?");
  if (!find.bind(fingerprint).step()) return std::nullopt;
  return find.integer(0);
}

Ids SqliteStore::machines() {
  Ids ids;
  Statement find(database_, "SELECT id FROM machines ORDER BY id");
  while (find.step()) ids.push_back(find.integer(0));
  return ids;
}

Ids SqliteStore::add_problems(int64_t machine, const std::vector<Problem> &problems) {
  Transaction transaction(database_);
  // The key says all the other columns: writing them again changes nothing, unless they were damaged.
  Statement add(
      database_,
      "INSERT INTO problems(machine, key, spec, spec_hash, spec_text, fixed, m_min, m_max, m, has_m, threads, "
      "target) VALUES(?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT(machine, key) DO UPDATE SET spec = excluded.spec, "
      "spec_hash = excluded.spec_hash, spec_text = excluded.spec_text, fixed = excluded.fixed, "
      "m_min = excluded.m_min, m_max = excluded.m_max, m = excluded.m, has_m = excluded.has_m, "
      "threads = excluded.threads, target = excluded.target RETURNING id");
  Ids ids;
  for (const Problem &p : problems)
    ids.push_back(add.bind(machine)
                      .bind(p.key())
                      .bind(p.spec_name)
                      .bind(p.spec_hash)
                      .bind(p.spec_text)
                      .bind(json(p.fixed).dump())
                      .bind(p.m_min)
                      .bind(p.m_max)
                      .bind(p.m)
                      .bind(int64_t{!p.tokens.empty()})
                      .bind(int64_t{p.threads})
                      .bind(p.target)
                      .run_returning());
  transaction.commit();
  return ids;
}

std::vector<StoredProblem> SqliteStore::problems(int64_t machine) {
  Statement rows(database_,
                 "SELECT id, spec, spec_hash, spec_text, fixed, m_min, m_max, m, has_m, threads, target, key "
                 "FROM problems WHERE machine = ? ORDER BY id");
  rows.bind(machine);
  std::vector<StoredProblem> result;
  std::map<std::string, compiler::KernelSpec> specs;  // by text: a few, whatever the number of problems
  while (rows.step()) {
    Problem p;
    p.spec_name = rows.text(1);
    p.spec_hash = rows.text(2);
    p.spec_text = rows.text(3);
    const json fixed = json::parse(rows.text(4), nullptr, false);
    if (!fixed.is_object()) continue;
    for (const auto &[name, value] : fixed.items())
      if (value.is_number_integer()) p.fixed[name] = value;
    p.m_min = rows.integer(5);
    p.m_max = rows.integer(6);
    p.m = rows.integer(7);
    const bool counts_tokens = rows.integer(8) != 0;
    p.threads = static_cast<int>(rows.integer(9));
    p.target = rows.text(10);
    try {  // a text that is none any more is a damaged record
      if (counts_tokens) {
        auto spec = specs.find(p.spec_text);
        if (spec == specs.end())
          spec = specs.emplace(p.spec_text, compiler::parse_kernel(p.spec_text, p.spec_name)).first;
        name_sizes(p, spec->second);
      }
    } catch (const Error &) {
      continue;
    }
    if (p.key() == rows.text(11)) result.push_back({rows.integer(0), std::move(p)});
  }
  return result;
}

void SqliteStore::add_candidates(const std::vector<CandidateRecord> &candidates) {
  Transaction transaction(database_);
  Statement insert(database_,
                   "INSERT INTO candidates(problem, schedule, shipped_default, status, reason, prior, build) "
                   "VALUES(?,?,?,?,?,?,?) ON CONFLICT(problem, schedule, shipped_default) DO NOTHING");
  for (const CandidateRecord &c : candidates)
    insert.bind(c.problem)
        .bind(c.schedule)
        .bind(int64_t{c.shipped_default})
        .bind(status_name(c.status))
        .bind(c.reason)
        .bind(c.prior)
        .bind(c.build)
        .run();
  transaction.commit();
}

std::vector<CandidateRecord> SqliteStore::candidates(const Ids &problems) {
  Statement rows(database_,
                 "SELECT id, schedule, shipped_default, status, reason, prior, object, proof, build, problem FROM "
                 "candidates WHERE problem IN (SELECT value FROM json_each(?)) ORDER BY prior, id");
  rows.list(problems);
  std::vector<CandidateRecord> result;
  while (rows.step())
    result.push_back({rows.integer(0), rows.text(1), rows.integer(2) != 0, status_of(rows.text(3)), rows.text(4),
                      rows.real(5), rows.integer(6), rows.integer(7), rows.text(8), rows.integer(9)});
  return result;
}

void SqliteStore::update_candidates(const std::vector<CandidateUpdate> &updates) {
  Transaction transaction(database_);
  Statement update(database_,
                   "UPDATE candidates SET status = ?, reason = ?, build = ?, object = coalesce(nullif(?, 0), object), "
                   "proof = coalesce(nullif(?, 0), proof) WHERE id = ?");
  for (const CandidateUpdate &u : updates)
    update.bind(status_name(u.status))
        .bind(u.reason)
        .bind(u.build)
        .bind(u.object)
        .bind(u.proof)
        .bind(u.candidate)
        .run();
  transaction.commit();
}

// Fills in the parts, and drops the objects whose bytes are not what their hashes say.
void SqliteStore::read_parts(std::map<int64_t, ObjectRecord> &objects) {
  Ids ids;
  for (const auto &entry : objects) ids.push_back(entry.first);
  Statement parts(database_,
                  "SELECT object, bytes FROM object_parts WHERE object IN (SELECT value FROM json_each(?)) "
                  "ORDER BY object, part");
  parts.list(ids);
  while (parts.step()) objects[parts.integer(0)].objects.push_back(parts.bytes(1));
  for (auto at = objects.begin(); at != objects.end();) {
    std::string all;
    for (const std::string &part : at->second.objects) all += part;
    const bool sound = !all.empty() && sha256_hex(all) == at->second.sha256 && json::accept(at->second.descriptor);
    at = sound ? std::next(at) : objects.erase(at);
  }
}

std::map<std::string, StoredCode> SqliteStore::find_code(const std::vector<CodeKey> &keys) {
  json wanted = json::array();
  for (const CodeKey &key : keys) wanted.push_back({key.key, key.sizes});
  Statement rows(database_,
                 "SELECT o.key, o.id, o.sha256, o.descriptor, o.compile_ms, o.library, o.library_sha256, "
                 "p.id, p.proof_id, p.inputs, p.reference, p.passed, p.reason FROM json_each(?) AS w "
                 "JOIN objects AS o ON o.key = json_extract(w.value, '$[0]') "
                 "LEFT JOIN proofs AS p ON p.object = o.id AND p.sizes = json_extract(w.value, '$[1]') "
                 "ORDER BY o.key, p.passed DESC, o.id");
  rows.bind(wanted.dump());
  struct Found {
    std::string key;
    int64_t id;
    ProofRecord proof;
  };
  std::vector<Found> found;
  std::map<int64_t, ObjectRecord> objects;
  while (rows.step()) {
    if (sha256_hex(rows.bytes(5)) != rows.text(6)) continue;
    const int64_t id = rows.integer(1);
    found.push_back({rows.text(0), id, proof_at(rows, 7)});
    objects[id] = {id, rows.text(2), {}, rows.bytes(5), rows.text(3), rows.real(4)};
  }
  read_parts(objects);
  std::map<std::string, StoredCode> result;  // of equal keys the first: one that has a proof
  for (const Found &f : found)
    if (const auto object = objects.find(f.id); object != objects.end())
      result.emplace(f.key, StoredCode{object->second, f.proof});
  return result;
}

StoredCode SqliteStore::add_code(const CodeKey &key, StoredCode code) {
  Transaction transaction(database_);
  if (code.object.id == 0) {
    code.object.id =
        Statement(database_,
                  "INSERT INTO objects(key, sha256, descriptor, compile_ms, library, library_sha256) "
                  "VALUES(?,?,?,?,?,?) ON CONFLICT(key, sha256) DO UPDATE SET descriptor = excluded.descriptor, "
                  "library = excluded.library, library_sha256 = excluded.library_sha256 RETURNING id")
            .bind(key.key)
            .bind(code.object.sha256)
            .bind(code.object.descriptor)
            .bind(code.object.compile_ms)
            .blob(code.object.library)
            .bind(sha256_hex(code.object.library))
            .run_returning();
    Statement(database_, "DELETE FROM object_parts WHERE object = ?").bind(code.object.id).run();
    Statement part(database_, "INSERT INTO object_parts(object, part, bytes) VALUES(?,?,?)");
    for (size_t i = 0; i < code.object.objects.size(); ++i)
      part.bind(code.object.id).bind(static_cast<int64_t>(i)).blob(code.object.objects[i]).run();
  }
  if (code.proof.id == 0 && (code.proof.passed || !code.proof.reason.empty()))
    code.proof.id =
        Statement(database_,
                  "INSERT INTO proofs(object, sizes, proof_id, inputs, reference, passed, reason) "
                  "VALUES(?,?,?,?,?,?,?) ON CONFLICT(object, sizes) DO UPDATE SET proof_id = excluded.proof_id, "
                  "inputs = excluded.inputs, reference = excluded.reference, passed = excluded.passed, "
                  "reason = excluded.reason RETURNING id")
            .bind(code.object.id)
            .bind(key.sizes)
            .bind(code.proof.proof_id)
            .bind(code.proof.inputs)
            .bind(code.proof.reference)
            .bind(int64_t{code.proof.passed})
            .bind(code.proof.reason)
            .run_returning();
  transaction.commit();
  return code;
}

std::map<int64_t, ObjectRecord> SqliteStore::objects(const Ids &ids) {
  Statement rows(database_,
                 "SELECT id, sha256, descriptor, compile_ms, library, library_sha256 FROM objects "
                 "WHERE id IN (SELECT value FROM json_each(?))");
  rows.list(ids);
  std::map<int64_t, ObjectRecord> objects;
  while (rows.step())
    if (sha256_hex(rows.bytes(4)) == rows.text(5))
      objects[rows.integer(0)] = {rows.integer(0), rows.text(1), {}, rows.bytes(4), rows.text(2), rows.real(3)};
  read_parts(objects);
  return objects;
}

std::map<int64_t, ProofRecord> SqliteStore::proofs(const Ids &ids) {
  Statement rows(database_,
                 "SELECT id, proof_id, inputs, reference, passed, reason FROM proofs "
                 "WHERE id IN (SELECT value FROM json_each(?))");
  rows.list(ids);
  std::map<int64_t, ProofRecord> result;
  while (rows.step())
    if (ProofRecord proof = proof_at(rows, 0); proof.id != 0) result[proof.id] = std::move(proof);
  return result;
}

int64_t SqliteStore::new_run() {
  return Statement(database_, "INSERT INTO runs DEFAULT VALUES RETURNING id").run_returning();
}

void SqliteStore::add_samples(int64_t problem, const std::vector<Sample> &samples,
                              const std::vector<RoofSample> &roofs) {
  Transaction transaction(database_);
  Statement sample(database_,
                   "INSERT INTO samples(problem, candidate, object, run, round, us, disturbed) VALUES(?,?,?,?,?,?,?)");
  for (const Sample &s : samples)
    sample.bind(problem)
        .bind(s.candidate)
        .bind(s.object)
        .bind(s.run)
        .bind(s.round)
        .bind(s.us)
        .bind(int64_t{s.disturbed})
        .run();
  Statement roof(database_, "INSERT INTO roofs(problem, run, round, kind, value, disturbed) VALUES(?,?,?,?,?,?)");
  for (const RoofSample &r : roofs)
    roof.bind(problem).bind(r.run).bind(r.round).bind(r.kind).bind(r.value).bind(int64_t{r.disturbed}).run();
  transaction.commit();
}

std::vector<Sample> SqliteStore::samples(const Ids &problems) {
  Statement rows(database_,
                 "SELECT candidate, object, run, round, us, disturbed, problem FROM samples "
                 "WHERE problem IN (SELECT value FROM json_each(?)) ORDER BY id");
  rows.list(problems);
  std::vector<Sample> result;
  while (rows.step())
    result.push_back({rows.integer(0), rows.integer(1), rows.integer(2), rows.integer(3), rows.real(4),
                      rows.integer(5) != 0, rows.integer(6)});
  return result;
}

std::map<int64_t, size_t> SqliteStore::sample_counts(const Ids &problems) {
  Statement rows(database_,
                 "SELECT problem, count(*) FROM samples WHERE problem IN (SELECT value FROM json_each(?)) "
                 "GROUP BY problem");
  rows.list(problems);
  std::map<int64_t, size_t> counts;
  while (rows.step()) counts[rows.integer(0)] = static_cast<size_t>(rows.integer(1));
  return counts;
}

std::vector<RoofSample> SqliteStore::roofs(const Ids &problems) {
  Statement rows(database_,
                 "SELECT run, round, kind, value, disturbed, problem FROM roofs "
                 "WHERE problem IN (SELECT value FROM json_each(?)) ORDER BY id");
  rows.list(problems);
  std::vector<RoofSample> result;
  while (rows.step())
    result.push_back(
        {rows.integer(0), rows.integer(1), rows.text(2), rows.real(3), rows.integer(4) != 0, rows.integer(5)});
  return result;
}

void SqliteStore::set_winners(const std::vector<WinnerRecord> &winners) {
  Transaction transaction(database_);
  Statement set(database_,
                "INSERT OR REPLACE INTO winners(problem, candidate, us_median, default_us, speedup, roof_pct, "
                "roof_read_gb_s, roof_int8_gop_s, tie, patience, note, finished) "
                "VALUES(?,?,?,?,?,?,?,?,?,?,?,CURRENT_TIMESTAMP)");
  for (const WinnerRecord &w : winners)
    set.bind(w.problem)
        .bind(w.candidate)
        .bind(w.us_median)
        .bind(w.default_us)
        .bind(w.speedup)
        .bind(w.roof_pct)
        .bind(w.roof_read_gb_s)
        .bind(w.roof_int8_gop_s)
        .bind(int64_t{w.tie})
        .bind(w.patience)
        .bind(w.note)
        .run();
  transaction.commit();
}

std::map<int64_t, WinnerRecord> SqliteStore::winners(const Ids &problems) {
  Statement rows(database_,
                 "SELECT problem, candidate, us_median, default_us, speedup, roof_pct, roof_read_gb_s, "
                 "roof_int8_gop_s, tie, patience, finished, note FROM winners "
                 "WHERE problem IN (SELECT value FROM json_each(?))");
  rows.list(problems);
  std::map<int64_t, WinnerRecord> result;
  while (rows.step())
    result[rows.integer(0)] = {rows.integer(0),      rows.integer(1), rows.real(2),  rows.real(3),
                               rows.real(4),         rows.real(5),    rows.real(6),  rows.real(7),
                               rows.integer(8) != 0, rows.text(9),    rows.text(10), rows.text(11)};
  return result;
}

}  // namespace bittern::tuning
