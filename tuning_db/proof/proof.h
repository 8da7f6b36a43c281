// Proof of a kernel: run it on every input set, at every proof size, in misaligned and guarded memory, over different
// splits of its tiles, and demand the reference's bits everywhere and nothing anywhere else. Faults and hangs are the
// caller's: it runs this in a child process (worker.h).
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "runtime/abi/kernel_abi.h"
#include "tuning_db/proof/fixture.h"

namespace bittern::tuning {

// One run of the proof: which sizes, which inputs, where the buffers lie, how the tiles are split.
enum class Split { Whole, Single, Uneven };
struct ProofStep {
  compiler::Sizes sizes;
  size_t set = 0;  // row of input_sets()
  Placement placement = Placement::FlushEnd;
  Split split = Split::Whole;
};

// The steps for a kernel with these fixed sizes (-1 in the descriptor: any): every input set, every placement, every
// split; M over its bucket's ends, odd values and tails; free sizes over small odd values, all drawn with `seed`.
// `at` is the size the tuner times, which is always among them. Throws Error when no sizes satisfy the kernel.
std::vector<ProofStep> proof_steps(const compiler::KernelSpec &spec, const bt_kernel &kernel,
                                   const compiler::Sizes &at);

// The steps at exactly these sizes, at least one: every input set, placement and split at the first, the random set and
// another in turn at the others.
std::vector<ProofStep> proof_steps_at(const compiler::KernelSpec &spec, const std::vector<compiler::Sizes> &all);

struct ProofResult {
  bool passed = false;
  std::string reason;               // what differs, where, on which inputs
  std::vector<std::string> inputs;  // names of the sets tried
  std::string reference;            // SHA-256 over the reference hashes of all steps
  std::string id;                   // 16 hex digits over kernel, reference and inputs
  size_t steps = 0;                 // runs that were compared
};

// What proving a kernel with these steps must give when it passes, computed without running it: how the claims of
// another machine are checked. `kernel_hash` and `spec_hash` as prove() takes them from the kernel.
ProofResult expected_proof(const std::string &kernel_hash, const std::string &spec_hash,
                           const compiler::KernelSpec &spec, const std::vector<ProofStep> &steps,
                           FixtureCache &fixtures);

// Told before and after each step of generated code, so that the caller can say where it stood and bound its time.
struct ProofWatch {
  std::function<void(const std::string &what)> before;
  std::function<void()> after;
};

// `spec` must be the spec the kernel was made from.
ProofResult prove(const bt_kernel &kernel, const std::string &kernel_hash, const compiler::KernelSpec &spec,
                  const std::vector<ProofStep> &steps, FixtureCache &fixtures, const ProofWatch &watch = {});

// Compares a kernel's layout functions with each other (unpack(pack(x)) is x, padding is trit 0) and, when the layout
// is in the layout table, with the reference packing. Returns what is wrong, or nothing.
std::string prove_layout(const bt_layout &layout);

}  // namespace bittern::tuning
