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

void put(Machine &machine, Str &out, std::string_view plain) {
  machine.work(plain.size());
  machine.charge(plain.size());
  out.append(plain);
}

// A quoted string is marked as a whole when any of it is.
void put_quoted(Machine &machine, Str &out, const Str &string, const std::string &quoted) {
  machine.work(quoted.size());
  machine.charge(quoted.size());
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

void append_items(Machine &machine, Str &out, const std::vector<Value> &items, std::string_view open,
                  std::string_view close) {
  put(machine, out, open);
  for (size_t i = 0; i < items.size(); ++i) {
    if (i) put(machine, out, ", ");
    append_repr(machine, out, items[i]);
  }
  put(machine, out, close);
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
      throw Problem{fmt::format("tojson: keys must be str, int, float, bool or None, not {}", key.type_name())};
  }
}

// "inf" and "nan" as JSON in Python's dialect.
std::string json_float(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return float_text(value);
}

void new_line(Machine &machine, Str &out, const JsonStyle &style, int level) {
  put(machine, out, "\n");
  for (int i = 0; i < level; ++i) put(machine, out, *style.indent);
}

void append_json_object(Machine &machine, Str &out, const Entries &dict, const JsonStyle &style, int level) {
  if (dict.entries.empty()) return put(machine, out, "{}");
  std::vector<const std::pair<Value, Value> *> entries;
  for (const auto &entry : dict.entries) entries.push_back(&entry);
  if (style.sort_keys)
    std::stable_sort(entries.begin(), entries.end(),
                     [&](const auto *a, const auto *b) { return less(machine, a->first, b->first); });
  put(machine, out, "{");
  for (size_t i = 0; i < entries.size(); ++i) {
    if (i) put(machine, out, style.item_separator);
    if (style.indent) new_line(machine, out, style, level + 1);
    const Value &key = entries[i]->first;
    if (key.is(Kind::String))
      put_quoted(machine, out, key.as_string(), json_string(key.as_string().text, style.ensure_ascii));
    else
      put(machine, out, '"' + json_key(key) + '"');
    put(machine, out, style.key_separator);
    append_json(machine, out, entries[i]->second, style, level + 1);
  }
  if (style.indent) new_line(machine, out, style, level);
  put(machine, out, "}");
}

void append_json_array(Machine &machine, Str &out, const std::vector<Value> &items, const JsonStyle &style, int level) {
  if (items.empty()) return put(machine, out, "[]");
  put(machine, out, "[");
  for (size_t i = 0; i < items.size(); ++i) {
    if (i) put(machine, out, style.item_separator);
    if (style.indent) new_line(machine, out, style, level + 1);
    append_json(machine, out, items[i], style, level + 1);
  }
  if (style.indent) new_line(machine, out, style, level);
  put(machine, out, "]");
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

Str to_text(Machine &machine, const Value &value) {
  if (value.is(Kind::String)) {
    machine.work(value.as_string().text.size());
    return value.as_string();
  }
  Str out;
  if (!value.is_undefined()) append_repr(machine, out, value);
  return out;
}

void append_repr(Machine &machine, Str &out, const Value &value) {
  switch (value.kind()) {
    case Kind::Undefined:
      return put(machine, out, "Undefined");
    case Kind::None:
      return put(machine, out, "None");
    case Kind::Bool:
      return put(machine, out, value.as_int() ? "True" : "False");
    case Kind::Int:
      return put(machine, out, fmt::format("{}", value.as_int()));
    case Kind::Float:
      return put(machine, out, float_text(value.as_float()));
    case Kind::String:
      return put_quoted(machine, out, value.as_string(), repr_of(value.as_string().text));
    case Kind::List:
      return append_items(machine, out, value.as_items().items, "[", "]");
    case Kind::Tuple:
      return append_items(machine, out, value.as_items().items, "(", value.as_items().items.size() == 1 ? ",)" : ")");
    case Kind::View:
      return append_items(machine, out, value.as_items().items, std::string(value.as_items().view) + "([", "])");
    case Kind::Range: {
      const RangeData &range = value.as_range();
      put(machine, out, fmt::format("range({}, {}", range.start, range.stop));
      if (range.step != 1) put(machine, out, fmt::format(", {}", range.step));
      return put(machine, out, ")");
    }
    case Kind::Dict: {
      put(machine, out, "{");
      bool first = true;
      for (const auto &[key, item] : value.as_dict().entries) {
        if (!first) put(machine, out, ", ");
        first = false;
        append_repr(machine, out, key);
        put(machine, out, ": ");
        append_repr(machine, out, item);
      }
      return put(machine, out, "}");
    }
    default:
      throw Problem{fmt::format("a {} has no text of its own (a list made of it has: |list)", value.type_name())};
  }
}

void append_json(Machine &machine, Str &out, const Value &value, const JsonStyle &style, int level) {
  switch (value.kind()) {
    case Kind::None:
      return put(machine, out, "null");
    case Kind::Bool:
      return put(machine, out, value.as_int() ? "true" : "false");
    case Kind::Int:
      return put(machine, out, fmt::format("{}", value.as_int()));
    case Kind::Float:
      return put(machine, out, json_float(value.as_float()));
    case Kind::String:
      return put_quoted(machine, out, value.as_string(), json_string(value.as_string().text, style.ensure_ascii));
    case Kind::List:
    case Kind::Tuple:
      return append_json_array(machine, out, value.as_items().items, style, level);
    case Kind::Dict:
      return append_json_object(machine, out, value.as_dict(), style, level);
    default:
      throw Problem{fmt::format("tojson: a value of type {} is not JSON", value.type_name())};
  }
}

}  // namespace bittern::runtime::jinja
