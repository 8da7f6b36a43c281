// The roof of this machine: how fast it can read memory and multiply-add int8, on a given number of threads.
// Neighbours on a shared host move the roof from second to second, so it is sampled alternately with the work that is
// compared to it: call sample_read() or sample_multiply() between two runs of the work, then compare medians.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace bittern::runtime {

// Calls its argument once for each thread 0 .. threads - 1, at the same time, and returns when all are done. The
// thread pool that runs the work is what belongs here, so that roof and work pay for the same barriers.
using ParallelRun = std::function<void(const std::function<void(int)> &)>;

// Median of a sample set (mean of the middle two when even); 0 when empty.
double median(std::vector<double> samples);

// Memory on huge pages where the system gives them, first touched by the thread that later reads each slice.
class RoofBuffer {
 public:
  RoofBuffer(int threads, const ParallelRun &run, size_t bytes);
  ~RoofBuffer();
  RoofBuffer(const RoofBuffer &) = delete;
  RoofBuffer &operator=(const RoofBuffer &) = delete;
  const uint8_t *data() const { return data_; }
  size_t size() const { return bytes_; }

 private:
  uint8_t *data_;
  size_t bytes_;
};

class Roof {
 public:
  // Allocates `buffer_bytes` of memory for reading (0: 16 times the last-level cache, at least 512 MiB, at most 1 GiB)
  // and chooses the fastest of the plain and prefetched read loops for this thread count. Takes about 0.3 s.
  // Throws std::bad_alloc when the memory is not there.
  Roof(int threads, ParallelRun run, size_t buffer_bytes = 0);

  // One timed pass over the next slice of the buffer; wall clock, GB/s (1e9 bytes).
  double sample_read();
  // One timed run of register-only multiply-adds on every thread; wall clock, GOP/s (a multiply and an add are two).
  double sample_multiply();

  // Medians of the samples so far; takes `at_least` samples first if there are fewer.
  double read_gb_s(int at_least = 9);
  double int8_gop_s(int at_least = 9);

  int threads() const { return threads_; }
  // What was measured, for reports: "prefetched 2048 bytes ahead, 4 streams", "vpmaddubsw + vpaddw, 256 bits".
  const char *read_form() const;
  static const char *multiply_form();

 private:
  double timed_read(size_t variant);

  int threads_;
  ParallelRun run_;
  RoofBuffer buffer_;
  size_t slice_bytes_;
  size_t next_ = 0;
  size_t variant_ = 0;
  std::vector<double> read_, multiply_;
};

}  // namespace bittern::runtime
