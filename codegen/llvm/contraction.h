// What the contraction generators (gemv, gemm) share: the walk over packed weights, and the epilogue that turns int32
// sums into a kernel's outputs. The operations that differ between instruction sets are in isa/.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "codegen/llvm/emit_expr.h"
#include "codegen/llvm/isa/isa.h"
#include "codegen/llvm/kernel_builder.h"
#include "schedules/contraction_plan.h"

namespace bittern::codegen {

// How 32-byte units of packed codes lie in memory and which k they hold. Knows the two families of i2 layouts.
struct PackedWalk {
  explicit PackedWalk(const std::string &layout);

  bool quads;             // i2q: 8 rows a unit, sums stay in lanes; else i2r: one row a unit, horizontal sums
  int64_t interleave;     // units of different rows side by side
  int64_t rows_per_unit;  // 8 or 1
  int64_t k_per_unit;     // 16 or 128
  int64_t row_tile() const { return interleave * rows_per_unit; }
  int64_t k_per_vector() const { return k_per_unit / 4; }  // k that one field of a unit holds for a row
};

// The row of W that output row n needs, as i64; n itself where rows are taken in order.
llvm::Value *weight_row(KernelBuilder &kb, const schedules::ContractionPlan &plan,
                        const schedules::Contraction &contraction, llvm::Value *n);

// The outputs of a plan, given the contractions' sums. Emits generic reductions (the defined order of f32 sums) too.
class ContractionEpilogue {
 public:
  // Loads sum number `index` for rows n .. n + lanes of token slot `token` at `group` (null when it has none).
  using LoadSum = std::function<llvm::Value *(size_t index, llvm::Value *n, llvm::Value *token, llvm::Value *group,
                                              unsigned lanes)>;

  // Whether the sums are of codes trit + 1, so that activation_sum() will be asked for what they have too much.
  enum class Offsets { Codes, None };
  ContractionEpilogue(KernelBuilder &kb, const schedules::ContractionPlan &plan, Offsets offsets = Offsets::Codes);

  // Computes what depends on the token alone, once for every token, into scratch; reserves scratch from `base` on.
  void prepare();
  // sum(k) A[m, k] of a contraction, from the given or from what prepare() computed; i32.
  llvm::Value *activation_sum(size_t index, llvm::Value *m, llvm::Value *group);
  // Writes rows [first, last) of token m, whose sums are in slot `token`.
  void emit(llvm::Value *first, llvm::Value *last, llvm::Value *m, llvm::Value *token, const LoadSum &load_sum);

  llvm::Value *tokens() const;  // i64: the size of m, or 1

 private:
  struct Hoisted {
    compiler::ExprPtr reduction;
    llvm::Value *array = nullptr;  // one element a token
  };
  llvm::Value *value(const compiler::ExprPtr &e, const Bindings &bindings, llvm::Value *token, const LoadSum *load_sum);
  llvm::Value *reduce(const compiler::ExprPtr &reduction, const Bindings &bindings, llvm::Value *token,
                      const LoadSum *load_sum);
  void collect_hoisted(const compiler::ExprPtr &e);
  const Hoisted *hoisted(const compiler::ExprPtr &e) const;
  Bindings token_bindings(llvm::Value *m) const;

  KernelBuilder &kb_;
  const schedules::ContractionPlan &plan_;
  ExprEmitter emitter_;
  std::vector<compiler::ExprPtr> activation_sums_;  // per contraction: a load of the given, or a Sum; or none
  std::vector<Hoisted> hoisted_;
};

// Takes `bytes` (fixed) plus `per_size[i]` bytes a unit of size parameter i from the call's scratch, 64-byte aligned.
llvm::Value *take_scratch(KernelBuilder &kb, int64_t bytes, const std::map<int, int64_t> &per_size = {});

// The plan of the kernel; throws Error when there is none.
schedules::ContractionPlan contraction_plan(KernelBuilder &kb);
// A parameter of the schedule; throws Error when it is missing.
int64_t schedule_parameter(KernelBuilder &kb, const std::string &name);
// Which size parameter an expression is that is one.
int size_index(KernelBuilder &kb, const compiler::ExprPtr &size);
// Memory for `elements` int32 sums of a contraction, for every group where it has groups. Without, they are few enough
// for the stack.
llvm::Value *take_sums(KernelBuilder &kb, const schedules::Contraction &contraction, int64_t elements);

// The int32 sums of a block of rows for a few tokens, [group][token][row] for each contraction: the loops leave them
// there, and the epilogue turns them into outputs.
class SumBlocks {
 public:
  // `tokens` and `rows` a block has room for.
  SumBlocks(KernelBuilder &kb, int64_t tokens, int64_t rows) : kb_(kb), tokens_(tokens), rows_(rows) {}
  // The next contraction's block.
  void add(llvm::Value *memory) { blocks_.push_back(memory); }
  // Where the sum of a row and a token of the block lies; `group` is null when the contraction has none.
  llvm::Value *place(size_t index, llvm::Value *row, llvm::Value *token, llvm::Value *group);
  // Writes rows [first, last), of which `first` is the block's first, for the tokens m0 .. m0 + count.
  void emit_outputs(ContractionEpilogue &epilogue, llvm::Value *first, llvm::Value *last, llvm::Value *m0,
                    llvm::Value *count);

 private:
  KernelBuilder &kb_;
  const int64_t tokens_, rows_;
  std::vector<llvm::Value *> blocks_;
};

// The tokens m0 .. m0 + count, and where their activation rows begin. Past the last token it comes again: the epilogue
// reads none of those sums.
struct TokenRows {
  std::vector<llvm::Value *> tokens, activations;
};
TokenRows token_rows(KernelBuilder &kb, const ContractionEpilogue &epilogue, const schedules::Contraction &contraction,
                     llvm::Value *m0, int64_t count);

// Emitters of the templates llvm.gemv, llvm.base3, llvm.lut and llvm.gemm.
void emit_gemv(KernelBuilder &kb);
void emit_base3(KernelBuilder &kb);
void emit_lut(KernelBuilder &kb);
void emit_gemm(KernelBuilder &kb);

}  // namespace bittern::codegen
