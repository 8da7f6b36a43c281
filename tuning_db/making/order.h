// What is ordered of a farm, and what comes of it: a proved kernel, or a rejection that says of what kind.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "codegen/kernel_descriptor.h"
#include "tuning_db/messages/rejection.h"
#include "tuning_db/proof/problem.h"

namespace bittern::tuning {

// Compiled code.
struct KernelCode {
  std::vector<std::string> objects;  // relocatable ELF objects: what goes into a pack
  std::string sha256;                // over their bytes, in order
  codegen::Descriptor descriptor;
  double compile_ms = 0;
  std::string library;  // the objects linked alone, ready to load; empty when they were linked with others only
};

struct Proof {
  std::string id;                   // 16 hex digits; what the kernel's row in a pack carries
  std::vector<std::string> inputs;  // names of the input sets tried
  std::string reference;            // SHA-256 over all reference outputs
};

enum class Prove {
  No,       // it is proved elsewhere, or not at all
  Unknown,  // unless there is a proof already
  Again     // the proof that is there must come out once more
};

struct Order {
  Problem problem;  // the text, its sizes, the range of M, the target
  std::string schedule;
  compiler::Sizes fixed;    // sizes that become constants; the others stay arguments
  std::string symbol;       // unique among all kernels that may be linked together
  std::string meanings_on;  // for a target that this machine lacks: another, whose code stands for every instruction by
                            // its meaning; what comes of it is for the proof alone
  bool unchecked = false;   // for tests of the proof: compile what bounds forbid
  bool fresh_worker = false;                 // by a process that has compiled nothing yet
  std::vector<compiler::Sizes> proof_sizes;  // prove at these; when empty, at those of proof_steps()
  std::string proved_hash;                   // what the proof is of; empty: the code's own hash
  Prove prove = Prove::Unknown;
  // What is known already.
  std::optional<KernelCode> code;
  std::optional<Proof> proof;
};

// An order's outcome, as far as it came.
struct Made {
  bool reached = false;  // false when the time ran out first
  std::optional<KernelCode> code;
  std::optional<Proof> proof;
  std::optional<Rejection> rejection;
  std::string library;  // path of the shared object that holds the kernel
  size_t row = 0;       // of the kernel in it

  bool good() const { return reached && !rejection; }
  // Why it was rejected, or "".
  std::string why() const { return rejection ? rejection->text : std::string(); }
};

// The hash that KernelCode::sha256 is.
std::string objects_hash(const std::vector<std::string> &objects);

}  // namespace bittern::tuning
