#include "runtime/bench/roof.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>

#include "runtime/abi/kernel_abi.h"
#include "runtime/machine/machine.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace bittern::runtime {
namespace {

constexpr size_t kLine = 64;
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

// Prefetches run past the end of a slice, and of the buffer: harmless, a prefetch never faults.
uint64_t read_portable(const uint8_t *p, size_t bytes, const ReadVariant &v) {
  const size_t share = bytes / v.streams / kLine * kLine;
  uint64_t sum = 0;
  for (size_t i = 0; i < share; i += kLine) {
    for (int s = 0; s < v.streams; ++s) {
      const uint8_t *line = p + s * share + i;
      if (v.ahead != 0) __builtin_prefetch(line + v.ahead);
      uint64_t words[8];
      std::memcpy(words, line, sizeof words);
      for (uint64_t w : words) sum ^= w;
    }
  }
  return sum;
}

#if defined(__x86_64__)
template <int Streams>
__attribute__((target("avx2"))) uint64_t read_avx2(const uint8_t *p, size_t bytes, size_t ahead) {
  const size_t share = bytes / Streams / (2 * kLine) * (2 * kLine);
  __m256i sum[Streams];
  for (__m256i &s : sum) s = _mm256_setzero_si256();
  for (size_t i = 0; i < share; i += 2 * kLine) {
#pragma GCC unroll 8
    for (int s = 0; s < Streams; ++s) {
      const uint8_t *at = p + s * share + i;
      if (ahead != 0) {
        _mm_prefetch(reinterpret_cast<const char *>(at) + ahead, _MM_HINT_T0);
        _mm_prefetch(reinterpret_cast<const char *>(at) + ahead + kLine, _MM_HINT_T0);
      }
      const __m256i *w = reinterpret_cast<const __m256i *>(at);
      __m256i a = _mm256_xor_si256(_mm256_loadu_si256(w), _mm256_loadu_si256(w + 1));
      __m256i b = _mm256_xor_si256(_mm256_loadu_si256(w + 2), _mm256_loadu_si256(w + 3));
      sum[s] = _mm256_xor_si256(sum[s], _mm256_xor_si256(a, b));
    }
  }
  alignas(32) uint64_t lanes[4] = {};
  for (__m256i s : sum) {
    _mm256_store_si256(reinterpret_cast<__m256i *>(lanes),
                       _mm256_xor_si256(s, _mm256_load_si256(reinterpret_cast<__m256i *>(lanes))));
  }
  return lanes[0] ^ lanes[1] ^ lanes[2] ^ lanes[3];
}

bool has_avx2() {
  static const bool has = __builtin_cpu_supports("avx2");
  return has;
}

bool has_vnni() { return (machine_isa() & BT_ISA_AVX512VNNI) != 0; }

// Register-only pairs of multiply-add and add, in assembly because a compiler would hoist the loop-invariant multiply.
// Ten independent sums, so that latency does not bound it; 30 pairs an iteration.
#define BT_PAIR_AVX2(m, c) \
  "vpmaddubsw %%ymm15, %%ymm14, %%ymm" #m "\n\tvpaddw %%ymm" #m ", %%ymm" #c ", %%ymm" #c "\n\t"
#define BT_PAIRS_AVX2 \
  BT_PAIR_AVX2(0, 4)  \
  BT_PAIR_AVX2(1, 5)  \
  BT_PAIR_AVX2(2, 6)  \
  BT_PAIR_AVX2(3, 7)  \
  BT_PAIR_AVX2(0, 8) BT_PAIR_AVX2(1, 9) BT_PAIR_AVX2(2, 10) BT_PAIR_AVX2(3, 11) BT_PAIR_AVX2(0, 12) BT_PAIR_AVX2(1, 13)
void multiply_avx2(int64_t iterations) {
  for (int64_t i = 0; i < iterations; ++i) {
    asm volatile(BT_PAIRS_AVX2 BT_PAIRS_AVX2 BT_PAIRS_AVX2 ::
                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
                       "xmm12", "xmm13");
  }
  asm volatile("vzeroupper" ::: "memory");
}
// VNNI: multiply-add in one instruction, twelve independent sums.
#define BT_DOT_VNNI(c) "vpdpbusd %%ymm15, %%ymm14, %%ymm" #c "\n\t"
// clang-format off
#define BT_DOTS_VNNI \
  BT_DOT_VNNI(0) BT_DOT_VNNI(1) BT_DOT_VNNI(2) BT_DOT_VNNI(3) BT_DOT_VNNI(4) BT_DOT_VNNI(5) \
  BT_DOT_VNNI(6) BT_DOT_VNNI(7) BT_DOT_VNNI(8) BT_DOT_VNNI(9) BT_DOT_VNNI(10) BT_DOT_VNNI(11)
// clang-format on
constexpr int kDotsPerIteration = 36;
void multiply_vnni(int64_t iterations) {
  for (int64_t i = 0; i < iterations; ++i) {
    asm volatile(BT_DOTS_VNNI BT_DOTS_VNNI BT_DOTS_VNNI ::
                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
                       "xmm11");
  }
  asm volatile("vzeroupper" ::: "memory");
}
// Baseline x86-64 has no byte multiply-add: pmaddwd on widened bytes, 8 products a vector.
#define BT_PAIR_SSE2(m, c) \
  "movdqa %%xmm14, %%xmm" #m "\n\tpmaddwd %%xmm15, %%xmm" #m "\n\tpaddd %%xmm" #m ", %%xmm" #c "\n\t"
#define BT_PAIRS_SSE2 \
  BT_PAIR_SSE2(0, 4)  \
  BT_PAIR_SSE2(1, 5)  \
  BT_PAIR_SSE2(2, 6)  \
  BT_PAIR_SSE2(3, 7)  \
  BT_PAIR_SSE2(0, 8) BT_PAIR_SSE2(1, 9) BT_PAIR_SSE2(2, 10) BT_PAIR_SSE2(3, 11) BT_PAIR_SSE2(0, 12) BT_PAIR_SSE2(1, 13)
void multiply_sse2(int64_t iterations) {
  for (int64_t i = 0; i < iterations; ++i) {
    asm volatile(BT_PAIRS_SSE2 BT_PAIRS_SSE2 BT_PAIRS_SSE2 ::
                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
                       "xmm12", "xmm13");
  }
}
constexpr int kPairsPerIteration = 30;
#endif

uint64_t read_slice(const uint8_t *p, size_t bytes, const ReadVariant &v) {
#if defined(__x86_64__)
  if (has_avx2()) {
    switch (v.streams) {
      case 1:
        return read_avx2<1>(p, bytes, v.ahead);
      case 2:
        return read_avx2<2>(p, bytes, v.ahead);
      case 4:
        return read_avx2<4>(p, bytes, v.ahead);
      case 8:
        return read_avx2<8>(p, bytes, v.ahead);
      default:
        break;
    }
  }
#endif
  return read_portable(p, bytes, v);
}

// Runs the multiply-add loop; returns how many operations one iteration of it does.
double multiply(int64_t iterations) {
#if defined(__x86_64__)
  if (has_vnni()) {
    multiply_vnni(iterations);
    return kDotsPerIteration * 2.0 * 32;
  }
  if (has_avx2()) {
    multiply_avx2(iterations);
    return kPairsPerIteration * 2.0 * 32;
  }
  multiply_sse2(iterations);
  return kPairsPerIteration * 2.0 * 8;
#else
  int32_t sums[16] = {};
  for (int64_t i = 0; i < iterations; ++i) {
    for (int32_t &s : sums) {
      int32_t a = static_cast<int8_t>(i), b = 3;
      asm volatile("" : "+r"(a), "+r"(b));
      s += a * b;
    }
  }
  asm volatile("" ::"r"(sums) : "memory");
  return 2.0 * 16;
#endif
}

int64_t default_buffer_bytes() {
  return std::clamp(last_level_cache_bytes() * 16, int64_t{512} << 20, int64_t{1} << 30);
}

}  // namespace

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
    const uint64_t sum = read_slice(base + t * share, share, kReadVariants[variant]);
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
    const double ops = multiply(kIterations);
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

const char *Roof::multiply_form() {
#if defined(__x86_64__)
  if (has_vnni()) return "vpdpbusd, 256 bits";
  return has_avx2() ? "vpmaddubsw + vpaddw, 256 bits" : "pmaddwd + paddd, 128 bits";
#else
  return "scalar";
#endif
}

}  // namespace bittern::runtime
