// Where a tuner keeps what it learns. It speaks the tuner's words (candidates, code, proofs, samples, winners) and
// takes and gives many rows at a time, so that a database server can stand behind it as well as a file. Any number of
// tuners may use one store: adding finds what another has added in the meantime, and nothing known is lost. Everything
// is committed when a call returns, so a tuner that is killed loses at most the batch in progress. Records that are
// damaged are left out of what is read, and adding them again repairs them.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/machine/machine.h"
#include "tuning_db/records/records.h"

namespace bittern::tuning {

// Every function throws Error that names the store when it cannot be read or written.
class Store {
 public:
  virtual ~Store() = default;
  virtual const std::string &place() const = 0;  // the file, or how the server is reached

  virtual int64_t add_machine(const runtime::Fingerprint &fingerprint, int cores, int64_t cache_bytes) = 0;
  virtual std::optional<int64_t> find_machine(const std::string &fingerprint) = 0;
  virtual Ids machines() = 0;

  // Ids in the order of `problems`; those not there yet are added.
  virtual Ids add_problems(int64_t machine, const std::vector<Problem> &problems) = 0;
  virtual std::vector<StoredProblem> problems(int64_t machine) = 0;

  // Adds those not there yet (by problem, schedule and whether it is the default).
  virtual void add_candidates(const std::vector<CandidateRecord> &candidates) = 0;
  // Of all the problems, best prior first.
  virtual std::vector<CandidateRecord> candidates(const Ids &problems) = 0;
  virtual void update_candidates(const std::vector<CandidateUpdate> &updates) = 0;

  // By key; those whose bytes match their hashes, with the proof at the wanted sizes where there is one. The keys
  // differ.
  virtual std::map<std::string, StoredCode> find_code(const std::vector<CodeKey> &keys) = 0;
  // Gives the code with the ids of its rows. A proof that neither passed nor has a reason is none.
  virtual StoredCode add_code(const CodeKey &key, StoredCode code) = 0;
  virtual std::map<int64_t, ObjectRecord> objects(const Ids &ids) = 0;
  virtual std::map<int64_t, ProofRecord> proofs(const Ids &ids) = 0;

  virtual int64_t new_run() = 0;  // a number greater than every run in the store
  virtual void add_samples(int64_t problem, const std::vector<Sample> &samples,
                           const std::vector<RoofSample> &roofs) = 0;  // all of a batch or nothing
  virtual std::vector<Sample> samples(const Ids &problems) = 0;        // in the order they were taken
  virtual std::map<int64_t, size_t> sample_counts(const Ids &problems) = 0;
  virtual std::vector<RoofSample> roofs(const Ids &problems) = 0;

  virtual void set_winners(const std::vector<WinnerRecord> &winners) = 0;
  virtual std::map<int64_t, WinnerRecord> winners(const Ids &problems) = 0;  // by problem
};

}  // namespace bittern::tuning
