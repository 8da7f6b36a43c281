// Interval analysis of values, and from it the proofs that integer accumulators cannot overflow.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "compiler/ir.h"

namespace bittern::compiler {

// Closed interval of integers.
struct Interval {
  int64_t lo = 0, hi = 0;
  bool operator==(const Interval &) const = default;
};

// Every value that a * b can take.
Interval product(Interval a, Interval b);

// Values a tensor's elements can take by type alone (ternary -1 .. 1, i8 -128 .. 127, ...) or by its declared range at
// `sizes`. Only for ternary, i8 and i32.
Interval element_range(const Tensor &tensor, const Sizes &sizes);

// Values that an expression of a definition can take for any legal inputs, all index variables over their extents.
// `expr` is a node of `definition`'s value or extents. Integers are exact up to saturation at 64 bits; floats are
// followed through min, max, round_even, floor, abs, negation, select and conversions (so that a clamped float has
// integer bounds), and are unbounded otherwise, in which case an i32() of them is all of i32. Empty `sizes` means any.
Interval range_of(const KernelSpec &spec, const Sizes &sizes, const Definition &definition, const ExprPtr &expr);

// How many terms in `term` may be added into a signed accumulator of `bits` bits that starts at 0, in any order,
// without overflow. INT64_MAX when every term is 0.
int64_t max_terms(Interval term, int bits);

// Whether adding `terms` products code * act, in any order, can overflow a signed accumulator of `bits` bits: nothing
// when it cannot, else the reason in words with the largest number of terms that is safe.
std::optional<std::string> accumulator_overflow(Interval code, Interval act, int64_t terms, int bits);
// The same with symmetric bounds |code| <= max_code, |act| <= max_act.
std::optional<std::string> accumulator_overflow(int64_t max_code, int64_t max_act, int64_t terms, int bits);
// Largest safe number of such products in int16.
int64_t max_terms_int16(Interval code, Interval act);

// Holds every i32 sum of the kernel against int32 at these sizes, whatever the (legal) inputs: nothing when none can
// overflow, partial sums in any order included; else the reason, naming the definition and the bounds. Empty `sizes`
// means any size.
std::optional<std::string> check_i32_sums(const KernelSpec &spec, const Sizes &sizes);

}  // namespace bittern::compiler
