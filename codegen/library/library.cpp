// LLVM's own linker of modules, lld, objcopy and archive writer, all as libraries.
#include "codegen/library/library.h"

#include <fmt/format.h>
#include <llvm/Bitcode/BitcodeReader.h>
#include <llvm/IR/LLVMContext.h>
#include <llvm/IR/Module.h>
#include <llvm/Linker/Linker.h>
#include <llvm/ObjCopy/ConfigManager.h>
#include <llvm/ObjCopy/ObjCopy.h>
#include <llvm/Object/ArchiveWriter.h>
#include <llvm/Object/ObjectFile.h>
#include <llvm/Support/MemoryBuffer.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/Target/TargetMachine.h>

#include <algorithm>
#include <set>

#include "codegen/library/embedded.h"
#include "codegen/llvm/object.h"
#include "compiler/error.h"

namespace bittern::codegen {
namespace {

constexpr std::string_view kBitcode = ".bc";

// What went wrong in LLVM, as an Error of ours.
[[noreturn]] void fail(const char *doing, llvm::Error error) {
  throw Error(fmt::format("kernel library: cannot {}: {}", doing, llvm::toString(std::move(error))));
}

llvm::MemoryBufferRef buffer_of(std::string_view bytes, const char *name) {
  return {llvm::StringRef(bytes.data(), bytes.size()), name};
}

std::vector<const EmbeddedFile *> parts_for(const std::string &architecture) {
  std::vector<const EmbeddedFile *> parts;
  for (const EmbeddedFile &file : embedded_library_files())
    if (file.name.starts_with(architecture + ".") && file.name.ends_with(kBitcode)) parts.push_back(&file);
  return parts;
}

// The C part for a target, as one module.
std::unique_ptr<llvm::Module> c_part(llvm::LLVMContext &context, const schedules::Target &target,
                                     const llvm::TargetMachine &machine) {
  std::unique_ptr<llvm::Module> whole = make_module(context, "bittern_kernels", machine);
  for (const EmbeddedFile *part : parts_for(target.architecture)) {
    auto module = llvm::parseBitcodeFile(buffer_of(part->bytes, "bitcode"), context);
    if (!module) fail("read its C part", module.takeError());
    (*module)->setTargetTriple(whole->getTargetTriple());
    (*module)->setDataLayout(whole->getDataLayout());
    if (llvm::Linker::linkModules(*whole, std::move(*module)))
      throw Error("kernel library: the files of its C part do not fit together");
  }
  return whole;
}

// The functions of bittern_kernels.h: all that the C part defines for others to see.
std::set<std::string> public_names() {
  std::set<std::string> names;
  llvm::LLVMContext context;
  const std::vector<const EmbeddedFile *> parts = [] {
    std::vector<const EmbeddedFile *> all;
    for (const EmbeddedFile &file : embedded_library_files())
      if (file.name.ends_with(kBitcode)) all.push_back(&file);
    return all;
  }();
  for (const EmbeddedFile *part : parts) {
    auto module = llvm::parseBitcodeFile(buffer_of(part->bytes, "bitcode"), context);
    if (!module) fail("read its C part", module.takeError());
    for (const llvm::Function &function : **module)
      if (!function.isDeclaration() && function.hasExternalLinkage() && function.hasDefaultVisibility())
        names.insert(function.getName().str());
  }
  return names;
}

std::string filled_in(std::string text, const std::string &architecture) {
  const std::pair<std::string, std::string> values[] = {
      {"@VERSION@", BITTERN_VERSION},
      {"@ARCHITECTURE@", architecture},
      {"@PROCESSORS@", architecture == "x86_64" ? "x86_64|AMD64|amd64" : architecture + "|arm64"}};
  for (const auto &[name, value] : values)
    for (size_t at; (at = text.find(name)) != std::string::npos;) text.replace(at, name.size(), value);
  return text;
}

}  // namespace

void check_library_target(const schedules::Target &target) {
  if (!parts_for(target.architecture).empty()) return;
  std::set<std::string> known;
  for (const EmbeddedFile &file : embedded_library_files())
    if (file.name.ends_with(kBitcode)) known.emplace(file.name.substr(0, file.name.find('.')));
  throw Error(fmt::format("target {}: this build cannot emit libraries for {}; it can for {}", target.name,
                          target.architecture, fmt::join(known, ", ")));
}

const std::vector<std::string> &library_imports() {
  static const std::vector<std::string> names = {"malloc", "free", "getauxval"};
  return names;
}

std::string link_library(const std::vector<std::string> &objects, const std::vector<TableRow> &rows,
                         const schedules::Target &baseline, const std::string &scratch) {
  check_library_target(baseline);
  llvm::LLVMContext context;
  const std::unique_ptr<llvm::TargetMachine> machine = target_machine(baseline);
  const std::unique_ptr<llvm::Module> module = c_part(context, baseline, *machine);
  optimize(*module, *machine, {});
  std::vector<std::string> all = objects;
  all.push_back(emit_pack_table(rows, "bt_pack_table", baseline));
  all.push_back(emit_object(*module, *machine));
  std::string linked = link_relocatable(all, scratch + "/library.o");
  check_undefined(linked, library_imports());
  return linked;
}

std::string seal_library(const std::string &object) {
  llvm::objcopy::ConfigManager config;
  config.Common.InputFilename = config.Common.OutputFilename = "bittern_kernels.o";
  const std::set<std::string> names = public_names();  // the configuration refers to them
  for (const std::string &name : names) {
    auto pattern = llvm::objcopy::NameOrPattern::create(name, llvm::objcopy::MatchStyle::Literal,
                                                        [](llvm::Error error) { return error; });
    if (!pattern) fail("hide its symbols", pattern.takeError());
    if (llvm::Error error = config.Common.SymbolsToKeepGlobal.addMatcher(std::move(pattern)))
      fail("hide its symbols", std::move(error));
  }
  auto file = llvm::object::ObjectFile::createObjectFile(buffer_of(object, "library"));
  if (!file) fail("read its object", file.takeError());
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream out(bytes);
  if (llvm::Error error = llvm::objcopy::executeObjcopyOnBinary(config, **file, out))
    fail("hide its symbols", std::move(error));
  return {bytes.begin(), bytes.end()};
}

std::string archive_library(const std::string &object, const std::string &member) {
  llvm::NewArchiveMember only(buffer_of(object, "library"));
  only.MemberName = member;
  auto archive = llvm::writeArchiveToBuffer(only, llvm::SymtabWritingMode::NormalSymtab, llvm::object::Archive::K_GNU,
                                            /*Deterministic=*/true, /*Thin=*/false);
  if (!archive) fail("write an archive", archive.takeError());
  return (*archive)->getBuffer().str();
}

std::vector<LibraryFile> library_files(const std::string &architecture) {
  // Name as embedded, folder below the library's.
  const std::pair<std::string_view, const char *> places[] = {
      {"bittern_kernels.h", "include/"},
      {"BitternKernelsConfig.cmake.in", "lib/cmake/BitternKernels/"},
      {"BitternKernelsConfigVersion.cmake.in", "lib/cmake/BitternKernels/"},
      {"bittern-kernels.pc.in", "lib/pkgconfig/"}};
  std::vector<LibraryFile> files;
  for (const auto &[name, folder] : places) {
    const auto embedded = embedded_library_files();
    const auto found = std::find_if(embedded.begin(), embedded.end(), [&](const auto &f) { return f.name == name; });
    if (found == embedded.end()) throw Error(fmt::format("kernel library: {} is not in this build", name));
    const std::string_view kept = name.ends_with(".in") ? name.substr(0, name.size() - 3) : name;
    files.push_back({folder + std::string(kept), filled_in(std::string(found->bytes), architecture)});
  }
  return files;
}

}  // namespace bittern::codegen
