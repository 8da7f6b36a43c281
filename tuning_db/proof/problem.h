// A tuning problem: one kernel text at fixed sizes, a range of M, a thread count and a target. It is the key of the
// database and of a pack's rows; models do not appear in it, so that models of equal shapes share what was learnt.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "compiler/ir.h"
#include "compiler/source.h"
#include "runtime/io/sha256.h"
#include "tuning_db/proof/buckets.h"

namespace bittern::tuning {

struct Problem {
  std::string spec_name, spec_hash, spec_text;  // the text is canonical: it alone rebuilds the spec
  compiler::Sizes fixed;                        // every size parameter but the one that counts tokens
  int64_t m_min = 1, m_max = INT64_MAX;         // M is the number of tokens, whatever the text calls it
  int64_t m = 1;                                // the M that is timed
  std::string tokens;                           // the size that counts them; empty when none does
  std::string rows, columns;                    // sizes of the weight matrix, for people; empty when there is none
  int threads = 1;
  std::string target;

  // Everything but the thread count: kernels are compiled and proved once for all thread counts.
  std::string kernel_key() const;
  // Unique text of the whole problem.
  std::string key() const;
  compiler::Sizes sizes() const;  // `fixed` and, where tokens are counted, M
  std::string shape() const;      // "6912x2560" for a kernel with a weight matrix, further sizes as "G=64", without M
};

// Parses kernel text (a .bk file's content) into the parts of a Problem that depend on it. `fixed` must name every size
// parameter but the one that counts tokens. Throws Error naming a missing or unknown size, or a `require` that the
// sizes break.
Problem make_problem(const compiler::KernelSpec &spec, const compiler::Sizes &fixed, int64_t m, int threads,
                     const std::string &target, const compiler::Source *source = nullptr);

// Sets what a problem says of its spec: `tokens`, the size that `fixed` leaves open, and the weight matrix.
void name_sizes(Problem &problem, const compiler::KernelSpec &spec);

// The sizes a tuned kernel is compiled for. All of `fixed`, but for operands beyond 256 MiB (output heads) the largest
// stays an argument: fixing it gains nothing there, and free it can be proved at small values.
compiler::Sizes compiled_sizes(const compiler::KernelSpec &spec, const Problem &problem);

using runtime::sha256_hex;

}  // namespace bittern::tuning
