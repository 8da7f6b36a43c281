#include "tuning_db/records/schema.h"

#include <fmt/format.h>

#include <iterator>

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
)sql",
                                       // Two tuners may compile one thing to different bytes: a row for each. Samples
                                       // say whether the machine was busy, winners what to know of their figures.
                                       R"sql(
CREATE TABLE objects_of_2(
  id INTEGER PRIMARY KEY, key TEXT NOT NULL, sha256 TEXT NOT NULL, descriptor TEXT NOT NULL,
  compile_ms REAL NOT NULL, library BLOB NOT NULL, library_sha256 TEXT NOT NULL, UNIQUE(key, sha256)) STRICT;
INSERT INTO objects_of_2 SELECT id, key, sha256, descriptor, compile_ms, library, library_sha256 FROM objects;
DROP TABLE objects;
ALTER TABLE objects_of_2 RENAME TO objects;
ALTER TABLE samples ADD COLUMN disturbed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE roofs ADD COLUMN disturbed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE winners ADD COLUMN note TEXT NOT NULL DEFAULT '';
)sql"};
static_assert(std::size(kMigrations) == kSchemaVersion);

}  // namespace

void check_identity(Database &database) {
  const int64_t application = database.integer("PRAGMA application_id");
  const int64_t version = database.integer("PRAGMA user_version");
  const int64_t tables = database.integer("SELECT count(*) FROM sqlite_master");
  if (application != kApplicationId && (application != 0 || tables != 0 || version != 0))
    throw UnusableDatabase(fmt::format("tuning database {}: not a Bittern tuning database (application id {:#x})",
                                       database.path(), application));
  if (version < 0)
    throw UnusableDatabase(fmt::format("tuning database {}: damaged: schema {}", database.path(), version));
  if (version > kSchemaVersion)
    throw NewerDatabase(
        fmt::format("tuning database {}: written by a newer Bittern (schema {}, this program knows {}); it is left as "
                    "it is: use another with --db",
                    database.path(), version, kSchemaVersion));
  if (const std::string verdict = database.text("PRAGMA quick_check(1)"); verdict != "ok")
    throw UnusableDatabase(fmt::format("tuning database {}: damaged: {}", database.path(), verdict));
  const int64_t ours = database.integer(
      "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('machines', 'problems', 'objects', "
      "'object_parts', 'proofs', 'candidates', 'samples', 'roofs', 'winners', 'runs')");
  if (version > 0 && ours != 10)
    throw UnusableDatabase(
        fmt::format("tuning database {}: damaged: {} of its 10 tables are there", database.path(), ours));
}

int migrate(Database &database) {
  const auto found = static_cast<int>(database.integer("PRAGMA user_version"));
  if (found == kSchemaVersion) return found;
  // Tables that others refer to are replaced. This can only be said outside a transaction.
  database.execute("PRAGMA foreign_keys = OFF");
  Transaction transaction(database);
  // Read again under the lock: another tuner may have made the tables meanwhile.
  for (int64_t version = database.integer("PRAGMA user_version"); version < kSchemaVersion; ++version) {
    database.execute(kMigrations[version]);
    database.execute(fmt::format("PRAGMA user_version = {}", version + 1));
  }
  if (Statement broken(database, "PRAGMA foreign_key_check"); broken.step())
    throw UnusableDatabase(fmt::format("tuning database {}: damaged: a row of table {} refers to nothing",
                                       database.path(), broken.text(0)));
  database.execute(fmt::format("PRAGMA application_id = {}", kApplicationId));
  transaction.commit();
  return found;
}

}  // namespace bittern::tuning
