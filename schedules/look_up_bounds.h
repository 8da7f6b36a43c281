// The numbers that table look-up kernels are proved by, for legality and lowering alike.
#pragma once
#include <algorithm>
#include <cstdint>

#include "compiler/bounds.h"
#include "schedules/layout.h"
#include "schedules/ternary_facts.h"

namespace bittern::schedules {

// A split sum s is low = s & 31 and high = (s >> 5) + kSplitBias, both bytes without a sign; so many of each are added
// before they are widened: 8 * 31 = 248 and, as |s| <= 2 * 128, 8 * (8 + 8) = 128. Widened, they are added as 16 bits
// without a sign.
constexpr int kSplitBits = 5;
constexpr int64_t kSplitBias = 8, kSplitLookUps = 8, kSplitChunk = 2048;

constexpr int64_t kSplitLow = (1 << kSplitBits) - 1, kSplitHigh = (2 * 128 >> kSplitBits) + kSplitBias;
static_assert((-2 * 128 >> kSplitBits) + kSplitBias >= 0, "the bias leaves no sign");
static_assert(kSplitLookUps * kSplitLow <= UINT8_MAX && kSplitLookUps * kSplitHigh <= UINT8_MAX);
static_assert(kSplitChunk * kSplitLow <= UINT16_MAX && kSplitChunk * kSplitHigh <= UINT16_MAX);

// The sums that a table of the layout holds: as many activations in -128 .. 127 as a cell has trits, each times -1, 0
// or 1. Negated ones are taken as -s - 1 first and mended by their number.
inline compiler::Interval table_sums(const Layout &layout) {
  const int64_t most = 128 * layout.cell.trits();
  return layout.family == LayoutFamily::Triples ? compiler::Interval{-most - 1, most} : compiler::Interval{-most, most};
}

// Rows that a vector of indices holds, two units of 32 side by side where the target looks up 64 bytes and a step takes
// an even number of units; and whether its tables hold the negatives of their sums, so that signs are bits of indices.
inline int64_t look_up_rows(const Target &target, const Layout &layout, int64_t units) {
  return ternary_facts(target).look_up_bytes == 64 && units % 2 == 0 && layout.row_tile % 64 == 0 ? 64 : 32;
}
inline bool signed_tables(const Target &target, const Layout &layout, int64_t units) {
  return ternary_facts(target).look_up_table == 64 && layout.family == LayoutFamily::Triples &&
         look_up_rows(target, layout, units) == 64;
}

// Table look-ups in a unit.
inline int64_t unit_look_ups(const Layout &layout) { return layout.k_tile / layout.cell.trits(); }

}  // namespace bittern::schedules
