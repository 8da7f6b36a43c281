// What a tuner remembers, as plain data: candidates and what became of them, machine code, proofs, timing samples,
// winners. Where and how it is kept is store.h's.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tuning_db/proof/problem.h"

namespace bittern::tuning {

using Ids = std::vector<int64_t>;

// A candidate goes untried -> compiled -> proved -> timed, or stops at rejected.
enum class Status { Untried, Compiled, Proved, Timed, Rejected };
const char *status_name(Status);

struct StoredProblem {
  int64_t id = 0;
  Problem problem;
};

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

// Machine code and its proof. Objects are shared by all problems that would compile the same thing: `key` says
// everything the code depends on, the program that makes it included. One proof per object and set of proved sizes.
struct CodeKey {
  std::string key, sizes;
};
struct StoredCode {
  ObjectRecord object;
  ProofRecord proof;  // id 0: none at these sizes
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
  int64_t problem = 0;
};

struct CandidateUpdate {
  int64_t candidate = 0;
  Status status = Status::Untried;
  std::string build, reason;
  int64_t object = 0, proof = 0;  // 0: as it was
};

struct Sample {
  int64_t candidate = 0, object = 0;  // a candidate compiled anew starts from no samples
  int64_t run = 0, round = 0;         // samples of equal (run, round) were taken one right after the other
  double us = 0;
  bool disturbed = false;  // the machine was taken away in the meantime, and repeating did not help
  int64_t problem = 0;
};

struct RoofSample {
  int64_t run = 0, round = 0;
  std::string kind;  // "read_gb_s" or "int8_gop_s"
  double value = 0;
  bool disturbed = false;
  int64_t problem = 0;
};

struct WinnerRecord {
  int64_t problem = 0, candidate = 0;
  double us_median = 0, default_us = 0, speedup = 1, roof_pct = 0, roof_read_gb_s = 0, roof_int8_gop_s = 0;
  bool tie = false;
  std::string patience, when;
  std::string note;  // what a reader of the figures must know: a busy machine, a share of the roof above all of it
};

}  // namespace bittern::tuning
