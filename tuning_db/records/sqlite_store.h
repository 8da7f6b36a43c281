// The store in one SQLite file. All SQL is in sqlite_store.cpp and schema.cpp.
#pragma once
#include <string>

#include "tuning_db/records/sqlite.h"
#include "tuning_db/records/store.h"

namespace bittern::tuning {

class SqliteStore : public Store {
 public:
  // Opens or creates the database, checks it and brings it to this program's schema. Throws UnusableDatabase when the
  // file is not ours or is damaged, NewerDatabase when it was written by a newer version; the file is left as it is.
  explicit SqliteStore(const std::string &path);

  const std::string &place() const override { return database_.path(); }
  int migrated_from() const { return migrated_from_; }  // the schema it had before, 0: none or this one

  int64_t add_machine(const runtime::Fingerprint &fingerprint, int cores, int64_t cache_bytes) override;
  std::optional<int64_t> find_machine(const std::string &fingerprint) override;
  Ids machines() override;
  Ids add_problems(int64_t machine, const std::vector<Problem> &problems) override;
  std::vector<StoredProblem> problems(int64_t machine) override;
  void add_candidates(const std::vector<CandidateRecord> &candidates) override;
  std::vector<CandidateRecord> candidates(const Ids &problems) override;
  void update_candidates(const std::vector<CandidateUpdate> &updates) override;
  std::map<std::string, StoredCode> find_code(const std::vector<CodeKey> &keys) override;
  StoredCode add_code(const CodeKey &key, StoredCode code) override;
  std::map<int64_t, ObjectRecord> objects(const Ids &ids) override;
  std::map<int64_t, ProofRecord> proofs(const Ids &ids) override;
  int64_t new_run() override;
  void add_samples(int64_t problem, const std::vector<Sample> &samples, const std::vector<RoofSample> &roofs) override;
  std::vector<Sample> samples(const Ids &problems) override;
  std::map<int64_t, size_t> sample_counts(const Ids &problems) override;
  std::vector<RoofSample> roofs(const Ids &problems) override;
  void set_winners(const std::vector<WinnerRecord> &winners) override;
  std::map<int64_t, WinnerRecord> winners(const Ids &problems) override;

 private:
  void read_parts(std::map<int64_t, ObjectRecord> &objects);

  Database database_;
  int migrated_from_ = 0;
};

}  // namespace bittern::tuning
