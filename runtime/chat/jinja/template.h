// Chat templates: the part of Jinja 3.1 that they use, with the settings and additions of Hugging Face transformers
// (trim_blocks, lstrip_blocks, break and continue, raise_exception, strftime_now, its tojson, immutable values, the
// {% generation %} tag). What is not known is refused with its line and column, never guessed. Values are 64-bit where
// Python's ints have no end, and nothing is ever escaped for HTML.
#pragma once
#include <ctime>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/chat/jinja/interpreter.h"

namespace bittern::runtime::jinja {

class Template {
 public:
  // Throws Error "name:line:column: message", the line and a caret.
  Template(std::string name, std::string_view text);

  // The text for a context, which is a dict with strings as keys. `clock` is what strftime_now shows. Throws Error as
  // the constructor does, also where a limit is reached. Thread-safe.
  Str render(const Value &context, const std::function<std::tm()> &clock, const Limits &limits = {}) const;

 private:
  Source source_;
  std::vector<StatementPtr> body_;
};

}  // namespace bittern::runtime::jinja
