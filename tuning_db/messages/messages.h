// What a tuner and its workers say to each other, one struct a request and one an answer. Files are passed by their
// paths; to a worker on another machine they are put first, and then go by their names.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "codegen/kernel_descriptor.h"
#include "compiler/ir.h"

namespace bittern::tuning {

// The version of all this; a runner that speaks another is refused.
inline constexpr int kRunnerProtocol = 2;

// What machine the worker runs on.
struct HelloAnswer {
  int64_t protocol = kRunnerProtocol;
  std::string fingerprint, vendor, brand;
  int family = 0, model = 0, stepping = 0;
  uint32_t isa = 0;  // BT_ISA_* bits
  std::string generator;
  bool emulated = false;
  int cores = 1;
  int64_t cache_bytes = 0;

  bool operator==(const HelloAnswer &) const = default;
  template <typename Self, typename Visit>
  static void fields(Self &self, Visit &&visit) {
    visit("protocol", self.protocol);
    visit("fingerprint", self.fingerprint);
    visit("vendor", self.vendor);
    visit("brand", self.brand);
    visit("family", self.family);
    visit("model", self.model);
    visit("stepping", self.stepping);
    visit("isa", self.isa);
    visit("generator", self.generator);
    visit("emulated", self.emulated);
    visit("cores", self.cores);
    visit("cache_bytes", self.cache_bytes);
  }
};
struct HelloRequest {
  static constexpr const char *kOp = "hello";
  using Answer = HelloAnswer;
  bool operator==(const HelloRequest &) const = default;
  template <typename Self, typename Visit>
  static void fields(Self &, Visit &&) {}
};

// Stores a file where the worker is.
struct PutAnswer {
  std::string sha256;  // of what arrived
  bool operator==(const PutAnswer &) const = default;
  template <typename Self, typename Visit>
  static void fields(Self &self, Visit &&visit) {
    visit("sha256", self.sha256);
  }
};
struct PutRequest {
  static constexpr const char *kOp = "put";
  using Answer = PutAnswer;
  std::string name, sha256, bytes;  // bytes: base64
  bool operator==(const PutRequest &) const = default;
  template <typename Self, typename Visit>
  static void fields(Self &self, Visit &&visit) {
    visit("name", self.name);
    visit("sha256", self.sha256);
    visit("bytes", self.bytes);
  }
};

// Turns a schedule into objects, written into `folder`.
struct CompileAnswer {
  std::vector<std::string> objects;  // paths
  codegen::Descriptor descriptor;
  double ms = 0;
  bool operator==(const CompileAnswer &) const = default;
  template <typename Self, typename Visit>
  static void fields(Self &self, Visit &&visit) {
    visit("objects", self.objects);
    visit("descriptor", self.descriptor);
    visit("ms", self.ms);
  }
};
struct CompileRequest {
  static constexpr const char *kOp = "compile";
  using Answer = CompileAnswer;
  std::string spec, schedule, target;
  compiler::Sizes fixed;  // sizes that become constants
  int64_t m_min = 1, m_max = INT64_MAX;
  std::string symbol;
  std::string meanings_on;  // a target that runs it by the meanings of its instructions; empty: its own
  bool unchecked = false;   // for tests of the proof: compile what bounds forbid
  std::string folder;
  bool operator==(const CompileRequest &) const = default;
  template <typename Self, typename Visit>
  static void fields(Self &self, Visit &&visit) {
    visit("spec", self.spec);
    visit("schedule", self.schedule);
    visit("target", self.target);
    visit("fixed", self.fixed);
    visit("m_min", self.m_min);
    visit("m_max", self.m_max);
    visit("symbol", self.symbol);
    visit("meanings_on", self.meanings_on);
    visit("unchecked", self.unchecked);
    visit("folder", self.folder);
  }
};

// Links objects and a table of their kernels into a shared object.
struct LinkAnswer {
  bool operator==(const LinkAnswer &) const = default;
  template <typename Self, typename Visit>
  static void fields(Self &, Visit &&) {}
};
struct LinkRow {
  codegen::Descriptor descriptor;
  std::string proof;
  int threads = 0;
  double roof_pct = 0;
  bool operator==(const LinkRow &) const = default;
  template <typename Self, typename Visit>
  static void fields(Self &self, Visit &&visit) {
    visit("descriptor", self.descriptor);
    visit("proof", self.proof);
    visit("threads", self.threads);
    visit("roof_pct", self.roof_pct);
  }
};
struct LinkRequest {
  static constexpr const char *kOp = "link";
  using Answer = LinkAnswer;
  std::vector<std::string> objects;  // paths
  std::vector<LinkRow> rows;
  std::string target;  // what the table's own code runs on
  std::string path;
  bool operator==(const LinkRequest &) const = default;
  template <typename Self, typename Visit>
  static void fields(Self &self, Visit &&visit) {
    visit("objects", self.objects);
    visit("rows", self.rows);
    visit("target", self.target);
    visit("path", self.path);
  }
};

// What is asked of a kernel in a proof: steps at `sizes` (proof_steps), or at exactly `proof_sizes` where there are
// any.
struct ProofQuestion {
  std::string spec;
  std::string hash;  // of the kernel's objects
  compiler::Sizes sizes;
  std::vector<compiler::Sizes> proof_sizes;
  int threads = 1;         // that compute reference outputs
  std::string references;  // a folder that keeps them, or ""
  bool operator==(const ProofQuestion &) const = default;
  template <typename Self, typename Visit>
  static void fields(Self &self, Visit &&visit) {
    visit("spec", self.spec);
    visit("hash", self.hash);
    visit("sizes", self.sizes);
    visit("proof_sizes", self.proof_sizes);
    visit("threads", self.threads);
    visit("references", self.references);
  }
};

// A proof is what ProofResult (proof.h) says.
struct ProveAnswer {
  bool passed = false;
  std::string reason;
  std::vector<std::string> inputs;
  std::string reference, id;
  size_t steps = 0;
  bool operator==(const ProveAnswer &) const = default;
  template <typename Self, typename Visit>
  static void fields(Self &self, Visit &&visit) {
    visit("passed", self.passed);
    visit("reason", self.reason);
    visit("inputs", self.inputs);
    visit("reference", self.reference);
    visit("id", self.id);
    visit("steps", self.steps);
  }
};
// Runs a kernel: a row of a shared object's table, or of a finished pack's (a manifest, whose name ends in .json).
struct ProveRequest {
  static constexpr const char *kOp = "prove";
  using Answer = ProveAnswer;
  ProofQuestion question;
  std::string library;
  size_t index = 0;
  int64_t call_ms = 0;  // one step's generated code
  bool operator==(const ProveRequest &) const = default;
  template <typename Self, typename Visit>
  static void fields(Self &self, Visit &&visit) {
    visit("question", self.question);
    visit("library", self.library);
    visit("index", self.index);
    visit("call_ms", self.call_ms);
  }
};
// What a proof on another machine must say, computed from the text alone.
struct ExpectRequest {
  static constexpr const char *kOp = "expect";
  using Answer = ProveAnswer;
  ProofQuestion question;
  codegen::Descriptor descriptor;
  bool operator==(const ExpectRequest &) const = default;
  template <typename Self, typename Visit>
  static void fields(Self &self, Visit &&visit) {
    visit("question", self.question);
    visit("descriptor", self.descriptor);
  }
};

// Times kernels in interleaved rounds, on operands that are cold.
struct TimeAnswer {
  std::vector<std::vector<double>> samples;   // [round][library], microseconds a call; 0: not timed
  std::vector<std::vector<int>> disturbed;    // [round][library], 1: the machine was busy, see RoundsResult
  std::vector<int> slow;                      // [library], 1: timed once or not at all
  std::vector<int> calls;                     // [library], that a sample is the mean of
  std::vector<double> read_gb_s, int8_gop_s;  // [round], where they were wanted
  bool operator==(const TimeAnswer &) const = default;
  template <typename Self, typename Visit>
  static void fields(Self &self, Visit &&visit) {
    visit("samples", self.samples);
    visit("disturbed", self.disturbed);
    visit("slow", self.slow);
    visit("calls", self.calls);
    visit("read_gb_s", self.read_gb_s);
    visit("int8_gop_s", self.int8_gop_s);
  }
};
struct TimeRequest {
  static constexpr const char *kOp = "time";
  using Answer = TimeAnswer;
  std::string spec;
  compiler::Sizes sizes;
  int threads = 1;
  std::vector<std::string> libraries;
  int rounds = 1;
  double block_us = 0;                // how long a sample's calls should take together
  double slow_us = 0, budget_us = 0;  // see RoundsPlan
  int64_t cold_bytes = 0;
  bool read_roof = false, multiply_roof = false;
  int64_t call_ms = 0;
  bool operator==(const TimeRequest &) const = default;
  template <typename Self, typename Visit>
  static void fields(Self &self, Visit &&visit) {
    visit("spec", self.spec);
    visit("sizes", self.sizes);
    visit("threads", self.threads);
    visit("libraries", self.libraries);
    visit("rounds", self.rounds);
    visit("block_us", self.block_us);
    visit("slow_us", self.slow_us);
    visit("budget_us", self.budget_us);
    visit("cold_bytes", self.cold_bytes);
    visit("read_roof", self.read_roof);
    visit("multiply_roof", self.multiply_roof);
    visit("call_ms", self.call_ms);
  }
};

}  // namespace bittern::tuning
