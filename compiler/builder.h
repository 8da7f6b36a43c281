// Kernels in C++: the same IR as kernel text gives.
//
//   build::Kernel b("w2a8_matmul");
//   auto M = b.size("M"), N = b.size("N"), K = b.size("K");
//   auto W = b.in("W", Type::Ternary, {N, K}), A = b.in("A", Type::I8, {M, K}).pad(64);
//   auto Y = b.out("Y", Type::I32, {M, N});
//   build::Ex m = index("m", M), n = index("n", N), k = index("k", K);
//   Y(m, n) = sum(k, i32(W(n, k)) * i32(A(m, k)));
//   KernelSpec spec = b.finish();
#pragma once
#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "compiler/ir.h"

namespace bittern::compiler::build {

// An expression. Whole numbers are i32 constants, numbers with a point f32 constants. Operations on types that do not
// go together throw Error.
class Ex {
 public:
  Ex(int value);     // NOLINT: literals read as expressions
  Ex(double value);  // NOLINT
  explicit Ex(ExprPtr node, ExprPtr index_extent = nullptr)
      : node_(std::move(node)), extent_(std::move(index_extent)) {}

  const ExprPtr &node() const { return node_; }
  // Extent of an index variable; null for every other expression.
  const ExprPtr &extent() const { return extent_; }

 private:
  ExprPtr node_, extent_;
};

// An index variable 0 .. extent - 1, for definitions and reductions.
Ex index(const std::string &name, const Ex &extent);

Ex operator+(const Ex &a, const Ex &b);
Ex operator-(const Ex &a, const Ex &b);
Ex operator*(const Ex &a, const Ex &b);
Ex operator/(const Ex &a, const Ex &b);
Ex operator%(const Ex &a, const Ex &b);
Ex operator-(const Ex &a);
Ex operator&(const Ex &a, const Ex &b);
Ex operator|(const Ex &a, const Ex &b);
Ex operator^(const Ex &a, const Ex &b);
Ex operator<<(const Ex &a, const Ex &b);
Ex operator>>(const Ex &a, const Ex &b);
Ex operator==(const Ex &a, const Ex &b);
Ex operator!=(const Ex &a, const Ex &b);
Ex operator<(const Ex &a, const Ex &b);
Ex operator<=(const Ex &a, const Ex &b);
Ex operator>(const Ex &a, const Ex &b);
Ex operator>=(const Ex &a, const Ex &b);
Ex operator&&(const Ex &a, const Ex &b);
Ex operator||(const Ex &a, const Ex &b);
Ex operator!(const Ex &a);
Ex min(const Ex &a, const Ex &b);
Ex max(const Ex &a, const Ex &b);
Ex abs(const Ex &a);
Ex sqrt(const Ex &a);
Ex round_even(const Ex &a);
Ex floor(const Ex &a);
Ex select(const Ex &condition, const Ex &then, const Ex &otherwise);
Ex bits_f32(const Ex &a);
Ex bits_i32(const Ex &a);
Ex i32(const Ex &a);
Ex f32(const Ex &a);
Ex i8(const Ex &a);
Ex f16(const Ex &a);
Ex bf16(const Ex &a);
// Reductions over an index variable.
Ex sum(const Ex &index, const Ex &body);
Ex max_of(const Ex &index, const Ex &body);
Ex min_of(const Ex &index, const Ex &body);

class Kernel;

// A tensor with its indices: a value on the right, a definition when assigned to.
class Access : public Ex {
 public:
  Access(Kernel &kernel, std::string tensor, std::vector<Ex> indices);
  void operator=(const Ex &value);
  // Defines, copies nothing.
  void operator=(const Access &value) { *this = static_cast<const Ex &>(value); }  // NOLINT
  Access(const Access &) = default;

 private:
  Kernel *kernel_;
  std::string tensor_;
  std::vector<Ex> indices_;
};

class TensorRef {
 public:
  TensorRef(Kernel &kernel, std::string name) : kernel_(&kernel), name_(std::move(name)) {}

  template <class... Indices>
  Access operator()(const Indices &...indices) const {
    return Access(*kernel_, name_, {static_cast<Ex>(indices)...});
  }
  TensorRef pad(int64_t elements) const;
  TensorRef range(const Ex &low, const Ex &high) const;

 private:
  Kernel *kernel_;
  std::string name_;
};

// Inside a function's body: its parameters and lets.
class FunctionScope {
 public:
  explicit FunctionScope(Function &function) : function_(function) {}
  Ex param(const std::string &name) const;
  Ex let(const std::string &name, const Ex &value);

 private:
  Function &function_;
};

class Kernel {
 public:
  explicit Kernel(std::string name);

  Ex size(const std::string &name);
  Ex scalar(const std::string &name);
  void require(const Ex &condition);
  // Declares which size counts tokens; empty: none does.
  void tokens(const std::string &size);
  TensorRef in(const std::string &name, Type type, const std::vector<Ex> &shape);
  TensorRef given(const std::string &name, Type type, const std::vector<Ex> &shape);
  TensorRef out(const std::string &name, Type type, const std::vector<Ex> &shape);
  // An intermediate; its type and shape come from the assignment that defines it.
  TensorRef local(const std::string &name);

  // Takes in a library's functions; those that are not called are dropped by finish().
  void use(const std::string &library);
  void function(const std::string &name, const std::vector<std::pair<std::string, Type>> &params,
                const std::function<Ex(FunctionScope &)> &body);
  Ex call(const std::string &function, const std::vector<Ex> &args) const;

  // The verified kernel. Throws Error as verify() does.
  KernelSpec finish() const;

 private:
  friend class Access;
  friend class TensorRef;
  TensorRef declare(Role role, const std::string &name, Type type, const std::vector<Ex> &shape);
  void define(const std::string &tensor, const std::vector<Ex> &indices, const Ex &value);

  KernelSpec spec_;
};

}  // namespace bittern::compiler::build
