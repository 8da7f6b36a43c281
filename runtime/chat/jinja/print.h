// Values as text: Python's str() and repr(), and JSON as transformers' tojson writes it.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "runtime/chat/jinja/interpreter.h"

namespace bittern::runtime::jinja {

// Shortest decimal that reads back as the same double, in Python's layout: "1.0", "1e-05", "inf".
std::string float_text(double value);

// str(value); undefined is "". Throws Fault for what Python prints as an address.
Str to_text(Interpreter &interpreter, const Value &value);
// repr(value).
void append_repr(Interpreter &interpreter, Str &out, const Value &value);

struct JsonStyle {
  std::optional<std::string> indent;  // a level's; none: one line
  std::string item_separator = ", ", key_separator = ": ";
  bool sort_keys = false, ensure_ascii = false;
};
// json.dumps(value). Throws Fault for what JSON cannot hold.
void append_json(Interpreter &interpreter, Str &out, const Value &value, const JsonStyle &style, int level = 0);

}  // namespace bittern::runtime::jinja
