// A kernel function under construction: the LLVM builder, the call's arguments as values (constants where the request
// fixes them), and loops. What every template emitter works with.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "codegen/backend.h"
#include "codegen/llvm/function_builder.h"

namespace bittern::codegen {

// Which of LLVM's own loop passes run on a template's code. Templates that vectorise and unroll by hand want none.
struct PassChoices {
  bool vectorize = false;  // loop and SLP vectorisers
  bool unroll = false;
};

class KernelBuilder : public FunctionBuilder {
 public:
  // Begins `void symbol(const bt_args *)` and fills the descriptor with all that does not depend on the template.
  KernelBuilder(const Request &request, llvm::Module &module, Descriptor &descriptor);

  const Request &request;
  const compiler::KernelSpec &spec;
  Descriptor &descriptor;
  PassChoices passes;
  int64_t hot_products = 0;  // products of weights and activations that one turn of the hot loop adds; 0: not counted

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
