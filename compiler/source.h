// A kernel's text with the name it is known by, and errors that point into it.
#pragma once
#include <string>

#include "compiler/ir.h"

namespace bittern::compiler {

struct Source {
  std::string name;  // file name as the user wrote it
  std::string text;
};

// Throws Error "name:line:column: message", the line and a caret under the column. A location of 0 gives
// "name: message" alone.
[[noreturn]] void fail_at(const Source &source, Location at, const std::string &message);

}  // namespace bittern::compiler
