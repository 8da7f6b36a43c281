// LLVM's disassembler over one function; branches back give the loops.
#include "codegen/llvm/hot_loop.h"

#include <fmt/format.h>
#include <llvm/MC/MCAsmInfo.h>
#include <llvm/MC/MCContext.h>
#include <llvm/MC/MCDisassembler/MCDisassembler.h>
#include <llvm/MC/MCInst.h>
#include <llvm/MC/MCInstPrinter.h>
#include <llvm/MC/MCInstrAnalysis.h>
#include <llvm/MC/MCInstrInfo.h>
#include <llvm/MC/MCRegisterInfo.h>
#include <llvm/MC/MCSubtargetInfo.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Object/ELFObjectFile.h>
#include <llvm/Support/MemoryBuffer.h>
#include <llvm/Target/TargetMachine.h>
#include <llvm/TargetParser/Triple.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "codegen/llvm/object.h"
#include "compiler/error.h"

namespace bittern::codegen {
namespace {

struct Loop {
  uint64_t first, last;  // offsets of its first instruction and of the branch back
};

struct Function {
  std::map<uint64_t, std::string> instructions;  // mnemonics by offset
  std::vector<Loop> loops;                       // one for each offset that is jumped back to
};

// "\tvpaddw\t" and "{vex}\tvpdpbusd\t" as people write them.
std::string tidy(const char *mnemonic) {
  std::string text = mnemonic ? mnemonic : "";
  std::replace(text.begin(), text.end(), '\t', ' ');
  const size_t first = text.find_first_not_of(' '), last = text.find_last_not_of(' ');
  return first == std::string::npos ? "" : text.substr(first, last - first + 1);
}

Function take_apart(llvm::ArrayRef<uint8_t> code, const llvm::TargetMachine &machine) {
  const llvm::Target &target = machine.getTarget();
  const llvm::MCSubtargetInfo &subtarget = *machine.getMCSubtargetInfo();
  const llvm::MCAsmInfo &assembly = *machine.getMCAsmInfo();
  const llvm::MCRegisterInfo &registers = *machine.getMCRegisterInfo();
  const llvm::MCInstrInfo &instructions = *machine.getMCInstrInfo();
  llvm::MCContext context(machine.getTargetTriple(), &assembly, &registers, &subtarget);
  const std::unique_ptr<llvm::MCDisassembler> disassembler(target.createMCDisassembler(subtarget, context));
  const std::unique_ptr<llvm::MCInstrAnalysis> analysis(target.createMCInstrAnalysis(&instructions));
  const std::unique_ptr<llvm::MCInstPrinter> printer(target.createMCInstPrinter(
      machine.getTargetTriple(), assembly.getAssemblerDialect(), assembly, instructions, registers));
  if (!disassembler || !analysis || !printer) throw Error("LLVM cannot take apart code of this target");
  Function function;
  std::map<uint64_t, uint64_t> loops;  // last branch back to an offset
  for (uint64_t offset = 0, size = 0; offset < code.size(); offset += size) {
    llvm::MCInst instruction;
    if (disassembler->getInstruction(instruction, size, code.slice(offset), offset, llvm::nulls()) !=
            llvm::MCDisassembler::Success ||
        size == 0)
      throw Error(fmt::format("cannot take apart the instruction at offset {}", offset));
    function.instructions[offset] = tidy(printer->getMnemonic(&instruction).first);
    uint64_t to = 0;
    if (analysis->isBranch(instruction) && analysis->evaluateBranch(instruction, offset, size, to) && to <= offset)
      loops[to] = offset;
  }
  for (const auto &[first, last] : loops) function.loops.push_back({first, last});
  return function;
}

bool holds(const Loop &outer, const Loop &inner) {
  return &outer != &inner && outer.first <= inner.first && inner.last <= outer.last;
}

// Whether an instruction multiplies or looks up: what hot loops are there for. Words of x86 and of AArch64.
bool does_products(const std::string &mnemonic) {
  for (const char *word : {"mul", "madd", "dpbusd", "pshufb", "permb", "mla", "dot", "tbl"})
    if (mnemonic.find(word) != std::string::npos) return true;
  return false;
}

HotLoop find_hot_loop(const Function &function) {
  HotLoop hot;
  int most = -1;
  for (const Loop &loop : function.loops) {
    if (std::any_of(function.loops.begin(), function.loops.end(),
                    [&](const Loop &other) { return holds(loop, other); }))
      continue;
    HotLoop candidate;
    int products = 0;
    const auto end = function.instructions.upper_bound(loop.last);
    for (auto at = function.instructions.lower_bound(loop.first); at != end; ++at) {
      ++candidate.instructions;
      ++candidate.mnemonics[at->second];
      products += does_products(at->second) ? 1 : 0;
    }
    if (products < most || (products == most && candidate.instructions <= hot.instructions)) continue;
    most = products;
    hot = std::move(candidate);
  }
  return hot;
}

}  // namespace

HotLoop hot_loop(const std::string &object, const std::string &symbol, const schedules::Target &target) {
  return hot_loop(object, symbol, *target_machine(target));
}

HotLoop hot_loop(const std::string &object, const std::string &symbol, const llvm::TargetMachine &machine) {
  auto file = llvm::object::ObjectFile::createObjectFile(llvm::MemoryBufferRef(object, "kernel"));
  if (!file) throw Error(fmt::format("object cannot be read: {}", llvm::toString(file.takeError())));
  for (const llvm::object::SymbolRef &entry : (*file)->symbols()) {
    llvm::Expected<llvm::StringRef> name = entry.getName();
    llvm::Expected<uint64_t> address = entry.getAddress();
    llvm::Expected<llvm::object::section_iterator> section = entry.getSection();
    if (!name || !address || !section) throw Error("object has an unreadable symbol");
    if (*name != symbol || *section == (*file)->section_end()) continue;
    llvm::Expected<llvm::StringRef> bytes = (*section)->getContents();
    const uint64_t size = llvm::object::ELFSymbolRef(entry).getSize(), start = *address - (*section)->getAddress();
    if (!bytes || start + size > bytes->size()) throw Error("object has an unreadable section");
    return find_hot_loop(take_apart(llvm::arrayRefFromStringRef(*bytes).slice(start, size), machine));
  }
  throw Error(fmt::format("object has no function {}", symbol));
}

}  // namespace bittern::codegen
