#include "tuning_db/proof/reference_lanes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "compiler/error.h"
#include "tuning_db/proof/float_bits.h"

namespace bittern::tuning::reference {

using compiler::Op;
using compiler::Type;

namespace {

void cast(Type from, Type to, int n, uint32_t *x) {
  const bool from_float = from == Type::F32 || from == Type::F16 || from == Type::BF16;
  const bool to_float = to == Type::F32 || to == Type::F16 || to == Type::BF16;
  for (int i = 0; i < n; ++i) {
    if (from_float && !to_float) {
      const float value = as_float(x[i]);
      if (!(value >= -2147483648.0f && value < 2147483648.0f))
        throw Error(fmt::format("reference: i32({}) is out of range", value));
      x[i] = static_cast<uint32_t>(static_cast<int32_t>(value));
    } else if (!from_float && to_float) {
      x[i] = bits_of(static_cast<float>(as_int(x[i])));
    }
    if (to == Type::I8 && (as_int(x[i]) < -128 || as_int(x[i]) > 127))
      throw Error(fmt::format("reference: i8({}) is out of range", as_int(x[i])));
    if (to == Type::F16) x[i] = bits_of(f16_to_f32(f32_to_f16(as_float(x[i]))));
    if (to == Type::BF16) x[i] = bits_of(bf16_to_f32(f32_to_bf16(as_float(x[i]))));
  }
}

void binary_float(Op op, int n, uint32_t *x, const uint32_t *y) {
  const auto each = [&](auto &&f) {
    for (int i = 0; i < n; ++i) x[i] = f(as_float(x[i]), as_float(y[i]));
  };
  switch (op) {
    case Op::Add:
      return each([](float a, float b) { return bits_of(a + b); });
    case Op::Sub:
      return each([](float a, float b) { return bits_of(a - b); });
    case Op::Mul:
      return each([](float a, float b) { return bits_of(a * b); });
    case Op::Div:
      return each([](float a, float b) { return bits_of(a / b); });
    case Op::Min:
      return each([](float a, float b) { return bits_of(a < b ? a : b); });
    case Op::Max:
      return each([](float a, float b) { return bits_of(a > b ? a : b); });
    case Op::Eq:
      return each([](float a, float b) -> uint32_t { return a == b; });
    case Op::Ne:
      return each([](float a, float b) -> uint32_t { return a != b; });
    case Op::Lt:
      return each([](float a, float b) -> uint32_t { return a < b; });
    case Op::Le:
      return each([](float a, float b) -> uint32_t { return a <= b; });
    case Op::Gt:
      return each([](float a, float b) -> uint32_t { return a > b; });
    case Op::Ge:
      return each([](float a, float b) -> uint32_t { return a >= b; });
    default:
      throw Error("reference: unknown float operation");
  }
}

}  // namespace

void load_lanes(const Array &tensor, int64_t offset, int n, uint32_t *out) {
  switch (tensor.type) {
    case Type::Ternary:
    case Type::I8: {
      const int8_t *at = tensor.as<int8_t>() + offset;
      for (int i = 0; i < n; ++i) out[i] = static_cast<uint32_t>(static_cast<int32_t>(at[i]));
      return;
    }
    case Type::F16: {
      const uint16_t *at = tensor.as<uint16_t>() + offset;
      for (int i = 0; i < n; ++i) out[i] = bits_of(f16_to_f32(at[i]));
      return;
    }
    case Type::BF16: {
      const uint16_t *at = tensor.as<uint16_t>() + offset;
      for (int i = 0; i < n; ++i) out[i] = static_cast<uint32_t>(at[i]) << 16;
      return;
    }
    default:
      std::memcpy(out, tensor.as<uint32_t>() + offset, static_cast<size_t>(n) * 4);
  }
}

void store_lanes(Array &tensor, int64_t offset, int n, const uint32_t *lanes) {
  for (int i = 0; i < n; ++i) {
    switch (tensor.type) {
      case Type::Ternary:
      case Type::I8:
        tensor.as<int8_t>()[offset + i] = static_cast<int8_t>(as_int(lanes[i]));
        break;
      case Type::F16:
        tensor.as<uint16_t>()[offset + i] = f32_to_f16(as_float(lanes[i]));
        break;
      case Type::BF16:
        tensor.as<uint16_t>()[offset + i] = f32_to_bf16(as_float(lanes[i]));
        break;
      case Type::Bool:
        tensor.bytes[static_cast<size_t>(offset + i)] = static_cast<uint8_t>(lanes[i]);
        break;
      default:
        tensor.as<uint32_t>()[offset + i] = lanes[i];
    }
  }
}

void unary_lanes(Op op, Type from, Type to, int n, uint32_t *x) {
  switch (op) {
    case Op::Cast:
      return cast(from, to, n, x);
    case Op::Neg:
      for (int i = 0; i < n; ++i) x[i] = from == Type::F32 ? x[i] ^ 0x80000000u : 0u - x[i];
      return;
    case Op::Abs:
      for (int i = 0; i < n; ++i) x[i] = from == Type::F32 ? x[i] & 0x7fffffffu : as_int(x[i]) < 0 ? 0u - x[i] : x[i];
      return;
    case Op::Sqrt:
      for (int i = 0; i < n; ++i) x[i] = bits_of(std::sqrt(as_float(x[i])));
      return;
    case Op::RoundEven:
      for (int i = 0; i < n; ++i) x[i] = bits_of(std::nearbyint(as_float(x[i])));
      return;
    case Op::Floor:
      for (int i = 0; i < n; ++i) x[i] = bits_of(std::floor(as_float(x[i])));
      return;
    case Op::Not:
      for (int i = 0; i < n; ++i) x[i] = x[i] == 0;
      return;
    case Op::BitsToF32:
      return;
    case Op::BitsToI32:
      for (int i = 0; i < n; ++i) x[i] = std::isnan(as_float(x[i])) ? 0x7fc00000u : x[i];
      return;
    default:
      throw Error("reference: unknown unary operation");
  }
}

void binary_lanes(Op op, Type type, int n, uint32_t *x, const uint32_t *y) {
  if (type == Type::F32) return binary_float(op, n, x, y);
  for (int i = 0; i < n; ++i) {
    const int32_t a = as_int(x[i]), b = as_int(y[i]);
    switch (op) {
      case Op::Add:
        x[i] += y[i];
        break;
      case Op::Sub:
        x[i] -= y[i];
        break;
      case Op::Mul:
        x[i] *= y[i];
        break;
      case Op::Div:
      case Op::Mod: {
        if (b <= 0) throw Error("reference: division by an integer that is not positive");
        const int32_t quotient = a / b - (a % b < 0 ? 1 : 0);
        x[i] = static_cast<uint32_t>(op == Op::Div ? quotient : a - quotient * b);
        break;
      }
      case Op::Min:
        x[i] = static_cast<uint32_t>(std::min(a, b));
        break;
      case Op::Max:
        x[i] = static_cast<uint32_t>(std::max(a, b));
        break;
      case Op::BitAnd:
      case Op::And:
        x[i] &= y[i];
        break;
      case Op::BitOr:
      case Op::Or:
        x[i] |= y[i];
        break;
      case Op::BitXor:
        x[i] ^= y[i];
        break;
      case Op::Shl:
        x[i] <<= (y[i] & 31);
        break;
      case Op::Shr:
        x[i] = static_cast<uint32_t>(a >> (b & 31));
        break;
      case Op::Eq:
        x[i] = a == b;
        break;
      case Op::Ne:
        x[i] = a != b;
        break;
      case Op::Lt:
        x[i] = a < b;
        break;
      case Op::Le:
        x[i] = a <= b;
        break;
      case Op::Gt:
        x[i] = a > b;
        break;
      case Op::Ge:
        x[i] = a >= b;
        break;
      default:
        throw Error("reference: unknown integer operation");
    }
  }
}

}  // namespace bittern::tuning::reference
