// A function under construction: LLVM's builder, loops and small helpers. Kernels and the functions of weight layouts
// are both written with it.
#pragma once
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

#include <functional>
#include <string>
#include <vector>

#include "schedules/target.h"

namespace bittern::codegen {

class FunctionBuilder {
 public:
  using Values = std::vector<llvm::Value *>;

  // Begins a function that may use the target's instructions and never throws; b stands at its entry. With
  // `meanings_on` it runs on that target instead, and `target`'s own instructions are replaced by their meanings
  // (isa/instruction.h).
  FunctionBuilder(llvm::Module &module, const schedules::Target &target, const std::string &name,
                  llvm::FunctionType *type, llvm::GlobalValue::LinkageTypes linkage,
                  const schedules::Target *meanings_on = nullptr);

  llvm::Module &module;
  const schedules::Target &target;   // whose schedules and instructions are used
  const schedules::Target &runs_on;  // what the machine code is for: `target`, unless built from meanings
  llvm::IRBuilder<> b;
  llvm::Function *function;

  bool from_meanings() const { return &runs_on != &target; }
  llvm::Value *i64(int64_t value) { return b.getInt64(static_cast<uint64_t>(value)); }
  llvm::Type *vector(llvm::Type *element, unsigned lanes) { return llvm::FixedVectorType::get(element, lanes); }
  llvm::Type *bytes_or_byte(unsigned lanes) { return lanes > 1 ? vector(b.getInt8Ty(), lanes) : b.getInt8Ty(); }
  llvm::Value *minimum(llvm::Value *x, llvm::Value *y);     // of i64, signed
  llvm::Value *round_up(llvm::Value *x, int64_t multiple);  // of i64, not negative
  llvm::Value *call(unsigned intrinsic, const std::vector<llvm::Type *> &overloads, const Values &arguments);
  // Fetches the cache line at `pointer` into all levels, or into all but the smallest (locality 2).
  void prefetch(llvm::Value *pointer, unsigned locality = 3);
  // A local array, allocated once at the function's entry, 64-byte aligned.
  llvm::Value *local_array(llvm::Type *element, uint64_t count);

  // for (i = first; i < last; i += step) body(i). Nothing runs when first >= last.
  void loop(llvm::Value *first, llvm::Value *last, int64_t step, const std::function<void(llvm::Value *)> &body);
  // The same with values carried from step to step; gives them after the last.
  Values loop(llvm::Value *first, llvm::Value *last, int64_t step, const Values &initial,
              const std::function<Values(llvm::Value *, const Values &)> &body);
  // if (condition) body(); else otherwise().
  void when(llvm::Value *condition, const std::function<void()> &body, const std::function<void()> &otherwise = {});
};

}  // namespace bittern::codegen
