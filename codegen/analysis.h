// What every code generator asks of a planned kernel before it chooses loops: how expressions move with an index, where
// vectors read memory in order, which results may advance together. Plain IR in, answers out.
#pragma once
#include <string>
#include <vector>

#include "codegen/loop_plan.h"
#include "compiler/ir.h"

namespace bittern::codegen {

// A float sum has this many partial sums (index mod 16), combined i with i + 8, then + 4, + 2, + 1. Other reductions
// take the same shape, since their order is free.
inline constexpr unsigned kPartials = 16;

// How an expression moves with an index variable.
enum class Motion { Fixed, UnitStride, Other };
Motion motion(const compiler::ExprPtr &e, const std::string &var);
// The same for the address of a load (its last index steps through memory).
Motion load_motion(const compiler::Expr &load, const std::string &var);
inline bool moves(const compiler::ExprPtr &e, const std::string &var) { return motion(e, var) != Motion::Fixed; }

// Reductions of an expression that stand inside no other reduction, each once, in order of evaluation.
std::vector<compiler::ExprPtr> outer_reductions(const compiler::ExprPtr &e);

// i32(a) * i32(b) with a and b of type i8: pairs of them make one 16-bit multiply-add.
bool is_i8_product(const compiler::ExprPtr &e);

// Whether a reduction can be taken in vectors along its own variable: no reduction inside moves with it.
bool has_dot_form(const compiler::ExprPtr &reduction);

// Whether the stage's reductions read memory better in vectors along `var`, an index of the result, than along their
// own variables.
bool favours_outer(const Stage &stage, const std::string &var);

// Whether reductions of several results along the index at `position` may advance together: no extent depends on it.
bool advances_together(const Stage &stage, size_t position);

// How many values of the parallel size a tile has when the schedule does not say: where that index is the innermost of
// every output a tile should fill cache lines; where it is not, one step is a row's work. No size: one tile.
int64_t default_tile(const LoopPlan &plan);

}  // namespace bittern::codegen
