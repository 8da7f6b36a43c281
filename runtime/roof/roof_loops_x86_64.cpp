// The roof's loops with AVX-512 VNNI, AVX2 or SSE2, whichever this processor has.
#include <immintrin.h>

#include "runtime/abi/kernel_abi.h"
#include "runtime/machine/machine.h"
#include "runtime/roof/roof_loops.h"

namespace bittern::runtime {
namespace {

constexpr size_t kLine = 64;

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

}  // namespace

uint64_t roof_read(const uint8_t *p, size_t bytes, int streams, size_t ahead) {
  if (has_avx2()) {
    switch (streams) {
      case 1:
        return read_avx2<1>(p, bytes, ahead);
      case 2:
        return read_avx2<2>(p, bytes, ahead);
      case 4:
        return read_avx2<4>(p, bytes, ahead);
      case 8:
        return read_avx2<8>(p, bytes, ahead);
      default:
        break;
    }
  }
  return roof_read_portable(p, bytes, streams, ahead);
}

double roof_multiply(int64_t iterations) {
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
}

const char *roof_multiply_form() {
  if (has_vnni()) return "vpdpbusd, 256 bits";
  return has_avx2() ? "vpmaddubsw + vpaddw, 256 bits" : "pmaddwd + paddd, 128 bits";
}

}  // namespace bittern::runtime
