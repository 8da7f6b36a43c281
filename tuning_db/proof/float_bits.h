// Conversions between float and the 16-bit formats, round to nearest even, written out bit by bit: the proof's own, so
// that it shares no conversion with what it judges.
#pragma once
#include <bit>
#include <cstdint>
#include <cstring>

#include "compiler/ir.h"

namespace bittern::tuning {

inline float bf16_to_f32(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

inline uint16_t f32_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<uint16_t>((bits >> 16) | 0x40);  // NaN stays NaN
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

inline float f16_to_f32(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t exponent = (half >> 10) & 31, mantissa = half & 0x3ff;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000 | (mantissa << 13));
  if (exponent == 0) {  // zero or subnormal: exactly mantissa * 2^-24
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
  }
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

inline uint16_t f32_to_f16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000);
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return static_cast<uint16_t>(sign | 0x7e00 | ((magnitude >> 13) & 0x3ff));
  if (magnitude >= 0x477ff000) return static_cast<uint16_t>(sign | 0x7c00);  // rounds to 2^16 or more
  if (magnitude < 0x38800000) {                                              // below 2^-14: subnormal
    // Adding 0.5 puts the value's last kept bit (2^-24) at the float's last bit, so the addition rounds for us.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000));
  }
  return static_cast<uint16_t>(sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13));
}

// Whether the element of this type at `bytes` is a NaN; never for integers.
inline bool is_nan(compiler::Type type, const uint8_t *bytes) {
  uint32_t word = 0;
  if (type == compiler::Type::F32) {
    std::memcpy(&word, bytes, 4);
    return (word & 0x7fffffff) > 0x7f800000;
  }
  if (type != compiler::Type::F16 && type != compiler::Type::BF16) return false;
  std::memcpy(&word, bytes, 2);
  return (word & 0x7fff) > (type == compiler::Type::F16 ? 0x7c00u : 0x7f80u);
}

}  // namespace bittern::tuning
