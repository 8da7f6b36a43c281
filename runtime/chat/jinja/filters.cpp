// The table of filters, and those that work on one text or number; those on sequences are in filters_sequence.cpp.
// Meanings are Jinja 3.1's, tojson's is transformers'.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "runtime/chat/jinja/filters_sequence.h"
#include "runtime/chat/jinja/interpreter.h"
#include "runtime/chat/jinja/operators.h"
#include "runtime/chat/jinja/print.h"
#include "runtime/chat/jinja/text.h"
#include "runtime/chat/jinja/unicode.h"

namespace bittern::runtime::jinja {
namespace {

template <Str (*map)(const Str &)>
Value text_filter(Interpreter &interpreter, const Value &input, const Arguments &arguments) {
  no_arguments("this filter", arguments);
  return interpreter.string(map(to_text(interpreter, input)));
}

Value filter_string(Interpreter &interpreter, const Value &input, const Arguments &arguments) {
  no_arguments("string", arguments);
  return interpreter.string(to_text(interpreter, input));
}

// Values know no HTML here: nothing is ever escaped, so everything is safe.
Value filter_safe(Interpreter &interpreter, const Value &input, const Arguments &arguments) {
  no_arguments("safe", arguments);
  return interpreter.string(to_text(interpreter, input));
}

Value filter_trim(Interpreter &interpreter, const Value &input, const Arguments &arguments) {
  const Bound bound("trim", arguments, {"chars"});
  std::optional<Str> chars;
  if (bound.has(0) && !bound.get(0).is(Kind::None)) chars = bound.text(0, "");
  return interpreter.string(strip(to_text(interpreter, input), chars, true, true));
}

Value filter_replace(Interpreter &interpreter, const Value &input, const Arguments &arguments) {
  const Bound bound("replace", arguments, {"old", "new", "count"});
  const int64_t count = bound.has(2) && bound.get(2).is(Kind::None) ? -1 : bound.integer(2, -1);
  return interpreter.string(replace(interpreter, to_text(interpreter, input), to_text(interpreter, bound.get(0)),
                                    to_text(interpreter, bound.get(1)), count));
}

Value filter_indent(Interpreter &interpreter, const Value &input, const Arguments &arguments) {
  const Bound bound("indent", arguments, {"width", "first", "blank"});
  if (!input.is(Kind::String)) throw Fault{fmt::format("indent needs a str, not {}", input.type_name())};
  Str indention;
  if (bound.has(0) && bound.get(0).is(Kind::String)) {
    indention = bound.get(0).as_string();
  } else {
    const int64_t width = std::max<int64_t>(bound.integer(0, 4), 0);
    interpreter.charge(static_cast<size_t>(width));
    indention.append(std::string(static_cast<size_t>(width), ' '));
  }
  Str text = input.as_string();
  text.append("\n");
  const std::vector<Str> lines = split_lines(text, false);
  const bool blank = bound.flag(2, false);
  Str out;
  if (bound.flag(1, false)) out.append(indention);
  for (size_t i = 0; i < lines.size(); ++i) {
    interpreter.charge(lines[i].text.size() + indention.text.size() + 1);
    interpreter.work(indention.text.size());
    if (i) out.append("\n");
    if (i && (blank || !lines[i].text.empty())) out.append(indention);
    out.append(lines[i]);
  }
  return interpreter.string(std::move(out));
}

Value filter_wordcount(Interpreter &interpreter, const Value &input, const Arguments &arguments) {
  no_arguments("wordcount", arguments);
  int64_t words = 0;
  bool inside = false;
  for_each_character(to_text(interpreter, input).text, [&](char32_t c, size_t, size_t) {
    const bool letter = c == '_' || is_alphabetic(c) || is_decimal(c);
    words += letter && !inside;
    inside = letter;
  });
  return Value::integer(words);
}

Value filter_default(Interpreter &, const Value &input, const Arguments &arguments) {
  const Bound bound("default", arguments, {"default_value", "boolean"});
  if (!input.is_undefined() && !(bound.flag(1, false) && !input.truthy())) return input;
  return bound.has(0) ? bound.get(0) : Value::string("");
}

Value filter_length(Interpreter &interpreter, const Value &input, const Arguments &arguments) {
  no_arguments("length", arguments);
  return Value::integer(length_of(interpreter, input));
}

// Python's int(str, base) and float(str): white space around, "_" between digits.
std::string plain_number(std::string_view text) {
  const size_t begin = space_end(text), end = std::max(begin, space_begin(text));
  std::string out;
  for (size_t i = begin; i < end; ++i) {
    const auto digit = [&](size_t at) {
      return at < end && at >= begin && std::isalnum(static_cast<unsigned char>(text[at]));
    };
    if (text[i] == '_' && i > begin && digit(i - 1) && digit(i + 1)) continue;
    out += text[i];
  }
  return out;
}

std::optional<int64_t> parse_int(std::string_view text, int64_t base) {
  const std::string plain = plain_number(text);
  std::string_view number = plain;
  const bool negative = number.starts_with('-');
  if (negative || number.starts_with('+')) number.remove_prefix(1);
  const std::string_view prefix = number.substr(0, 2);
  const auto is = [&](const char *lower, const char *upper) { return prefix == lower || prefix == upper; };
  if ((base == 16 && is("0x", "0X")) || (base == 8 && is("0o", "0O")) || (base == 2 && is("0b", "0B")))
    number.remove_prefix(2);
  if (number.starts_with('_')) number.remove_prefix(1);
  uint64_t value = 0;
  const char *end = number.data() + number.size();
  const auto read = std::from_chars(number.data(), end, value, static_cast<int>(base));
  if (read.ec == std::errc::result_out_of_range) throw Fault{"int: the number does not fit in 64 bits"};
  if (read.ec != std::errc() || read.ptr != end) return std::nullopt;
  if (value > static_cast<uint64_t>(INT64_MAX) + (negative ? 1 : 0))
    throw Fault{"int: the number does not fit in 64 bits"};
  return negative ? static_cast<int64_t>(0 - value) : static_cast<int64_t>(value);
}

std::optional<double> parse_float(std::string_view text) {
  const std::string plain = plain_number(text);
  std::string_view number = plain;
  const bool negative = number.starts_with('-');
  if (negative || number.starts_with('+')) number.remove_prefix(1);
  if (number.empty() || number[0] == '-' || number.find_first_of("xX(") != std::string::npos) return std::nullopt;
  double value = 0;
  const char *end = number.data() + number.size();
  const auto read = std::from_chars(number.data(), end, value);
  if (read.ptr != end) return std::nullopt;
  if (read.ec == std::errc::result_out_of_range) value = std::strtod(std::string(number).c_str(), nullptr);
  return negative ? -value : value;
}

int64_t truncated(double value) {
  if (std::isinf(value)) throw Fault{"cannot convert float infinity to integer"};
  const double whole = std::trunc(value);
  if (!(whole >= -0x1p63 && whole < 0x1p63)) throw Fault{"int: the number does not fit in 64 bits"};
  return static_cast<int64_t>(whole);
}

Value filter_int(Interpreter &, const Value &input, const Arguments &arguments) {
  const Bound bound("int", arguments, {"default", "base"});
  const Value otherwise = bound.has(0) ? bound.get(0) : Value::integer(0);
  const int64_t base = bound.integer(1, 10);
  if (base < 2 || base > 36) throw Fault{"int: the base must be 2 to 36"};
  if (input.is_undefined()) throw Fault{input.why_undefined()};
  if (input.is_integral()) return Value::integer(input.as_int());
  if (input.is(Kind::Float))
    return std::isnan(input.as_float()) ? otherwise : Value::integer(truncated(input.as_float()));
  if (!input.is(Kind::String)) return otherwise;
  if (const auto value = parse_int(input.as_string().text, base)) return Value::integer(*value);
  const auto real = parse_float(input.as_string().text);
  return real && std::isfinite(*real) ? Value::integer(truncated(*real)) : otherwise;
}

Value filter_float(Interpreter &, const Value &input, const Arguments &arguments) {
  const Bound bound("float", arguments, {"default"});
  const Value otherwise = bound.has(0) ? bound.get(0) : Value::real(0);
  if (input.is_undefined()) throw Fault{input.why_undefined()};
  if (input.is_number()) return Value::real(input.as_float());
  if (!input.is(Kind::String)) return otherwise;
  const auto value = parse_float(input.as_string().text);
  return value ? Value::real(*value) : otherwise;
}

Value filter_abs(Interpreter &, const Value &input, const Arguments &arguments) {
  no_arguments("abs", arguments);
  if (input.is(Kind::Float)) return Value::real(std::fabs(input.as_float()));
  if (!input.is_integral()) throw Fault{fmt::format("bad operand type for abs(): '{}'", input.type_name())};
  return input.as_int() < 0 ? negate(input) : Value::integer(input.as_int());
}

Value filter_round(Interpreter &, const Value &input, const Arguments &arguments) {
  const Bound bound("round", arguments, {"precision", "method"});
  const int64_t precision = bound.integer(0, 0);
  const std::string method = bound.text(1, "common").text;
  if (method != "common" && method != "ceil" && method != "floor")
    throw Fault{"round: the method is common, ceil or floor"};
  if (!input.is_number()) throw Fault{fmt::format("round needs a number, not {}", input.type_name())};
  if (precision < 0 || precision > 300) throw Fault{"round: the precision must be 0 to 300"};
  const double value = input.as_float();
  if (method != "common") {
    const double factor = std::pow(10.0, static_cast<double>(precision));
    const double scaled = value * factor;
    return Value::real((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / factor);
  }
  if (input.is_integral()) return Value::integer(input.as_int());
  if (!std::isfinite(value)) return input;
  return Value::real(std::strtod(fmt::format("{:.{}f}", value, precision).c_str(), nullptr));
}

Value filter_tojson(Interpreter &interpreter, const Value &input, const Arguments &arguments) {
  const Bound bound("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = bound.flag(0, false);
  style.sort_keys = bound.flag(3, false);
  if (bound.has(1) && !bound.get(1).is(Kind::None)) {
    const Value &indent = bound.get(1);
    style.indent = indent.is(Kind::String)
                       ? indent.as_string().text
                       : std::string(static_cast<size_t>(std::clamp<int64_t>(bound.integer(1, 0), 0, 1000)), ' ');
    style.item_separator.pop_back();  // "," alone
  }
  if (bound.has(2) && !bound.get(2).is(Kind::None)) {
    const std::vector<Value> pair = interpreter.items_of(bound.get(2));
    if (pair.size() != 2 || !pair[0].is(Kind::String) || !pair[1].is(Kind::String))
      throw Fault{"tojson: 'separators' must be two strings"};
    style.item_separator = pair[0].as_string().text;
    style.key_separator = pair[1].as_string().text;
  }
  Str out;
  append_json(interpreter, out, input, style);
  return Value::string(std::move(out));
}

constexpr FilterRow kFilters[] = {
    {"abs", filter_abs},
    {"batch", filter_batch},
    {"capitalize", text_filter<capitalize>},
    {"count", filter_length},
    {"d", filter_default},
    {"default", filter_default},
    {"dictsort", filter_dictsort},
    {"first", filter_first},
    {"float", filter_float},
    {"indent", filter_indent},
    {"int", filter_int},
    {"items", filter_items},
    {"join", filter_join},
    {"last", filter_last},
    {"length", filter_length},
    {"list", filter_list},
    {"lower", text_filter<lower>},
    {"map", filter_map},
    {"max", filter_max},
    {"min", filter_min},
    {"reject", filter_reject},
    {"rejectattr", filter_rejectattr},
    {"replace", filter_replace},
    {"reverse", filter_reverse},
    {"round", filter_round},
    {"safe", filter_safe},
    {"select", filter_select},
    {"selectattr", filter_selectattr},
    {"sort", filter_sort},
    {"string", filter_string},
    {"sum", filter_sum},
    {"title", text_filter<title_words>},
    {"tojson", filter_tojson},
    {"trim", filter_trim},
    {"unique", filter_unique},
    {"upper", text_filter<upper>},
    {"wordcount", filter_wordcount},
};

}  // namespace

const FilterRow *find_filter(std::string_view name) {
  const auto found =
      std::find_if(std::begin(kFilters), std::end(kFilters), [&](const FilterRow &row) { return row.name == name; });
  return found == std::end(kFilters) ? nullptr : found;
}

}  // namespace bittern::runtime::jinja
