// From an LLVM module to a relocatable object in memory: optimisation, code generation, and the check that the code
// needs nothing from outside.
#pragma once
#include <llvm/IR/Module.h>

#include <memory>
#include <string>
#include <vector>

#include "codegen/llvm/kernel_builder.h"
#include "schedules/target.h"

namespace llvm {
class TargetMachine;
}

namespace bittern::codegen {

// Strict float semantics, position-independent, O2. Throws Error when this LLVM cannot generate for the target.
std::unique_ptr<llvm::TargetMachine> target_machine(const schedules::Target &target);

// A module with the target's triple and data layout.
std::unique_ptr<llvm::Module> make_module(llvm::LLVMContext &context, const std::string &name,
                                          const llvm::TargetMachine &machine);

// The module as LLVM's text.
std::string print_module(const llvm::Module &module);

// Verifies and runs LLVM's O2 pipeline. Throws Error with LLVM's words when the module is malformed.
void optimize(llvm::Module &module, llvm::TargetMachine &machine, const PassChoices &passes);

// The module as an ELF object, or as assembly text. Either consumes the module: clone it to have both.
std::string emit_object(llvm::Module &module, llvm::TargetMachine &machine);
std::string emit_assembly(llvm::Module &module, llvm::TargetMachine &machine);

// Throws Error when the object refers to a symbol that is not in `allowed` (memcpy and memset always are).
void check_undefined(const std::string &object, const std::vector<std::string> &allowed);

}  // namespace bittern::codegen
