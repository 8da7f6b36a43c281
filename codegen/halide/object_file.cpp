// Symbol surgery with LLVM's objcopy as a library: Halide knows neither hidden functions nor other names for its
// allocator.
#include "codegen/halide/object_file.h"

#include <fmt/format.h>
#include <llvm/BinaryFormat/ELF.h>
#include <llvm/ObjCopy/ConfigManager.h>
#include <llvm/ObjCopy/ObjCopy.h>
#include <llvm/Object/ObjectFile.h>
#include <llvm/Support/MemoryBuffer.h>
#include <llvm/Support/raw_ostream.h>

#include "compiler/error.h"

namespace bittern::codegen::halide {
namespace {

std::unique_ptr<llvm::object::ObjectFile> open(const std::string &object) {
  auto file = llvm::object::ObjectFile::createObjectFile(llvm::MemoryBufferRef(object, "kernel"));
  if (!file) throw Error(fmt::format("Halide's object cannot be read: {}", llvm::toString(file.takeError())));
  return std::move(*file);
}

}  // namespace

std::vector<std::string> undefined_symbols(const std::string &object) {
  std::vector<std::string> names;
  const auto file = open(object);
  for (const llvm::object::SymbolRef &symbol : file->symbols()) {
    llvm::Expected<uint32_t> flags = symbol.getFlags();
    llvm::Expected<llvm::StringRef> name = symbol.getName();
    if (!flags || !name) throw Error("Halide's object has an unreadable symbol");
    if ((*flags & llvm::object::SymbolRef::SF_Undefined) && !name->empty()) names.push_back(name->str());
  }
  return names;
}

std::string rewrite_symbols(const std::string &object, const std::vector<std::pair<std::string, std::string>> &rename,
                            const std::vector<std::string> &hidden) {
  llvm::objcopy::ConfigManager config;
  config.Common.InputFilename = "kernel";
  config.Common.OutputFilename = "kernel";
  config.Common.OutputArch = std::nullopt;
  for (const auto &[from, to] : rename) config.Common.SymbolsToRename[from] = to;
  llvm::objcopy::NameMatcher matcher;
  for (const std::string &name : hidden) {
    auto pattern = llvm::objcopy::NameOrPattern::create(name, llvm::objcopy::MatchStyle::Literal,
                                                        [](llvm::Error error) { return error; });
    if (!pattern || matcher.addMatcher(std::move(pattern))) throw Error("a symbol's name cannot be matched");
  }
  config.ELF.SymbolsToSetVisibility.emplace_back(std::move(matcher), llvm::ELF::STV_HIDDEN);
  const auto file = open(object);
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  if (llvm::Error error = llvm::objcopy::executeObjcopyOnBinary(config, *file, stream))
    throw Error(fmt::format("Halide's object cannot be rewritten: {}", llvm::toString(std::move(error))));
  return {bytes.begin(), bytes.end()};
}

}  // namespace bittern::codegen::halide
