// A loop around one instruction.
#include "codegen/llvm/isa/probe.h"

#include <fmt/format.h>
#include <llvm/IR/LLVMContext.h>
#include <llvm/Target/TargetMachine.h>
#include <llvm/Transforms/Utils/Cloning.h>

#include "codegen/llvm/isa/isa.h"
#include "codegen/llvm/object.h"
#include "compiler/error.h"

namespace bittern::codegen {
namespace {

int64_t bytes_of(llvm::Type *type) { return static_cast<int64_t>(type->getPrimitiveSizeInBits() / 8); }

const Instruction &find_instruction(const std::string &name) {
  for (const Instruction &row : instructions())
    if (row.name == name) return row;
  throw Error(fmt::format("no instruction is called \"{}\"", name));
}

}  // namespace

std::vector<InstructionFacts> instruction_facts() {
  llvm::LLVMContext context;
  std::vector<InstructionFacts> all;
  for (const IsaRow &set : isa_registry()) {
    for (const Instruction &row : set.instructions()) {
      llvm::FunctionType *type = type_of(row, context);
      InstructionFacts facts{row.name, row.mnemonic, set.name, row.isa_needs, {}, bytes_of(type->getReturnType())};
      for (llvm::Type *operand : type->params()) facts.operand_bytes.push_back(bytes_of(operand));
      all.push_back(facts);
    }
  }
  return all;
}

Probe probe_instruction(const std::string &instruction, const schedules::Target &target, const std::string &symbol,
                        const schedules::Target *meanings_on) {
  const Instruction &row = find_instruction(instruction);
  llvm::LLVMContext context;
  const std::unique_ptr<llvm::TargetMachine> machine = target_machine(meanings_on ? *meanings_on : target);
  const std::unique_ptr<llvm::Module> module = make_module(context, symbol, *machine);
  llvm::Type *pointer = llvm::PointerType::get(context, 0), *i64 = llvm::Type::getInt64Ty(context);
  FunctionBuilder f(*module, target, symbol,
                    llvm::FunctionType::get(llvm::Type::getVoidTy(context), {pointer, pointer, i64}, false),
                    llvm::GlobalValue::ExternalLinkage, meanings_on);
  llvm::Value *operands = f.function->getArg(0), *results = f.function->getArg(1), *count = f.function->getArg(2);
  llvm::FunctionType *type = type_of(row, context);
  f.loop(f.i64(0), count, 1, [&](llvm::Value *i) {
    Values values;
    llvm::Value *start = operands;
    for (llvm::Type *operand : type->params()) {
      llvm::Value *bytes = f.i64(bytes_of(operand));
      llvm::Value *place = f.b.CreateGEP(f.b.getInt8Ty(), start, f.b.CreateMul(i, bytes));
      values.push_back(f.b.CreateAlignedLoad(operand, place, llvm::Align(1)));
      start = f.b.CreateGEP(f.b.getInt8Ty(), start, f.b.CreateMul(count, bytes));
    }
    llvm::Value *place =
        f.b.CreateGEP(f.b.getInt8Ty(), results, f.b.CreateMul(i, f.i64(bytes_of(type->getReturnType()))));
    f.b.CreateAlignedStore(emit(f, row, values), place, llvm::Align(1));
  });
  f.b.CreateRetVoid();
  optimize(*module, *machine, {});
  Probe probe;
  probe.assembly = emit_assembly(*llvm::CloneModule(*module), *machine);
  probe.object = emit_object(*module, *machine);
  check_undefined(probe.object, {});
  return probe;
}

}  // namespace bittern::codegen
