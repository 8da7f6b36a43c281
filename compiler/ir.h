// The intermediate representation of a kernel: what it computes, with no word of loops, vectors or threads.
// Text (parser.h) and C++ (builder.h) both give this IR; lowering, interpreter and proofs read nothing else.
// Nodes are immutable and shared, so a spec is a DAG that is cheap to copy and compare.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bittern::compiler {

// Storage and value types. Arithmetic happens on i32, f32 and bool; the narrow types are loaded with an explicit
// cast. Ternary holds -1, 0, 1.
enum class Type { Ternary, I8, I32, F16, BF16, F32, Bool };

// Limits that the kernel ABI and hostile text impose; the verifier holds every spec to them.
inline constexpr size_t kMaxSizes = 8;  // BT_MAX_SIZES
inline constexpr size_t kMaxRank = 4;   // BT_MAX_RANK
inline constexpr size_t kMaxTensors = 64;
inline constexpr size_t kMaxTextBytes = 64 << 10;
inline constexpr size_t kMaxNodes = 20000;  // of all expressions, function bodies included
inline constexpr int kMaxDepth = 150;       // nesting of one expression

enum class Op {
  IntConst,    // value in `ival`, type I32
  FloatConst,  // value in `fval` (exactly a float), type F32
  Var,         // index or reduction variable `name`, type I32
  Size,        // size parameter `name`, type I32
  Scalar,      // f32 parameter `name`
  Let,         // a let-bound name inside a function body, or a function's parameter
  Load,        // tensor `name` at `args`
  Cast,        // to `type`; i32(f32) truncates, f16/bf16(f32) round to nearest even, i8(i32) wants a value in range
  Call,        // function `name` of the spec applied to `args`
  Add,
  Sub,
  Mul,
  Div,
  Mod,
  Min,
  Max,  // i32 or f32; i32 Div/Mod are floor and want a divisor > 0
  Neg,
  Abs,
  Sqrt,
  RoundEven,
  Floor,  // Sqrt, RoundEven, Floor: f32 only, correctly rounded
  BitAnd,
  BitOr,
  BitXor,
  Shl,
  Shr,  // i32; Shr is arithmetic
  Eq,
  Ne,
  Lt,
  Le,
  Gt,
  Ge,  // give Bool
  And,
  Or,
  Not,
  Select,  // args: condition, then, else (both values are defined)
  BitsToF32,
  BitsToI32,  // reinterpret i32 <-> f32
  Sum,        // reduction variable `name` over 0 .. args[0] of args[1]. i32: exact. f32: the defined order,
              // 16 interleaved partials (index mod 16) starting at +0, product and sum each rounded, combined
              // i with i+8, then +4, +2, +1.
  MaxOf,
  MinOf  // reductions; over nothing they give -inf / +inf (f32) or the type's least / greatest (i32)
};

// Where a node came from in the kernel's text (1-based); 0 when it was built in C++.
struct Location {
  int line = 0, column = 0;
};

struct Expr;
using ExprPtr = std::shared_ptr<const Expr>;
struct Expr {
  Op op = Op::IntConst;
  Type type = Type::I32;
  int64_t ival = 0;
  float fval = 0;
  std::string name;
  std::vector<ExprPtr> args;
  Location loc;
};

enum class Role {
  In,     // given by the caller
  Given,  // given by the caller and promised to equal its definition (for example the row sums of A): lowering may
          // read it or ignore it, the interpreter checks it, the prover computes it
  Out,    // written by the kernel, every element exactly once
  Local   // intermediate; where and whether it is stored is the schedule's choice
};

struct Tensor {
  std::string name;
  Role role;
  Type type;
  std::vector<ExprPtr> shape;  // size expressions. A Local's shape is its definition's extents.
  int64_t pad = 1;             // the row (innermost dimension) is zero-filled up to a multiple of this
  // I32 inputs that are used as indices carry the half-open range [lo, hi) their values lie in.
  std::optional<std::pair<ExprPtr, ExprPtr>> range;
  Location loc;
};

struct IndexVar {
  std::string name;
  ExprPtr extent;  // may use sizes and, for locals and reductions, earlier index variables and I32 inputs
};

// tensor[vars...] = value, for every value of the index variables.
struct Definition {
  std::string tensor;
  std::vector<IndexVar> vars;
  ExprPtr value;
  Location loc;
};

// A pure scalar function: parameters, let-bindings in order, result.
struct Function {
  std::string name;
  std::vector<std::pair<std::string, Type>> params;
  std::vector<std::pair<std::string, ExprPtr>> lets;
  ExprPtr result;
};

struct KernelSpec {
  std::string name;
  std::vector<std::string> sizes;    // size parameters, in ABI order
  std::vector<std::string> scalars;  // f32 parameters, in ABI order
  // Which size counts tokens where the text declares it; empty: none does. Ask token_size() (compiler/token_size.h),
  // which knows what follows from shapes where nothing is declared.
  std::optional<std::string> tokens;
  std::vector<ExprPtr> requires_;       // Bool conditions on sizes, for example K % G == 0
  std::vector<Tensor> tensors;          // In, Given and Out in ABI order, then locals in order of definition
  std::vector<Definition> definitions;  // givens' definitions included; each reads only what is defined before it
  std::vector<Function> functions;      // those used, callees first

  const Tensor *find(const std::string &tensor) const;
  const Definition *definition(const std::string &tensor) const;
  // Tensors that are arguments of the ABI (everything but locals), in order.
  std::vector<const Tensor *> arguments() const;
};

// Concrete values of the size parameters.
using Sizes = std::map<std::string, int64_t>;

// Evaluates an expression made of sizes and integer constants; comparisons and their combinations give 0 or 1. Throws
// Error when it uses anything else, divides by less than 1 or leaves 64 bits.
int64_t evaluate(const ExprPtr &size_expression, const Sizes &sizes);

const char *type_name(Type);
// Bytes of one element in memory (Ternary: 0, its layout decides).
int type_bytes(Type);

}  // namespace bittern::compiler
