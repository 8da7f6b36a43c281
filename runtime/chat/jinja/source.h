// A template's text with the name it is known by, and errors that point into it.
#pragma once
#include <cstddef>
#include <string>

namespace bittern::runtime::jinja {

struct Source {
  std::string name;  // file and field, as a message should name it
  std::string text;
};

// Throws Error "name:line:column: message", then the line and a caret under the column. `at` is a byte of the text.
[[noreturn]] void fail_at(const Source &source, size_t at, const std::string &message);

}  // namespace bittern::runtime::jinja
