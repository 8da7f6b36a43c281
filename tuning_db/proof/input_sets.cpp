#include "tuning_db/proof/input_sets.h"

#include <bit>
#include <cstring>

#include "tuning_db/proof/float_bits.h"

namespace bittern::tuning {
namespace {

using compiler::Type;

// SplitMix64: tiny, seedable by anything, equal everywhere.
struct Random {
  uint64_t state;
  uint64_t next() {
    uint64_t z = (state += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }
  int64_t below(int64_t n) { return static_cast<int64_t>(next() % static_cast<uint64_t>(n)); }
};

uint64_t seed_of(const std::string &text) {
  uint64_t hash = 0xcbf29ce484222325ull;
  for (unsigned char c : text) hash = (hash ^ c) * 0x100000001b3ull;
  return hash;
}

// Values with varied exponents, 2^-6 .. 2^3 in size: sums then really round.
float random_float(Random &random) {
  const uint64_t bits = random.next();
  const float mantissa = 1.0f + static_cast<float>(bits & 0x7fffff) * 0x1p-23f;
  const int exponent = static_cast<int>((bits >> 24) % 10) - 6;
  const float value = mantissa * std::bit_cast<float>(static_cast<uint32_t>(exponent + 127) << 23);
  return (bits >> 63) != 0 ? -value : value;
}

// Signed zeros and denormals, down to those of f16 and f32, among ordinary values.
float tiny_float(Random &random) {
  const uint64_t bits = random.next();
  const uint32_t sign = (bits >> 63) != 0 ? 0x80000000u : 0;
  switch (bits & 3) {
    case 0:
      return std::bit_cast<float>(sign);
    case 1:  // the one half of the f32's own, the other half f16's: multiples of 2^-24 below 2^-14
      return (bits & 4) != 0 ? std::bit_cast<float>(sign | (static_cast<uint32_t>(bits >> 8) & 0x7fffffu) | 1u)
                             : static_cast<float>((bits >> 8 & 0x3ff) + 1) * (sign ? -0x1p-24f : 0x1p-24f);
    default:
      return random_float(random);
  }
}

// A row has +inf, -inf or a NaN at one place, or some of each, so that not every result is a NaN.
int64_t row_kind(const Random &random, int64_t length) {
  return static_cast<int64_t>((random.state + static_cast<uint64_t>(length) * 0x9e3779b97f4a7c15ull) >> 62);
}

float special_float(int64_t kind, bool hot, Random &random) {
  static constexpr uint32_t bits[4] = {0x7f800000u, 0xff800000u, 0x7fc00000u, 0xffc01234u};
  if (kind < 3) return hot ? std::bit_cast<float>(bits[kind]) : random_float(random);
  const int64_t which = random.below(16);
  return which < 4 ? std::bit_cast<float>(bits[which]) : tiny_float(random);
}

float real_value(Fill fill, bool hot, int64_t kind, Random &random) {
  switch (fill) {
    case Fill::Tiny:
      return tiny_float(random);
    case Fill::Special:
      return special_float(kind, hot, random);
    case Fill::Random:
      return random_float(random);
    case Fill::PlusOne:
      return 1.0f;
    case Fill::MinusOne:
      return -1.0f;
    case Fill::Extremes:
      return (random.next() & 1) != 0 ? 1000.0f : -1000.0f;
    case Fill::OneHot:
      return hot ? 3.0f : 0.0f;
    case Fill::Greatest:
      return 1000.0f;
    case Fill::Least:
      return -1000.0f;
    case Fill::Zero:
      break;
  }
  return 0.0f;
}

int8_t i8_value(Fill fill, bool hot, Random &random) {
  static constexpr int8_t extremes[4] = {127, -127, -128, 127};
  switch (fill) {
    case Fill::Random:
      return static_cast<int8_t>(random.next());
    case Fill::PlusOne:
      return 1;
    case Fill::MinusOne:
      return -1;
    case Fill::Extremes:
      return extremes[random.next() & 3];
    case Fill::OneHot:
      return hot ? -128 : 0;
    case Fill::Greatest:
      return 127;
    case Fill::Least:
      return -128;
    case Fill::Tiny:
    case Fill::Special:
    case Fill::Zero:
      break;
  }
  return 0;
}

// Of an i32 without a range: all of i32, values of every size.
int32_t any_i32(Fill fill, bool hot, Random &random) {
  static constexpr int32_t extremes[4] = {INT32_MIN, INT32_MAX, -1, INT32_MIN + 1};
  const uint64_t bits = random.next();
  switch (fill) {
    case Fill::Random:
      return static_cast<int32_t>(bits >> 32) >> (bits & 31);
    case Fill::Extremes:
      return extremes[bits & 3];
    case Fill::Greatest:
      return INT32_MAX;
    case Fill::Least:
      return INT32_MIN;
    case Fill::OneHot:
      return hot ? INT32_MIN : 0;
    default:
      return 0;
  }
}

int32_t i32_value(Fill fill, bool hot, int64_t low, int64_t high, Random &random) {
  if (low > high) return any_i32(fill, hot, random);
  const int64_t width = high > low ? high - low : 1;
  switch (fill) {
    case Fill::Greatest:
    case Fill::PlusOne:
      return static_cast<int32_t>(low + width - 1);
    case Fill::OneHot:
      return static_cast<int32_t>(hot ? low + width - 1 : low);
    case Fill::Random:
    case Fill::Extremes:
      return static_cast<int32_t>(low + random.below(width));
    default:
      return static_cast<int32_t>(low);
  }
}

// A row of trits: eight draws from each random word keep even the largest matrices cheap.
void fill_trits(int8_t *row, int64_t length, Fill fill, int64_t hot, Random &random) {
  if (fill == Fill::Random || fill == Fill::Extremes) {
    uint64_t word = 0;
    for (int64_t k = 0; k < length; ++k) {
      if (k % 8 == 0) word = random.next();
      row[k] = static_cast<int8_t>(((word & 0xff) * 3 >> 8)) - 1;
      word >>= 8;
    }
    return;
  }
  const int8_t value = fill == Fill::PlusOne || fill == Fill::Greatest ? 1
                       : fill == Fill::MinusOne || fill == Fill::Least ? -1
                                                                       : 0;
  std::memset(row, value, static_cast<size_t>(length));
  if (fill == Fill::OneHot) row[hot] = (random.next() & 1) != 0 ? 1 : -1;
}

void fill_row(Array &array, int64_t row, Fill fill, int64_t low, int64_t high, Random &random) {
  const int64_t length = array.row();
  const int64_t hot = random.below(length), kind = row_kind(random, length);
  uint8_t *at = array.bytes.data() + row * length * array.element_bytes();
  if (array.type == Type::Ternary) return fill_trits(reinterpret_cast<int8_t *>(at), length, fill, hot, random);
  for (int64_t k = 0; k < length; ++k) {
    switch (array.type) {
      case Type::I8:
        reinterpret_cast<int8_t *>(at)[k] = i8_value(fill, k == hot, random);
        break;
      case Type::I32:
        reinterpret_cast<int32_t *>(at)[k] = i32_value(fill, k == hot, low, high, random);
        break;
      case Type::F32:
        reinterpret_cast<float *>(at)[k] = real_value(fill, k == hot, kind, random);
        break;
      case Type::F16:
        reinterpret_cast<uint16_t *>(at)[k] = f32_to_f16(real_value(fill, k == hot, kind, random));
        break;
      case Type::BF16:
        reinterpret_cast<uint16_t *>(at)[k] = f32_to_bf16(real_value(fill, k == hot, kind, random));
        break;
      default:
        break;
    }
  }
}

Fill fill_for(const InputSet &set, Type type) {
  switch (type) {
    case Type::Ternary:
      return set.ternary;
    case Type::I8:
      return set.i8;
    case Type::I32:
      return set.index;
    default:
      return set.real;
  }
}

}  // namespace

const std::vector<InputSet> &input_sets() {
  static const std::vector<InputSet> sets = {
      {"random", Fill::Random, Fill::Random, Fill::Random, Fill::Random},
      {"all +1, activations 127", Fill::PlusOne, Fill::Greatest, Fill::PlusOne, Fill::Greatest},
      {"all +1, activations -128", Fill::PlusOne, Fill::Least, Fill::MinusOne, Fill::Least},
      {"all -1, activations -128", Fill::MinusOne, Fill::Least, Fill::Greatest, Fill::Random},
      {"all -1, activations 127", Fill::MinusOne, Fill::Greatest, Fill::Least, Fill::Random},
      {"activations +-127 and -128", Fill::Random, Fill::Extremes, Fill::Extremes, Fill::Random},
      {"one-hot", Fill::OneHot, Fill::Random, Fill::OneHot, Fill::OneHot},
      {"one-hot activations", Fill::Random, Fill::OneHot, Fill::Random, Fill::Greatest},
      {"zeros", Fill::Zero, Fill::Zero, Fill::Zero, Fill::Zero},
      {"signed zeros and denormals", Fill::Random, Fill::Random, Fill::Tiny, Fill::Extremes},
      {"infinities and NaN", Fill::Random, Fill::Random, Fill::Special, Fill::Least},
  };
  return sets;
}

Arrays make_inputs(const compiler::KernelSpec &spec, const compiler::Sizes &sizes, const InputSet &set) {
  Arrays inputs;
  for (const compiler::Tensor &tensor : spec.tensors) {
    if (tensor.role != compiler::Role::In) continue;
    Array array;
    array.type = tensor.type;
    for (const compiler::ExprPtr &extent : tensor.shape) array.shape.push_back(compiler::evaluate(extent, sizes));
    array.bytes.resize(static_cast<size_t>(array.count() * array.element_bytes()));
    // Without a range, low > high: all of i32.
    const int64_t low = tensor.range ? compiler::evaluate(tensor.range->first, sizes) : 1;
    const int64_t high = tensor.range ? compiler::evaluate(tensor.range->second, sizes) : 0;
    Random random{seed_of(tensor.name) ^ seed_of(set.name)};
    for (int64_t row = 0; row < array.rows(); ++row)
      fill_row(array, row, fill_for(set, tensor.type), low, high, random);
    inputs.emplace(tensor.name, std::move(array));
  }
  return inputs;
}

std::vector<float> make_scalars(const compiler::KernelSpec &spec) {
  static constexpr float values[] = {1e-5f, 0.125f, 0.5f, 2.0f};
  std::vector<float> scalars;
  for (size_t i = 0; i < spec.scalars.size(); ++i)
    scalars.push_back(values[(seed_of(spec.scalars[i]) >> 7) % std::size(values)]);
  return scalars;
}

}  // namespace bittern::tuning
