#include "runtime/roof/roof.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>

#include "runtime/machine/machine.h"
#include "runtime/roof/roof_loops.h"

namespace bittern::runtime {
namespace {

constexpr int64_t kHugePage = int64_t{2} << 20;

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// One way to read memory: `streams` sequential streams per thread, each prefetched `ahead` bytes (0: not at all).
struct ReadVariant {
  int streams;
  size_t ahead;
  const char *name;
};
constexpr std::array<ReadVariant, 8> kReadVariants = {{
    {1, 0, "plain, 1 stream"},
    {4, 0, "plain, 4 streams"},
    {1, 1024, "prefetched 1024 bytes ahead, 1 stream"},
    {1, 4096, "prefetched 4096 bytes ahead, 1 stream"},
    {2, 2048, "prefetched 2048 bytes ahead, 2 streams"},
    {4, 1024, "prefetched 1024 bytes ahead, 4 streams"},
    {4, 2048, "prefetched 2048 bytes ahead, 4 streams"},
    {8, 1024, "prefetched 1024 bytes ahead, 8 streams"},
}};

int64_t default_buffer_bytes() {
  return std::clamp(last_level_cache_bytes() * 16, int64_t{512} << 20, int64_t{1} << 30);
}

}  // namespace

double roof_percent(int64_t m, double gb_s, double gop_s, double roof_gb_s, double roof_gop_s) {
  const double read = 100 * gb_s / roof_gb_s, multiply = 100 * gop_s / roof_gop_s;
  if (m == 1) return read;
  return m >= 32 ? multiply : std::max(read, multiply);
}

double median(std::vector<double> samples) {
  if (samples.empty()) return 0;
  const size_t middle = samples.size() / 2;
  std::nth_element(samples.begin(), samples.begin() + middle, samples.end());
  if (samples.size() % 2 == 1) return samples[middle];
  return (samples[middle] + *std::max_element(samples.begin(), samples.begin() + middle)) / 2;
}

Roof::Roof(ThreadPool &pool, int64_t buffer_bytes)
    : pool_(pool),
      buffer_(buffer_bytes != 0 ? buffer_bytes : default_buffer_bytes(), "the buffer that bandwidth is measured on"),
      slice_bytes_(std::min(buffer_.size(), int64_t{48} << 20) / threads() / 4096 * 4096 * threads()) {
  // Touched before it is read: pages that nothing was written to would all be the one zero page.
  pool_.parallel((buffer_.size() + kHugePage - 1) / kHugePage, [&](int64_t page, int) {
    std::memset(buffer_.data() + page * kHugePage, 0x55, std::min(kHugePage, buffer_.size() - page * kHugePage));
  });
  std::array<std::vector<double>, kReadVariants.size()> trials;
  for (int round = 0; round < 5; ++round) {
    for (size_t v = 0; v < kReadVariants.size(); ++v) trials[v].push_back(timed_read(v));
  }
  double best = 0;
  for (size_t v = 0; v < kReadVariants.size(); ++v) {
    const double speed = median(trials[v]);
    if (speed > best) {
      best = speed;
      variant_ = v;
    }
  }
}

double Roof::timed_read(size_t variant) {
  if (next_ + slice_bytes_ > buffer_.size()) next_ = 0;
  const uint8_t *base = buffer_.data() + next_;
  next_ += slice_bytes_;
  const int64_t share = slice_bytes_ / threads();
  const double start = seconds_now();
  pool_.run([&](int t) {
    const uint64_t sum = roof_read(base + t * share, static_cast<size_t>(share), kReadVariants[variant].streams,
                                   kReadVariants[variant].ahead);
    asm volatile("" ::"r"(sum));
  });
  return slice_bytes_ / (seconds_now() - start) / 1e9;
}

double Roof::sample_read() {
  read_.push_back(timed_read(variant_));
  return read_.back();
}

double Roof::sample_multiply() {
  constexpr int64_t kIterations = 40000;  // about 0.3 ms of AVX2
  double per_iteration = 0;
  const double start = seconds_now();
  pool_.run([&](int t) {
    const double ops = roof_multiply(kIterations);
    if (t == 0) per_iteration = ops;
  });
  multiply_.push_back(per_iteration * kIterations * threads() / (seconds_now() - start) / 1e9);
  return multiply_.back();
}

double Roof::read_gb_s(int at_least) {
  while (static_cast<int>(read_.size()) < at_least) sample_read();
  return median(read_);
}

double Roof::int8_gop_s(int at_least) {
  while (static_cast<int>(multiply_.size()) < at_least) sample_multiply();
  return median(multiply_);
}

const char *Roof::read_form() const { return kReadVariants[variant_].name; }

const char *Roof::multiply_form() { return roof_multiply_form(); }

}  // namespace bittern::runtime
