// A static library that others link: kernels, their table and the C part (the .c files here and
// runtime/isa/isa_*.c) as one object in which only the functions of bittern_kernels.h are visible, and the files
// that go with it. The C part is carried as LLVM bitcode, so no compiler is needed where libraries are emitted, and any
// architecture may be emitted on any machine.
#pragma once
#include <string>
#include <vector>

#include "codegen/backend.h"

namespace bittern::codegen {

// "x86_64", "aarch64": a library serves the targets of one architecture.

// Throws Error when this build cannot emit a library for the target, naming what it can.
void check_library_target(const schedules::Target &target);

// Links kernels' objects, a table of `rows` and the C part into one relocatable object, in which the table is visible
// as bt_pack_table: link_shared makes of it what a proof loads. `rows` are sorted as codegen/library/internal.h says.
// `baseline` is the narrowest target of the architecture, `scratch` a folder for temporary files.
std::string link_library(const std::vector<std::string> &objects, const std::vector<TableRow> &rows,
                         const schedules::Target &baseline, const std::string &scratch);

// Symbols that the C part may want from outside.
const std::vector<std::string> &library_imports();

// The object with all symbols local but the functions of bittern_kernels.h.
std::string seal_library(const std::string &object);

// A static library ("ar" archive) with this one member, without dates, owners or paths.
std::string archive_library(const std::string &object, const std::string &member);

// Header, CMake package and pkg-config file, by path below the library's folder.
struct LibraryFile {
  std::string path, bytes;
};
std::vector<LibraryFile> library_files(const std::string &architecture);

}  // namespace bittern::codegen
