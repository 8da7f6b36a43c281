// Interval arithmetic over the IR, at concrete sizes or (with no sizes given) for all of them. bounds.h is the face of
// it for schedules and proofs.
#pragma once
#include <functional>
#include <map>
#include <string>

#include "compiler/bounds.h"
#include "compiler/ir.h"

namespace bittern::compiler {

class RangeAnalysis {
 public:
  // A size that is not given is 1 .. INT32_MAX, and what depends on it is `open`.
  RangeAnalysis(const KernelSpec &spec, Sizes sizes) : spec_(spec), sizes_(std::move(sizes)) {}

  // What an i32 or bool expression (`ints`) or a float one (`lo` .. `hi`, and whether NaN) can be.
  struct Range {
    Interval ints;
    double lo = 0, hi = 0;
    bool nan = false;
    bool open = false;  // depends on a size that is not given
  };
  // Ranges of the names in scope; a variable that is not there is any index, a let
  // any value.
  struct Scope {
    std::map<std::string, Range> vars, lets;
  };

  Range of(const ExprPtr &expr, const Scope &scope);

  // Calls `visit` on every node of the definition's extents and value with the names in scope there.
  void each(const Definition &definition, const std::function<void(const ExprPtr &, const Scope &)> &visit);

  // Called with an i32 operation whose exact result `raw` may leave i32 (the value itself wraps, so its range is then
  // all of i32). For sums, `raw` covers the partial sums in every order. `open`: it depends on a size that is not
  // given.
  std::function<void(const Expr &, Interval raw, bool open)> on_overflow;
  // Called with a conversion to i8 or from f32 to i32, and what is converted, when it may not fit.
  std::function<void(const Expr &, const Range &from)> on_unfit;

 private:
  Range integer(const Expr &e, Interval raw, bool open);
  Range operation(const Expr &e, const Scope &scope);
  Range float_operation(const Expr &e, const std::vector<Range> &args) const;
  Interval int_operation(const Expr &e, const std::vector<Range> &args) const;
  Interval conversion(const Expr &e, const Range &from) const;
  Range reduction(const Expr &e, const Scope &scope);
  Range load(const Expr &e);
  Range call(const Expr &e, const Scope &scope);
  Range variable(const ExprPtr &extent, const Scope &scope);
  bool sizes_known(const ExprPtr &e) const;
  void each(const ExprPtr &expr, const Scope &scope, const std::function<void(const ExprPtr &, const Scope &)> &visit);

  const KernelSpec &spec_;
  Sizes sizes_;
  std::map<std::string, Range> locals_;
};

}  // namespace bittern::compiler
