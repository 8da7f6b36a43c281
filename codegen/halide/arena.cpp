// See arena.h: two functions of LLVM IR.
#include "codegen/halide/arena.h"

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Intrinsics.h>

#include <vector>

namespace bittern::codegen::halide {
namespace {

using llvm::Value;

constexpr uint64_t kBlockHeader = 64;  // before each block; says where the next free byte was

llvm::Function *define(llvm::Module &module, const std::string &name, llvm::Type *result,
                       const std::vector<llvm::Type *> &parameters) {
  auto *function = llvm::Function::Create(llvm::FunctionType::get(result, parameters, false),
                                          llvm::Function::ExternalLinkage, name, module);
  function->setVisibility(llvm::GlobalValue::HiddenVisibility);
  return function;
}

// void *malloc(void *arena, size_t bytes): the next 64-byte-aligned block of the scratch. The sizes were bounded when
// the kernel was compiled; should a bound ever be wrong, the call stops instead of writing elsewhere.
void define_malloc(llvm::Module &module, const std::string &name) {
  llvm::IRBuilder<> b(module.getContext());
  llvm::Type *i64 = b.getInt64Ty(), *pointer = b.getPtrTy(), *byte = b.getInt8Ty();
  llvm::Function *function = define(module, name, pointer, {pointer, i64});
  auto *entry = llvm::BasicBlock::Create(module.getContext(), "entry", function);
  auto *fits = llvm::BasicBlock::Create(module.getContext(), "fits", function);
  auto *overflow = llvm::BasicBlock::Create(module.getContext(), "overflow", function);
  b.SetInsertPoint(entry);
  Value *arena = function->getArg(0);
  Value *rounded = b.CreateAnd(b.CreateAdd(function->getArg(1), b.getInt64(63)), b.getInt64(~uint64_t{63}));
  Value *current_slot = b.CreateConstGEP1_64(byte, arena, kArenaCurrent);
  Value *block = b.CreateConstGEP1_64(byte, b.CreateLoad(pointer, current_slot), kBlockHeader);
  Value *next = b.CreateGEP(byte, block, rounded);
  Value *end = b.CreateLoad(pointer, b.CreateConstGEP1_64(byte, arena, kArenaEnd));
  b.CreateCondBr(b.CreateICmpULE(next, end), fits, overflow);
  b.SetInsertPoint(overflow);
  b.CreateIntrinsic(llvm::Intrinsic::trap, {}, {});
  b.CreateUnreachable();
  b.SetInsertPoint(fits);
  b.CreateStore(next, current_slot);
  b.CreateStore(next, b.CreateConstGEP1_64(byte, block, -static_cast<int64_t>(kBlockHeader)));
  b.CreateRet(block);
}

// void free(void *arena, void *block): gives the block back when it is the last one; the rest goes with the call.
void define_free(llvm::Module &module, const std::string &name) {
  llvm::IRBuilder<> b(module.getContext());
  llvm::Type *pointer = b.getPtrTy(), *byte = b.getInt8Ty();
  llvm::Function *function = define(module, name, b.getVoidTy(), {pointer, pointer});
  b.SetInsertPoint(llvm::BasicBlock::Create(module.getContext(), "entry", function));
  Value *current_slot = b.CreateConstGEP1_64(byte, function->getArg(0), kArenaCurrent);
  Value *current = b.CreateLoad(pointer, current_slot);
  Value *header = b.CreateConstGEP1_64(byte, function->getArg(1), -static_cast<int64_t>(kBlockHeader));
  Value *is_last = b.CreateICmpEQ(b.CreateLoad(pointer, header), current);
  b.CreateStore(b.CreateSelect(is_last, header, current), current_slot);
  b.CreateRetVoid();
}

}  // namespace

void define_allocator(llvm::Module &module, const std::string &symbol) {
  define_malloc(module, symbol + "_malloc");
  define_free(module, symbol + "_free");
}

}  // namespace bittern::codegen::halide
