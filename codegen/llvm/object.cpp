// LLVM 19's new pass manager for optimisation, the old one for code generation, as LLVM itself still does.
#include "codegen/llvm/object.h"

#include <fmt/format.h>
#include <llvm/ADT/SmallVector.h>
#include <llvm/Analysis/TargetLibraryInfo.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/IR/Verifier.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Object/ObjectFile.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Support/MemoryBuffer.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/Target/TargetMachine.h>
#include <llvm/TargetParser/Triple.h>

#include <algorithm>
#include <mutex>

#include "codegen/llvm/llvm_target.h"
#include "compiler/error.h"

namespace bittern::codegen {
namespace {

void initialize_targets() {
  static std::once_flag once;
  std::call_once(once, [] {
    llvm::InitializeAllTargetInfos();
    llvm::InitializeAllTargets();
    llvm::InitializeAllTargetMCs();
    llvm::InitializeAllAsmPrinters();
    llvm::InitializeAllAsmParsers();
    llvm::InitializeAllDisassemblers();
  });
}

std::string emit(llvm::Module &module, llvm::TargetMachine &machine, llvm::CodeGenFileType type) {
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  llvm::legacy::PassManager passes;
  if (machine.addPassesToEmitFile(passes, stream, nullptr, type))
    throw Error("LLVM cannot emit this kind of file for the target");
  passes.run(module);
  return {bytes.begin(), bytes.end()};
}

}  // namespace

std::unique_ptr<llvm::TargetMachine> target_machine(const schedules::Target &target) {
  initialize_targets();
  const LlvmTarget &code_for = llvm_target(target);
  std::string problem;
  const llvm::Target *found = llvm::TargetRegistry::lookupTarget(code_for.triple, problem);
  if (!found) throw Error(fmt::format("target {}: {}", target.name, problem));
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict;  // every product and sum is rounded by itself
  options.UnsafeFPMath = false;
  options.NoInfsFPMath = false;
  options.NoNaNsFPMath = false;
  options.NoSignedZerosFPMath = false;
  return std::unique_ptr<llvm::TargetMachine>(found->createTargetMachine(code_for.triple, code_for.cpu,
                                                                         code_for.features, options, llvm::Reloc::PIC_,
                                                                         std::nullopt, llvm::CodeGenOptLevel::Default));
}

std::unique_ptr<llvm::Module> make_module(llvm::LLVMContext &context, const std::string &name,
                                          const llvm::TargetMachine &machine) {
  auto module = std::make_unique<llvm::Module>(name, context);
  module->setTargetTriple(machine.getTargetTriple().str());
  module->setDataLayout(machine.createDataLayout());
  module->setPICLevel(llvm::PICLevel::BigPIC);
  return module;
}

std::string print_module(const llvm::Module &module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream, nullptr);
  return stream.str();
}

void optimize(llvm::Module &module, llvm::TargetMachine &machine, const PassChoices &choices) {
  std::string problem;
  llvm::raw_string_ostream stream(problem);
  if (llvm::verifyModule(module, &stream)) throw Error(fmt::format("generated code is malformed: {}", stream.str()));
  llvm::PipelineTuningOptions tuning;
  tuning.LoopVectorization = choices.vectorize;
  tuning.SLPVectorization = choices.vectorize;
  tuning.LoopUnrolling = choices.unroll;
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager graph;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(&machine, tuning);
  // Only memcpy and memset exist where kernels run, so no loop may become another library call.
  llvm::TargetLibraryInfoImpl library(machine.getTargetTriple());
  library.disableAllFunctions();
  library.setAvailable(llvm::LibFunc_memcpy);
  library.setAvailable(llvm::LibFunc_memset);
  functions.registerPass([&] { return llvm::TargetLibraryAnalysis(library); });
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(graph);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, graph, modules);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O2).run(module, modules);
}

std::string emit_object(llvm::Module &module, llvm::TargetMachine &machine) {
  return emit(module, machine, llvm::CodeGenFileType::ObjectFile);
}

std::string emit_assembly(llvm::Module &module, llvm::TargetMachine &machine) {
  return emit(module, machine, llvm::CodeGenFileType::AssemblyFile);
}

void check_undefined(const std::string &object, const std::vector<std::string> &allowed) {
  auto file = llvm::object::ObjectFile::createObjectFile(llvm::MemoryBufferRef(object, "kernel"));
  if (!file) throw Error(fmt::format("generated object cannot be read: {}", llvm::toString(file.takeError())));
  for (const llvm::object::SymbolRef &symbol : (*file)->symbols()) {
    llvm::Expected<uint32_t> flags = symbol.getFlags();
    llvm::Expected<llvm::StringRef> name = symbol.getName();
    if (!flags || !name) throw Error("generated object has an unreadable symbol");
    if (!(*flags & llvm::object::SymbolRef::SF_Undefined) || name->empty()) continue;
    if (*name == "memcpy" || *name == "memset" || *name == "_GLOBAL_OFFSET_TABLE_") continue;
    if (std::find(allowed.begin(), allowed.end(), name->str()) == allowed.end())
      throw Error(fmt::format("generated code calls {}, which is not there where kernels run", name->str()));
  }
}

}  // namespace bittern::codegen
