// Reductions as loops: along the reduction in vectors of the 16 defined partial sums ("dot"), along the lanes of the
// result ("outer"), or one term at a time. All three give the same bits.
#pragma once
#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "codegen/llvm/emit_expr.h"

namespace bittern::codegen {

class ReductionEmitter {
 public:
  struct Choices {
    int64_t unroll = 1;              // 16-term steps a loop step
    int64_t prefetch = 0;            // bytes ahead in every row; 0: none
    std::string row_var;             // the index along which several reductions advance together
    int64_t rows = 1;                // how far the next block of rows is
    llvm::Value *row_end = nullptr;  // one past the last row: rows that other loads pick are fetched up to there
  };

  ReductionEmitter(KernelBuilder &builder, ExprEmitter &expressions)
      : builder_(builder), b_(builder.b), expressions_(expressions) {}

  // Tensors in scratch memory, where vectors may read past the end of a row: the values are dropped.
  std::set<std::string> padded;
  Choices choices;

  // The expression for each of the bindings, reductions included, advancing the reductions of all bindings together.
  // Their extents must be equal. Bindings with a lane variable: one at a time.
  KernelBuilder::Values evaluate(const compiler::ExprPtr &e, const std::vector<Bindings> &all);

  // Whether vectors along `var` may run past its extent: nothing outside scratch memory would be read.
  bool may_overrun(const compiler::ExprPtr &e, const std::string &var) const;

 private:
  using Values = KernelBuilder::Values;
  // The bindings with the values of the expression's outermost reductions among what is known.
  std::vector<Bindings> with_reductions(const compiler::ExprPtr &e, std::vector<Bindings> all);
  Values reduce(const compiler::ExprPtr &reduction, const std::vector<Bindings> &all);
  Values dot(const compiler::Expr &reduction, const std::vector<Bindings> &all);
  Values dot_i8(const compiler::Expr &reduction, const std::vector<Bindings> &all);
  Values one_by_one(const compiler::Expr &reduction, const std::vector<Bindings> &all);
  llvm::Value *outer(const compiler::Expr &reduction, const Bindings &bindings);
  void prefetch_rows(const compiler::Expr &reduction, const std::vector<Bindings> &all, llvm::Value *position,
                     llvm::Value *extent);
  void prefetch_picked(const compiler::Expr &reduction, const Bindings &bindings, llvm::Value *position);
  void prefetch_terms(const compiler::Expr &reduction, const Bindings &bindings, llvm::Value *term, llvm::Value *count);
  // Rows that are picked one by one are fetched as many rows ahead as KiB are asked for: they are short.
  int64_t picked_ahead() const { return std::max<int64_t>(1, choices.prefetch / 1024); }
  int64_t main_step(const compiler::Expr &reduction, int64_t least) const;

  llvm::Value *identity(const compiler::Expr &reduction, unsigned lanes);
  llvm::Value *accumulate(const compiler::Expr &reduction, llvm::Value *sum, llvm::Value *term);
  llvm::Value *combine(const compiler::Expr &reduction, llvm::Value *partials);
  llvm::Value *extent(const compiler::Expr &reduction, const Bindings &bindings);

  KernelBuilder &builder_;
  llvm::IRBuilder<> &b_;
  ExprEmitter &expressions_;
};

}  // namespace bittern::codegen
