// See print.h. Everything that is appended is charged as it is appended: a value may be small and its text huge, since
// lists share their items.
#include "runtime/chat/jinja/print.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "runtime/chat/jinja/operators.h"
#include "runtime/chat/jinja/unicode.h"

namespace bittern::runtime::jinja {
namespace {

void put(Interpreter &interpreter, Str &out, std::string_view plain) {
  interpreter.work(plain.size());
  interpreter.charge(plain.size());
  out.append(plain);
}

// A quoted string is marked as a whole when any of it is.
void put_quoted(Interpreter &interpreter, Str &out, const Str &string, const std::string &quoted) {
  interpreter.work(quoted.size());
  interpreter.charge(quoted.size());
  out.append(quoted, string.marked());
}

std::string repr_of(std::string_view text) {
  const bool single = text.find('\'') != std::string_view::npos, twice = text.find('"') != std::string_view::npos;
  const char quote = single && !twice ? '"' : '\'';
  std::string out(1, quote);
  for_each_character(text, [&](char32_t c, size_t begin, size_t end) {
    if (c == static_cast<char32_t>(quote) || c == '\\')
      out += {'\\', static_cast<char>(c)};
    else if (c == '\n')
      out += "\\n";
    else if (c == '\r')
      out += "\\r";
    else if (c == '\t')
      out += "\\t";
    else if (is_printable(c))
      out += text.substr(begin, end - begin);
    else if (c < 0x100)
      out += fmt::format("\\x{:02x}", static_cast<uint32_t>(c));
    else if (c < 0x10000)
      out += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
    else
      out += fmt::format("\\U{:08x}", static_cast<uint32_t>(c));
  });
  return out + quote;
}

std::string json_string(std::string_view text, bool ensure_ascii) {
  std::string out = "\"";
  for_each_character(text, [&](char32_t c, size_t begin, size_t end) {
    constexpr std::string_view kFrom = "\"\\\n\r\t\f\b", kTo = "\"\\nrtfb";
    const size_t simple = c < 0x80 ? kFrom.find(static_cast<char>(c)) : std::string_view::npos;
    if (simple != std::string_view::npos)
      out += {'\\', kTo[simple]};
    else if (c < 0x20 || (ensure_ascii && c > 0x7E && c < 0x10000))
      out += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
    else if (ensure_ascii && c >= 0x10000)
      out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (static_cast<uint32_t>(c - 0x10000) >> 10),
                         0xDC00 + (static_cast<uint32_t>(c) & 0x3FF));
    else
      out += text.substr(begin, end - begin);
  });
  return out + '"';
}

void append_items(Interpreter &interpreter, Str &out, const std::vector<Value> &items, std::string_view open,
                  std::string_view close) {
  put(interpreter, out, open);
  for (size_t i = 0; i < items.size(); ++i) {
    if (i) put(interpreter, out, ", ");
    append_repr(interpreter, out, items[i]);
  }
  put(interpreter, out, close);
}

std::string json_key(const Value &key) {
  switch (key.kind()) {
    case Kind::Bool:
      return key.as_int() ? "true" : "false";
    case Kind::Int:
      return fmt::format("{}", key.as_int());
    case Kind::None:
      return "null";
    case Kind::Float:
      return float_text(key.as_float());
    default:
      throw Fault{fmt::format("tojson: keys must be str, int, float, bool or None, not {}", key.type_name())};
  }
}

// "inf" and "nan" as JSON in Python's dialect.
std::string json_float(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return float_text(value);
}

void new_line(Interpreter &interpreter, Str &out, const JsonStyle &style, int level) {
  put(interpreter, out, "\n");
  for (int i = 0; i < level; ++i) put(interpreter, out, *style.indent);
}

void append_json_object(Interpreter &interpreter, Str &out, const Entries &dict, const JsonStyle &style, int level) {
  if (dict.entries.empty()) return put(interpreter, out, "{}");
  std::vector<const std::pair<Value, Value> *> entries;
  for (const auto &entry : dict.entries) entries.push_back(&entry);
  if (style.sort_keys)
    std::stable_sort(entries.begin(), entries.end(),
                     [&](const auto *a, const auto *b) { return less(interpreter, a->first, b->first); });
  put(interpreter, out, "{");
  for (size_t i = 0; i < entries.size(); ++i) {
    if (i) put(interpreter, out, style.item_separator);
    if (style.indent) new_line(interpreter, out, style, level + 1);
    const Value &key = entries[i]->first;
    if (key.is(Kind::String))
      put_quoted(interpreter, out, key.as_string(), json_string(key.as_string().text, style.ensure_ascii));
    else
      put(interpreter, out, '"' + json_key(key) + '"');
    put(interpreter, out, style.key_separator);
    append_json(interpreter, out, entries[i]->second, style, level + 1);
  }
  if (style.indent) new_line(interpreter, out, style, level);
  put(interpreter, out, "}");
}

void append_json_array(Interpreter &interpreter, Str &out, const std::vector<Value> &items, const JsonStyle &style,
                       int level) {
  if (items.empty()) return put(interpreter, out, "[]");
  put(interpreter, out, "[");
  for (size_t i = 0; i < items.size(); ++i) {
    if (i) put(interpreter, out, style.item_separator);
    if (style.indent) new_line(interpreter, out, style, level + 1);
    append_json(interpreter, out, items[i], style, level + 1);
  }
  if (style.indent) new_line(interpreter, out, style, level);
  put(interpreter, out, "]");
}

}  // namespace

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, std::fabs(value), std::chars_format::scientific).ptr;
  const std::string_view shortest(buffer, static_cast<size_t>(end - buffer));
  const size_t e = shortest.find('e');
  std::string digits(1, shortest[0]);
  if (e > 2) digits += shortest.substr(2, e - 2);
  const int exponent = std::stoi(std::string(shortest.substr(e + 1)));
  const auto count = static_cast<int>(digits.size());
  std::string out = std::signbit(value) ? "-" : "";
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (count > 1) out += '.' + digits.substr(1);
    return out + fmt::format("e{}{:02d}", exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0) return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  if (count <= exponent + 1) return out + digits + std::string(static_cast<size_t>(exponent + 1 - count), '0') + ".0";
  return out + digits.substr(0, static_cast<size_t>(exponent) + 1) + '.' +
         digits.substr(static_cast<size_t>(exponent) + 1);
}

Str to_text(Interpreter &interpreter, const Value &value) {
  if (value.is(Kind::String)) {
    interpreter.work(value.as_string().text.size());
    return value.as_string();
  }
  Str out;
  if (!value.is_undefined()) append_repr(interpreter, out, value);
  return out;
}

void append_repr(Interpreter &interpreter, Str &out, const Value &value) {
  switch (value.kind()) {
    case Kind::Undefined:
      return put(interpreter, out, "Undefined");
    case Kind::None:
      return put(interpreter, out, "None");
    case Kind::Bool:
      return put(interpreter, out, value.as_int() ? "True" : "False");
    case Kind::Int:
      return put(interpreter, out, fmt::format("{}", value.as_int()));
    case Kind::Float:
      return put(interpreter, out, float_text(value.as_float()));
    case Kind::String:
      return put_quoted(interpreter, out, value.as_string(), repr_of(value.as_string().text));
    case Kind::List:
      return append_items(interpreter, out, value.as_items().items, "[", "]");
    case Kind::Tuple:
      return append_items(interpreter, out, value.as_items().items, "(",
                          value.as_items().items.size() == 1 ? ",)" : ")");
    case Kind::View:
      return append_items(interpreter, out, value.as_items().items, std::string(value.as_items().view) + "([", "])");
    case Kind::Range: {
      const RangeData &range = value.as_range();
      put(interpreter, out, fmt::format("range({}, {}", range.start, range.stop));
      if (range.step != 1) put(interpreter, out, fmt::format(", {}", range.step));
      return put(interpreter, out, ")");
    }
    case Kind::Dict: {
      put(interpreter, out, "{");
      bool first = true;
      for (const auto &[key, item] : value.as_dict().entries) {
        if (!first) put(interpreter, out, ", ");
        first = false;
        append_repr(interpreter, out, key);
        put(interpreter, out, ": ");
        append_repr(interpreter, out, item);
      }
      return put(interpreter, out, "}");
    }
    default:
      throw Fault{fmt::format("a {} has no text of its own (a list made of it has: |list)", value.type_name())};
  }
}

void append_json(Interpreter &interpreter, Str &out, const Value &value, const JsonStyle &style, int level) {
  switch (value.kind()) {
    case Kind::None:
      return put(interpreter, out, "null");
    case Kind::Bool:
      return put(interpreter, out, value.as_int() ? "true" : "false");
    case Kind::Int:
      return put(interpreter, out, fmt::format("{}", value.as_int()));
    case Kind::Float:
      return put(interpreter, out, json_float(value.as_float()));
    case Kind::String:
      return put_quoted(interpreter, out, value.as_string(), json_string(value.as_string().text, style.ensure_ascii));
    case Kind::List:
    case Kind::Tuple:
      return append_json_array(interpreter, out, value.as_items().items, style, level);
    case Kind::Dict:
      return append_json_object(interpreter, out, value.as_dict(), style, level);
    default:
      throw Fault{fmt::format("tojson: a value of type {} is not JSON", value.type_name())};
  }
}

}  // namespace bittern::runtime::jinja
