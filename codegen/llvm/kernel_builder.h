// A kernel function under construction: the LLVM builder, the call's arguments as values (constants where the request
// fixes them), and loops. What every template emitter works with.
#pragma once
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "codegen/backend.h"

namespace bittern::codegen {

// Which of LLVM's own loop passes run on a template's code. Templates that vectorise and unroll by hand want none.
struct PassChoices {
  bool vectorize = false;  // loop and SLP vectorisers
  bool unroll = false;
};

class KernelBuilder {
 public:
  using Values = std::vector<llvm::Value *>;

  // Begins `void symbol(const bt_args *)` and fills the descriptor with all that does not depend on the template.
  KernelBuilder(const Request &request, llvm::Module &module, Descriptor &descriptor);

  const Request &request;
  const compiler::KernelSpec &spec;
  const schedules::Target &target;
  llvm::Module &module;
  Descriptor &descriptor;
  llvm::IRBuilder<> b;
  llvm::Function *function;
  PassChoices passes;

  // --- the call's arguments -----------------------------------------------------------------------------------------
  // A size parameter: i64, a constant where the request fixes it, else known to lie in [0, 2^31).
  llvm::Value *size(const std::string &name) const;
  // An expression of sizes and constants, as i64.
  llvm::Value *size_expression(const compiler::ExprPtr &expression);
  llvm::Value *scalar(const std::string &name) const;                      // float
  llvm::Value *data(const std::string &tensor) const;                      // ptr
  llvm::Value *stride(const std::string &tensor, size_t dimension) const;  // i64, elements; innermost: constant 1
  llvm::Value *scratch() const { return scratch_; }                        // ptr, 64-byte aligned
  llvm::Value *tile_begin() const { return tile_begin_; }                  // i64
  llvm::Value *tile_end() const { return tile_end_; }                      // i64
  // [first, last) of the tiled size that this call covers: tiles times descriptor.tile, cut at the size.
  std::pair<llvm::Value *, llvm::Value *> tile_range();
  // Address of tensor[indices], indices in elements as i64. Not for ternary tensors.
  llvm::Value *address(const std::string &tensor, const Values &indices);

  // --- small things -------------------------------------------------------------------------------------------------
  bool avx2() const;  // AVX2, F16C and FMA are there
  bool sse41() const;
  llvm::Value *i64(int64_t value) { return b.getInt64(static_cast<uint64_t>(value)); }
  llvm::Type *vector(llvm::Type *element, unsigned lanes) { return llvm::FixedVectorType::get(element, lanes); }
  llvm::Value *minimum(llvm::Value *x, llvm::Value *y);  // of i64, signed
  llvm::Value *call(unsigned intrinsic, const std::vector<llvm::Type *> &overloads, const Values &arguments);
  // Fetches the cache line at `pointer` into all levels.
  void prefetch(llvm::Value *pointer);
  // A local array, allocated once at the function's entry, 64-byte aligned.
  llvm::Value *local_array(llvm::Type *element, uint64_t count);

  // for (i = first; i < last; i += step) body(i). Nothing runs when first >= last.
  void loop(llvm::Value *first, llvm::Value *last, int64_t step, const std::function<void(llvm::Value *)> &body);
  // The same with values carried from step to step; gives them after the last.
  Values loop(llvm::Value *first, llvm::Value *last, int64_t step, const Values &initial,
              const std::function<Values(llvm::Value *, const Values &)> &body);
  // if (condition) body().
  void when(llvm::Value *condition, const std::function<void()> &body);

 private:
  struct Argument {
    std::string name;
    llvm::Value *data;
    Values strides;
  };
  const Argument &argument(const std::string &tensor) const;
  llvm::LoadInst *load_constant_argument(llvm::Type *type, llvm::Value *pointer, uint64_t alignment);

  std::vector<std::pair<std::string, llvm::Value *>> sizes_, scalars_;
  std::vector<Argument> arguments_;
  llvm::Value *scratch_ = nullptr, *tile_begin_ = nullptr, *tile_end_ = nullptr;
};

}  // namespace bittern::codegen
