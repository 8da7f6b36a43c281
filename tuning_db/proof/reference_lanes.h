// Arithmetic of the fast reference on blocks of lanes: loading and storing narrow types, conversions, and the
// operations of the kernel language, each by its definition.
#pragma once
#include <bit>
#include <cstdint>

#include "compiler/expr.h"
#include "tuning_db/proof/array.h"

namespace bittern::tuning::reference {

constexpr int kBlock = 256;  // lanes evaluated together; a multiple of the 16 interleaved partial sums

// A lane is 32 bits: an i32, a float's bits, or a Bool as 0 / 1. Narrow types are held widened.
using Lanes = uint32_t[kBlock];

inline float as_float(uint32_t bits) { return std::bit_cast<float>(bits); }
inline uint32_t bits_of(float value) { return std::bit_cast<uint32_t>(value); }
inline int32_t as_int(uint32_t bits) { return static_cast<int32_t>(bits); }

// Elements offset .. offset + n - 1 of a tensor, widened to lanes; and lanes narrowed into it.
void load_lanes(const Array &tensor, int64_t offset, int n, uint32_t *out);
void store_lanes(Array &tensor, int64_t offset, int n, const uint32_t *lanes);

// x = op(x), of `n` lanes that have type `from`; `to` is the result's.
void unary_lanes(compiler::Op op, compiler::Type from, compiler::Type to, int n, uint32_t *x);
// x = op(x, y), both of type `type`.
void binary_lanes(compiler::Op op, compiler::Type type, int n, uint32_t *x, const uint32_t *y);

}  // namespace bittern::tuning::reference
