#include "runtime/model/finite.h"

#include <fmt/format.h>

#include <cstring>

#include "runtime/io/float_formats.h"

namespace bittern::runtime {
namespace {

// Whether any value has all bits of its exponent. Without branches, so that it becomes vector code that keeps up with
// the copy before it.
template <typename Bits>
bool any_full_exponent(const uint8_t *values, int64_t count, Bits exponent) {
  Bits found = 0;
  for (int64_t i = 0; i < count; ++i) {
    Bits bits;
    std::memcpy(&bits, values + i * static_cast<int64_t>(sizeof bits), sizeof bits);
    found |= static_cast<Bits>((bits & exponent) == exponent);
  }
  return found != 0;
}

float value_at(const uint8_t *values, DType dtype, int64_t i) {
  if (dtype == DType::F32) return load_le<float>(values + 4 * i);
  const auto half = load_le<uint16_t>(values + 2 * i);
  return dtype == DType::BF16 ? bf16_to_f32(half) : f16_to_f32(half);
}

bool any_not_finite(const uint8_t *values, DType dtype, int64_t count) {
  if (dtype == DType::F32) return any_full_exponent<uint32_t>(values, count, 0x7f800000u);
  return any_full_exponent<uint16_t>(values, count, dtype == DType::BF16 ? 0x7f80 : 0x7c00);
}

}  // namespace

void require_finite(const void *values, DType dtype, int64_t first, int64_t count,
                    const std::function<void(const std::string &what, uint64_t offset)> &fail) {
  const auto *bytes = static_cast<const uint8_t *>(values);
  if (!any_not_finite(bytes, dtype, count)) return;
  int64_t at = 0;
  while (!any_not_finite(bytes + at * (dtype == DType::F32 ? 4 : 2), dtype, 1)) ++at;
  fail(fmt::format("element {} is {}", first + at, value_at(bytes, dtype, at)),
       static_cast<uint64_t>(first + at) * (dtype == DType::F32 ? 4 : 2));
}

}  // namespace bittern::runtime
