// Lowers an expression of the IR to LLVM values, one at a time or a vector of lanes along one index variable, with the
// float semantics that every backend shares: each operation rounded by itself, min and max as compare and select.
#pragma once
#include <map>
#include <string>
#include <unordered_map>

#include "codegen/llvm/kernel_builder.h"
#include "compiler/ir.h"

namespace bittern::codegen {

// What the free names of an expression stand for. Values of f16 and bf16 travel as i16 bits, of i8 and ternary as i8,
// of bool as i1; a vector has `lanes` of them.
struct Bindings {
  std::map<std::string, llvm::Value *> vars;  // index and reduction variables, as i64
  // When not empty: element l of the result is the expression at lane_var = vars[lane_var] + l.
  std::string lane_var;
  unsigned lanes = 1;
  // Sub-expressions that are computed already (a contraction's Sum), as scalars or vectors of `lanes`.
  std::map<const compiler::Expr *, llvm::Value *> known;

  Bindings with(const std::string &var, llvm::Value *value) const;
  // The same with lane_var along `var`, lane 0 at `first`.
  Bindings along(const std::string &var, llvm::Value *first, unsigned count) const;
};

// Where a local's elements are: memory, or one value when no dimension is stored.
struct TensorView {
  llvm::Value *data = nullptr;
  KernelBuilder::Values strides;  // elements, i64
  llvm::Value *value = nullptr;
};

class ExprEmitter {
 public:
  explicit ExprEmitter(KernelBuilder &builder) : builder_(builder), b_(builder.b) {}

  // Views of locals by name; arguments of the kernel are found by themselves, ternary ones through the layout that the
  // schedule names. A view has a stride per dimension, 0 for those that are not stored.
  std::map<std::string, TensorView> views;

  // Gives a vector only when the expression moves with the lane variable. Throws Error on a reduction that is not in
  // bindings.known.
  llvm::Value *emit(const compiler::ExprPtr &e, const Bindings &bindings);
  // As emit, but always a vector when bindings.lanes > 1.
  llvm::Value *emit_lanes(const compiler::ExprPtr &e, const Bindings &bindings);
  // An i32 expression as an i64 index, at lane 0.
  llvm::Value *index(const compiler::ExprPtr &e, const Bindings &bindings);
  // Address of the element that a load or store touches at lane 0.
  llvm::Value *address(const std::string &tensor, const std::vector<compiler::ExprPtr> &indices,
                       const Bindings &bindings);
  // Stores a scalar or a vector at consecutive elements from `address` on.
  void store(llvm::Value *value, llvm::Value *address);

  // The LLVM type that a value of this IR type has.
  llvm::Type *value_type(compiler::Type type, unsigned lanes = 1);

 private:
  using Memo = std::unordered_map<const compiler::Expr *, llvm::Value *>;
  using Scope = std::map<std::string, llvm::Value *>;
  struct Frame {  // one emission: bindings, the names of a function's body, and what was emitted already
    const Bindings &bindings;
    const Scope *scope;
    Memo memo;
  };
  llvm::Value *value(const compiler::ExprPtr &e, Frame &frame);
  llvm::Value *compute(const compiler::Expr &e, Frame &frame);
  llvm::Value *operation(const compiler::Expr &e, KernelBuilder::Values args);
  llvm::Value *call(const compiler::Expr &e, Frame &frame);
  llvm::Value *load(const compiler::Expr &e, Frame &frame);
  llvm::Value *load_trit(const compiler::Expr &e, const Bindings &bindings);
  llvm::Value *index(const compiler::ExprPtr &e, Frame &frame);
  llvm::Value *floor_divide(llvm::Value *x, llvm::Value *y, bool remainder);

  KernelBuilder &builder_;
  llvm::IRBuilder<> &b_;
};

}  // namespace bittern::codegen
