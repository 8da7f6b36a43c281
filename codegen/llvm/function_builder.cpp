// The loops are written with the test before the body; LLVM rotates them.
#include "codegen/llvm/function_builder.h"

#include <llvm/IR/Constants.h>
#include <llvm/IR/Intrinsics.h>

#include "codegen/llvm/llvm_target.h"

namespace bittern::codegen {

using llvm::BasicBlock;
using llvm::Value;

FunctionBuilder::FunctionBuilder(llvm::Module &module_, const schedules::Target &target_, const std::string &name,
                                 llvm::FunctionType *type, llvm::GlobalValue::LinkageTypes linkage,
                                 const schedules::Target *meanings_on)
    : module(module_),
      target(target_),
      runs_on(meanings_on ? *meanings_on : target_),
      b(module_.getContext()),
      function(llvm::Function::Create(type, linkage, name, module_)) {
  const LlvmTarget &code_for = llvm_target(runs_on);
  function->addFnAttr("target-cpu", code_for.cpu);
  if (*code_for.features != '\0') function->addFnAttr("target-features", code_for.features);
  function->addFnAttr(llvm::Attribute::NoUnwind);
  b.SetInsertPoint(BasicBlock::Create(module.getContext(), "entry", function));
}

Value *FunctionBuilder::round_up(Value *x, int64_t multiple) {
  return b.CreateMul(b.CreateUDiv(b.CreateAdd(x, i64(multiple - 1)), i64(multiple)), i64(multiple));
}

Value *FunctionBuilder::minimum(Value *x, Value *y) { return b.CreateSelect(b.CreateICmpSLT(x, y), x, y); }

Value *FunctionBuilder::call(unsigned intrinsic, const std::vector<llvm::Type *> &overloads, const Values &arguments) {
  return b.CreateCall(llvm::Intrinsic::getDeclaration(&module, intrinsic, overloads), arguments);
}

void FunctionBuilder::prefetch(Value *pointer, unsigned locality) {
  call(llvm::Intrinsic::prefetch, {b.getPtrTy()}, {pointer, b.getInt32(0), b.getInt32(locality), b.getInt32(1)});
}

Value *FunctionBuilder::local_array(llvm::Type *element, uint64_t count) {
  BasicBlock &entry = function->getEntryBlock();
  llvm::IRBuilder<> at_entry(&entry, entry.begin());
  llvm::AllocaInst *array = at_entry.CreateAlloca(llvm::ArrayType::get(element, count));
  array->setAlignment(llvm::Align(64));
  return array;
}

void FunctionBuilder::loop(Value *first, Value *last, int64_t step, const std::function<void(Value *)> &body) {
  loop(first, last, step, {}, [&](Value *i, const Values &) {
    body(i);
    return Values{};
  });
}

FunctionBuilder::Values FunctionBuilder::loop(Value *first, Value *last, int64_t step, const Values &initial,
                                              const std::function<Values(Value *, const Values &)> &body) {
  llvm::LLVMContext &context = module.getContext();
  BasicBlock *before = b.GetInsertBlock();
  BasicBlock *head = BasicBlock::Create(context, "loop", function);
  BasicBlock *inside = BasicBlock::Create(context, "body", function);
  BasicBlock *after = BasicBlock::Create(context, "after", function);
  b.CreateBr(head);
  b.SetInsertPoint(head);
  llvm::PHINode *i = b.CreatePHI(first->getType(), 2);
  i->addIncoming(first, before);
  Values carried;
  for (Value *value : initial) {
    llvm::PHINode *phi = b.CreatePHI(value->getType(), 2);
    phi->addIncoming(value, before);
    carried.push_back(phi);
  }
  b.CreateCondBr(b.CreateICmpSLT(i, last), inside, after);
  b.SetInsertPoint(inside);
  const Values next = body(i, carried);
  Value *next_i = b.CreateAdd(i, llvm::ConstantInt::getSigned(i->getType(), step), "", false, true);
  i->addIncoming(next_i, b.GetInsertBlock());
  for (size_t v = 0; v < carried.size(); ++v)
    llvm::cast<llvm::PHINode>(carried[v])->addIncoming(next.at(v), b.GetInsertBlock());
  b.CreateBr(head);
  b.SetInsertPoint(after);
  return carried;
}

void FunctionBuilder::when(Value *condition, const std::function<void()> &body,
                           const std::function<void()> &otherwise) {
  llvm::LLVMContext &context = module.getContext();
  BasicBlock *inside = BasicBlock::Create(context, "then", function);
  BasicBlock *after = BasicBlock::Create(context, "after", function);
  BasicBlock *other = otherwise ? BasicBlock::Create(context, "else", function) : after;
  b.CreateCondBr(condition, inside, other);
  b.SetInsertPoint(inside);
  body();
  b.CreateBr(after);
  if (otherwise) {
    b.SetInsertPoint(other);
    otherwise();
    b.CreateBr(after);
  }
  b.SetInsertPoint(after);
}

}  // namespace bittern::codegen
