// Finds the heavy part of a kernel: sums of ternary weights times int8 activations. Reads the IR only, so a kernel the
// project has never seen is recognised by what it computes. What is not recognised is left to generic lowering.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "compiler/ir.h"

namespace bittern::schedules {

// sum(k: extent) i32(W[row, first + k]) * i32(A[lead..., first + k]), operands in either order.
struct Contraction {
  compiler::ExprPtr sum;                // the Sum node; its address identifies the contraction in a spec
  std::string definition;               // the tensor whose definition contains the sum
  std::string weights;                  // W: ternary[rows, depth]
  std::string activations;              // A: i8[..., depth]
  compiler::ExprPtr row;                // W's first index: a variable, or any expression without the reduction variable
  std::vector<compiler::ExprPtr> lead;  // A's indices before its last
  std::string k;                        // the reduction variable
  compiler::ExprPtr extent;             // number of products: the whole depth, or a group of it
  compiler::ExprPtr first;              // position of the first product, `group * extent`; null when it is 0
  compiler::ExprPtr group;              // the group's index expression; null when the sum runs over the whole depth
  compiler::ExprPtr rows, depth;        // W's shape
  int64_t activation_pad = 1;           // A's rows are zero-filled to a multiple of this
  // sum(k: extent) i32(A[lead..., first + k]), which codes trit + 1 add: a load of the `given` that holds it, else the
  // sum, as if the kernel's text had it.
  compiler::ExprPtr activation_sum;
};

// Every contraction of the spec, in order of definition; definitions of givens are not searched.
std::vector<Contraction> find_contractions(const compiler::KernelSpec &spec);

// The contraction that the expression is, if it is one.
std::optional<Contraction> match_contraction(const compiler::KernelSpec &spec, const compiler::ExprPtr &sum);

// Whether two expressions are the same, with variables of `a` renamed to those of `b` by `rename`.
bool same_expression(const compiler::ExprPtr &a, const compiler::ExprPtr &b,
                     const std::map<std::string, std::string> &rename = {});
// Whether variable `name` occurs in the expression (reduction variables that hide it not considered: names are unique).
bool uses_variable(const compiler::ExprPtr &expression, const std::string &name);
// Whether the spec's requirements say that `size` is a multiple of `divisor`.
bool required_multiple(const compiler::KernelSpec &spec, const compiler::ExprPtr &size, int64_t divisor);

}  // namespace bittern::schedules
