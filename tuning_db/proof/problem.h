// A tuning problem: one kernel text at fixed sizes, a range of M, a thread count and a target. It is the key of the
// database and of a pack's rows; models do not appear in it, so that models of equal shapes share what was learnt.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "compiler/ir.h"
#include "runtime/io/sha256.h"

namespace bittern::tuning {

// M is bucketed, since one schedule rarely suits a single token and a prompt.
struct Bucket {
  int64_t m_min, m_max;
};
// 1, 2, 3-4, 5-8, 9-16, 17-32 and everything above.
const std::vector<Bucket> &buckets();
const Bucket &bucket_of(int64_t m);
std::string print_bucket(const Bucket &);  // "1", "5-8", "33+"

struct Problem {
  std::string spec_name, spec_hash, spec_text;  // the text is canonical: it alone rebuilds the spec
  compiler::Sizes fixed;                        // every size parameter but M
  int64_t m_min = 1, m_max = INT64_MAX;
  int64_t m = 1;      // the M that is timed
  bool has_m = true;  // the kernel has a size parameter named M
  int threads = 1;
  std::string target;

  // Everything but the thread count: kernels are compiled and proved once for all thread counts.
  std::string kernel_key() const;
  // Unique text of the whole problem.
  std::string key() const;
  compiler::Sizes sizes() const;  // `fixed` and, where the kernel has one, M
  std::string shape() const;      // "6912x2560" for a kernel with N and K, else "K=256,M=.." without M
};

// Parses kernel text (a .bk file's content) into the parts of a Problem that depend on it. `fixed` must name every size
// parameter but M. Throws Error naming a missing or unknown size, or a `require` that the sizes break.
Problem make_problem(const compiler::KernelSpec &spec, const compiler::Sizes &fixed, int64_t m, int threads,
                     const std::string &target);

// The sizes a tuned kernel is compiled for. All of `fixed`, but for operands beyond 256 MiB (output heads) the largest
// stays an argument: fixing it gains nothing there, and free it can be proved at small values.
compiler::Sizes compiled_sizes(const compiler::KernelSpec &spec, const Problem &problem);

// Multiply-adds of one call (the products under its sums), and the bytes a call must read and write at least once;
// a ternary weight counts a quarter of a byte.
double multiply_adds(const compiler::KernelSpec &spec, const compiler::Sizes &sizes);
double touched_bytes(const compiler::KernelSpec &spec, const compiler::Sizes &sizes);
// Bytes of the operands that do not grow with M, vectors left out when there are matrices: what GB/s counts.
double weight_bytes(const compiler::KernelSpec &spec, const compiler::Sizes &sizes);

// "M=1,N=256,K=512". Throws Error that quotes what cannot be read.
compiler::Sizes parse_dims(const std::string &text);

using runtime::sha256_hex;

}  // namespace bittern::tuning
