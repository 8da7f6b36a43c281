// The roof of this machine: how fast it can read memory and multiply-add int8, on a given number of threads.
// Neighbours on a shared host move the roof from second to second, so it is sampled alternately with the work that is
// compared to it: call sample_read() or sample_multiply() between two runs of the work, then compare medians.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/memory/huge_buffer.h"
#include "runtime/threads/pool.h"

namespace bittern::runtime {

// Median of a sample set (mean of the middle two when even); 0 when empty.
double median(std::vector<double> samples);

// Percent of the roof that binds: read bandwidth at M = 1, the multiply-add peak at M >= 32, and whichever is nearer
// between the two.
double roof_percent(int64_t m, double gb_s, double gop_s, double roof_gb_s, double roof_gop_s);

class Roof {
 public:
  // Allocates `buffer_bytes` of memory for reading (0: 16 times the last-level cache, at least 512 MiB, at most 1 GiB)
  // on huge pages and chooses the fastest of the plain and prefetched read loops for the pool's thread count. Takes
  // about 0.3 s. The pool is the one that runs the work, so that both pay for the same barriers; it must outlive this.
  // Throws Error when the memory is not there.
  explicit Roof(ThreadPool &pool, int64_t buffer_bytes = 0);

  // One timed pass over the next slice of the buffer; wall clock, GB/s (1e9 bytes).
  double sample_read();
  // One timed run of register-only multiply-adds on every thread; wall clock, GOP/s (a multiply and an add are two).
  double sample_multiply();

  // Medians of the samples so far; takes `at_least` samples first if there are fewer.
  double read_gb_s(int at_least = 9);
  double int8_gop_s(int at_least = 9);

  int threads() const { return pool_.threads(); }
  // What was measured, for reports: "prefetched 2048 bytes ahead, 4 streams", "vpmaddubsw + vpaddw, 256 bits".
  const char *read_form() const;
  static const char *multiply_form();

 private:
  double timed_read(size_t variant);

  ThreadPool &pool_;
  HugeBuffer buffer_;
  int64_t slice_bytes_;
  int64_t next_ = 0;
  size_t variant_ = 0;
  std::vector<double> read_, multiply_;
};

}  // namespace bittern::runtime
