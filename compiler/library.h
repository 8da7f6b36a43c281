// The kernels and function libraries that are compiled into the program from compiler/kernels/*.bk.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "compiler/ir.h"

namespace bittern::compiler {

// Names of the kernels, sorted; function libraries such as "math" are not among them.
std::vector<std::string> builtin_kernel_names();

// The kernel of that name, parsed once. Throws Error that lists the known names. Safe to call from several threads.
const KernelSpec &builtin_kernel(const std::string &name);

// The text as its author wrote it. Throws Error that lists the known names.
std::string builtin_kernel_text(const std::string &name);

// Functions of a library that `use` can name; nothing when there is none of that name.
std::optional<std::vector<Function>> library_functions(const std::string &name);

}  // namespace bittern::compiler
