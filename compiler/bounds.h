// Interval analysis of values, and from it the proofs that integer accumulators cannot overflow.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
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
// followed through + - *, min, max, round_even, floor, abs, negation, select and conversions (so that a clamped float
// has integer bounds), and are unbounded otherwise, in which case an i32() of them is all of i32. Sizes that are
// missing may be anything.
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

// A value of a kernel that is not proved to fit where it goes.
struct ValueFault {
  Location at;
  std::string text;
};

// The first, in the order of the definitions, of: an i32 sum that can overflow at these sizes (partial sums in any
// order included), an i8() of something that may not fit, an i32() of a float that may not fit or be NaN; whatever the
// legal inputs. The text says what was found and what to write instead. What depends on a size that is not given is not
// judged.
std::optional<ValueFault> value_fault(const KernelSpec &spec, const Sizes &sizes);

// The i32 operations of the values (indices and extents are left out) that can leave i32 at these sizes, and so must
// wrap; sizes that are not given may be anything.
std::set<const Expr *> wrapping_operations(const KernelSpec &spec, const Sizes &sizes);

}  // namespace bittern::compiler
