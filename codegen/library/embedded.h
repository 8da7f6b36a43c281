// The table that embed.cmake generates: the C part of emitted libraries as LLVM bitcode for every architecture, and the
// files that go beside it.
#pragma once
#include <span>
#include <string_view>

namespace bittern::codegen {

struct EmbeddedFile {
  std::string_view name;  // file name; bitcode is <architecture>.<source>.bc
  std::string_view bytes;
};
std::span<const EmbeddedFile> embedded_library_files();

}  // namespace bittern::codegen
