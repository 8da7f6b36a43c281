// The narrow float formats and the defined order of float sums, in plain C++: what every backend must reproduce.
#pragma once
#include <bit>
#include <cstdint>

namespace bittern::compiler {

// IEEE binary16, round to nearest even; overflow gives infinity, NaN stays NaN, subnormals are kept.
inline uint16_t f16_from_f32(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // at least 65520, halfway to 2^16
  uint32_t significand, shift;
  uint32_t base = 0;
  if (magnitude >= 0x38800000u) {  // normal: drop 13 bits
    significand = magnitude - 0x38000000u;
    shift = 13;
  } else {  // subnormal: a multiple of 2^-24
    const uint32_t exponent = magnitude >> 23;
    if (exponent < 102) return static_cast<uint16_t>(sign);  // below 2^-25
    significand = (magnitude & 0x7fffffu) | 0x800000u;
    shift = 126 - exponent;
  }
  base = significand >> shift;
  const uint32_t rest = significand & ((1u << shift) - 1), half = 1u << (shift - 1);
  if (rest > half || (rest == half && (base & 1))) ++base;
  return static_cast<uint16_t>(sign | base);
}

inline float f32_from_f16(uint16_t value) {
  const uint32_t sign = static_cast<uint32_t>(value & 0x8000u) << 16;
  const uint32_t exponent = (value >> 10) & 31u, fraction = value & 0x3ffu;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | (fraction << 13));
  if (exponent == 0) {
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;  // exact
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
  }
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (fraction << 13));
}

// bfloat16, round to nearest even; NaN stays NaN.
inline uint16_t bf16_from_f32(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

inline float f32_from_bf16(uint16_t value) { return std::bit_cast<float>(static_cast<uint32_t>(value) << 16); }

// The float sum of the DSL: term i goes to partial i mod 16, partials are combined pairwise.
class InterleavedSum {
 public:
  void add(float term) { partial_[count_++ & 15] += term; }
  float total() const {
    float p[16];
    for (int i = 0; i < 16; ++i) p[i] = partial_[i];
    for (int half = 8; half > 0; half /= 2)
      for (int i = 0; i < half; ++i) p[i] += p[i + half];
    return p[0];
  }

 private:
  float partial_[16] = {};
  uint64_t count_ = 0;
};

}  // namespace bittern::compiler
