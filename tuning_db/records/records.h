// The tuning database: one SQLite file that remembers, for every machine and problem, each candidate schedule, why it
// was rejected or how it was proved, every timing sample and the winner. Everything is committed as it is learnt, so a
// tuner that is killed at any moment loses at most the batch in progress and never the file.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/machine/machine.h"
#include "tuning_db/proof/problem.h"
#include "tuning_db/records/sqlite.h"

namespace bittern::tuning {

inline constexpr int kApplicationId = 0x4254756e;  // "BTun"
inline constexpr int kSchemaVersion = 1;

// A candidate goes untried -> compiled -> proved -> timed, or stops at rejected.
enum class Status { Untried, Compiled, Proved, Timed, Rejected };
const char *status_name(Status);

struct ObjectRecord {
  int64_t id = 0;
  std::string sha256;                // over the objects' bytes, in order
  std::vector<std::string> objects;  // relocatable ELF objects: what goes into the pack
  std::string library;               // the objects linked alone: what was proved and timed, ready to load
  std::string descriptor;            // JSON of codegen::Descriptor
  double compile_ms = 0;
};

struct ProofRecord {
  int64_t id = 0;
  std::string proof_id;   // 16 hex digits; what the kernel's descriptor carries
  std::string inputs;     // JSON array of the input sets tried
  std::string reference;  // SHA-256 over all reference outputs
  bool passed = false;
  std::string reason;  // of a failed one
};

struct CandidateRecord {
  int64_t id = 0;
  std::string schedule;
  bool shipped_default = false;  // the untuned kernel, sizes not fixed: what speed-ups are measured against
  Status status = Status::Untried;
  std::string reason;
  double prior = 0;
  int64_t object = 0, proof = 0;  // rows, 0 when none
  std::string build;              // of the program that set the status: another build's verdicts are not final
};

struct Sample {
  int64_t candidate = 0, object = 0;  // a candidate compiled anew starts from no samples
  int64_t run = 0, round = 0;         // samples of equal (run, round) were taken one right after the other
  double us = 0;
};

struct RoofSample {
  int64_t run = 0, round = 0;
  std::string kind;  // "read_gb_s" or "int8_gop_s"
  double value = 0;
};

struct WinnerRecord {
  int64_t problem = 0, candidate = 0;
  double us_median = 0, default_us = 0, speedup = 1, roof_pct = 0, roof_read_gb_s = 0, roof_int8_gop_s = 0;
  bool tie = false;
  std::string patience, when;
};

class Records {
 public:
  // Opens or creates the database and checks it. Throws Error when the file is not ours, is damaged, or was written by
  // a newer version; the file is left as it is.
  explicit Records(const std::string &path);

  const std::string &path() const { return database_.path(); }
  Database &database() { return database_; }

  int64_t machine(const runtime::Fingerprint &fingerprint, int cores, int64_t cache_bytes);
  std::vector<int64_t> machines();  // ids of all
  int64_t problem(int64_t machine, const Problem &problem);
  std::vector<std::pair<int64_t, Problem>> problems(int64_t machine);

  // Adds those not there yet; nothing known is changed.
  void add_candidates(int64_t problem, const std::vector<CandidateRecord> &candidates);
  std::vector<CandidateRecord> candidates(int64_t problem);
  void set_status(int64_t candidate, Status status, const std::string &build, const std::string &reason = "");

  // Objects are shared by all problems that would compile the same thing: `key` says everything the code depends on.
  std::optional<ObjectRecord> find_object(const std::string &key);
  int64_t add_object(const std::string &key, const ObjectRecord &object);
  ObjectRecord object(int64_t id);
  void set_object(int64_t candidate, int64_t object);

  // One proof per object and set of proved sizes.
  std::optional<ProofRecord> find_proof(int64_t object, const std::string &sizes);
  int64_t add_proof(int64_t object, const std::string &sizes, const ProofRecord &proof);
  std::optional<ProofRecord> proof(int64_t id);
  void set_proof(int64_t candidate, int64_t proof);

  int64_t new_run();  // a number greater than every run in the file
  // One transaction: all of a batch or nothing.
  void add_samples(int64_t problem, const std::vector<Sample> &samples, const std::vector<RoofSample> &roofs);
  std::vector<Sample> samples(int64_t problem);
  std::vector<RoofSample> roofs(int64_t problem);

  void set_winner(const WinnerRecord &winner);
  std::optional<WinnerRecord> winner(int64_t problem);

 private:
  Database database_;
};

// Opens `path`. When it is the default database (not one the user named) and it is foreign or damaged, it is renamed
// aside (kept, never deleted), `warning` says so, and a fresh one is made.
std::unique_ptr<Records> open_records(const std::string &path, bool is_default, std::string &warning);

}  // namespace bittern::tuning
