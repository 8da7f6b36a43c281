// Kernel text to IR. The language is described in docs/dsl.md.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "compiler/ir.h"

namespace bittern::compiler {

// Parses and verifies one kernel. Throws Error "file:line:column: message" followed by the quoted line and a caret.
KernelSpec parse_kernel(std::string_view text, const std::string &file_name);

// Parses a library: a text of functions only, as `use` takes in. Nodes carry no locations, since they end up in
// kernels of other texts.
std::vector<Function> parse_library(std::string_view text, const std::string &file_name);

}  // namespace bittern::compiler
