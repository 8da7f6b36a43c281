// The vocabulary of expressions as one table (spelling, precedence, form), their typing rules, and the few walks that
// parser, builder, printer and verifier share.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "compiler/ir.h"

namespace bittern::compiler {

// How an operation is written.
enum class Form {
  Leaf,       // constants and names
  Infix,      // a + b
  Prefix,     // -a, not a
  Function,   // sqrt(a), max(a, b)
  Cast,       // f32(a)
  Reduction,  // sum(k: K) body
  Access      // T[i, j] and f(x)
};

struct OpRow {
  Op op;
  const char *text;
  Form form;
  int precedence;  // of infix and prefix operations: larger binds tighter
  int arity;       // -1: any
};

inline constexpr int kLowestPrecedence = 1, kUnaryPrecedence = 11, kPrimaryPrecedence = 12;

const std::vector<OpRow> &op_table();
const OpRow &op_row(Op op);

// Type of `op` on operands of these types (`target`: what a Cast casts to; ignored otherwise). On a type error returns
// nothing and says why.
std::optional<Type> result_type(Op op, Type target, const std::vector<Type> &args, std::string &why);

// Node constructors. They do not check; `type` is what result_type gave.
ExprPtr int_const(int64_t value, Location loc = {});
ExprPtr float_const(float value, Location loc = {});
ExprPtr named(Op op, Type type, std::string name, Location loc = {});
ExprPtr node(Op op, Type type, std::vector<ExprPtr> args, std::string name = {}, Location loc = {});

// Structural equality; locations do not count, floats compare by bits.
bool equal(const ExprPtr &a, const ExprPtr &b);

// The expression with index variables replaced. Reductions bind their own variable and hide it.
ExprPtr substitute(const ExprPtr &expr, const std::map<std::string, ExprPtr> &vars);

// Calls `visit` on every node, parents first.
void walk(const ExprPtr &expr, const std::function<void(const ExprPtr &)> &visit);

// Drops the functions that no definition calls, directly or through others; the rest keep their order.
void keep_used_functions(KernelSpec &spec);

inline bool is_reduction(Op op) { return op == Op::Sum || op == Op::MaxOf || op == Op::MinOf; }
// Whether a reduction stands anywhere in the expression.
bool has_reduction(const ExprPtr &expr);

}  // namespace bittern::compiler
