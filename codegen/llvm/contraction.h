// What the contraction generators (gemv, gemm) share: the few operations that differ between instruction sets, the
// walk over packed weights, and the epilogue that turns int32 sums into a kernel's outputs.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "codegen/llvm/emit_expr.h"
#include "codegen/llvm/kernel_builder.h"
#include "schedules/contraction_plan.h"

namespace bittern::codegen {

// Arithmetic on 32 codes (0..2, or scaled) and 32 activations, as the instruction set does it best. All wrap or are
// exact; a schedule's legality says how many products an int16 lane may hold.
class PairArithmetic {
 public:
  explicit PairArithmetic(KernelBuilder &kb) : kb_(kb) {}

  llvm::Type *bytes() const;   // <32 x i8>
  llvm::Type *halves() const;  // <16 x i16>
  llvm::Type *words() const;   // <8 x i32>
  // Lane i: codes[2 i] * activations[2 i] + codes[2 i + 1] * activations[2 i + 1], codes unsigned, |result| < 2^15.
  llvm::Value *pair_products(llvm::Value *codes, llvm::Value *activations);
  // Whether products are summed straight into int32 lanes; if not, int16 lanes hold them for a while.
  bool direct() const { return kb_.vnni(); }
  llvm::Type *partial() const { return direct() ? words() : halves(); }
  // The partial sum with 32 more products.
  llvm::Value *accumulate(llvm::Value *sum, llvm::Value *codes, llvm::Value *activations);
  // A partial sum in int32: lane i of words is halves[2 i] + halves[2 i + 1].
  llvm::Value *widen(llvm::Value *sum);
  // 2-bit field of every byte, moved down to bits 0 and 1; `shift` is a constant or an i64 below 8.
  llvm::Value *field(llvm::Value *packed, int shift);
  llvm::Value *field(llvm::Value *packed, llvm::Value *shift);
  // The bytes masked, the 16-bit lanes first shifted right: a field that keeps its place in the byte.
  llvm::Value *masked(llvm::Value *packed, int shift, uint8_t mask);
  // Lane r: the sum of vector r's lanes. `vectors`: 1, 2, 4 or 8 of <8 x i32>; gives an i32 or as many lanes.
  llvm::Value *sums_of(std::vector<llvm::Value *> vectors);

 private:
  KernelBuilder &kb_;
};

// How 32-byte units of packed codes lie in memory and which k they hold. Knows the two families of i2 layouts.
struct PackedWalk {
  explicit PackedWalk(const std::string &layout);

  bool quads;           // i2q: 8 rows a unit, sums stay in lanes; else i2r: one row a unit, horizontal sums
  int64_t interleave;   // units of different rows side by side
  int64_t rows_a_unit;  // 8 or 1
  int64_t k_a_unit;     // 16 or 128
  int64_t row_tile() const { return interleave * rows_a_unit; }
  int64_t k_a_vector() const { return k_a_unit / 4; }  // k that one field of a unit holds for a row
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

  ContractionEpilogue(KernelBuilder &kb, const schedules::ContractionPlan &plan);

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
  std::vector<compiler::ExprPtr> activation_sums_;  // per contraction: a load of the given, or a Sum
  std::vector<Hoisted> hoisted_;
};

// Takes `bytes` (fixed) plus `per_size[i]` bytes a unit of size parameter i from the call's scratch, 64-byte aligned.
llvm::Value *take_scratch(KernelBuilder &kb, int64_t bytes, const std::map<int, int64_t> &per_size = {});

// Emitters of the templates llvm.gemv and llvm.gemm.
void emit_gemv(KernelBuilder &kb);
void emit_gemm(KernelBuilder &kb);

}  // namespace bittern::codegen
