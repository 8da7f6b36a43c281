// Methods of Python's str, list, tuple and dict. Those that would change the value are refused, as transformers'
// sandbox does.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "runtime/chat/jinja/interpreter.h"
#include "runtime/chat/jinja/operators.h"
#include "runtime/chat/jinja/print.h"
#include "runtime/chat/jinja/text.h"
#include "runtime/chat/jinja/unicode.h"

namespace bittern::runtime::jinja {
namespace {

template <Str (*map)(const Str &)>
Value mapped(Interpreter &interpreter, const Value &self, const Arguments &arguments) {
  no_arguments("this method", arguments);
  return interpreter.string(map(self.as_string()));
}

template <bool left, bool right>
Value stripped(Interpreter &interpreter, const Value &self, const Arguments &arguments) {
  const Bound bound("strip", arguments, {"chars"});
  std::optional<Str> chars;
  if (bound.has(0) && !bound.get(0).is(Kind::None)) chars = bound.text(0, "");
  return interpreter.string(strip(self.as_string(), chars, left, right));
}

Value strings(Interpreter &interpreter, std::vector<Str> parts) {
  std::vector<Value> out;
  for (Str &part : parts) out.push_back(interpreter.string(std::move(part)));
  return interpreter.list(std::move(out));
}

template <std::vector<Str> (*cut)(const Str &, const std::optional<Str> &, int64_t)>
Value split_method(Interpreter &interpreter, const Value &self, const Arguments &arguments) {
  const Bound bound("split", arguments, {"sep", "maxsplit"});
  std::optional<Str> separator;
  if (bound.has(0) && !bound.get(0).is(Kind::None)) separator = bound.text(0, "");
  return strings(interpreter, cut(self.as_string(), separator, bound.integer(1, -1)));
}

Value str_splitlines(Interpreter &interpreter, const Value &self, const Arguments &arguments) {
  const Bound bound("splitlines", arguments, {"keepends"});
  return strings(interpreter, split_lines(self.as_string(), bound.flag(0, false)));
}

// The part of the string that begin and end, in characters, leave; bytes.
std::pair<size_t, size_t> window(Interpreter &interpreter, const Value &self, const Bound &bound) {
  const std::string &text = self.as_string().text;
  const int64_t size = length_of(interpreter, self);
  const auto place = [&](size_t i, int64_t otherwise) {
    if (!bound.has(i) || bound.get(i).is(Kind::None)) return otherwise;
    const int64_t at = bound.integer(i, otherwise);
    return std::clamp<int64_t>(at < 0 ? std::max(at, -size) + size : at, 0, size + 1);
  };
  const int64_t begin = place(1, 0), end = std::min(place(2, size), size);
  if (begin > size || begin > end) return {text.size() + 1, 0};
  return {byte_of(text, begin), byte_of(text, end)};
}

template <bool at_end>
Value affixed(Interpreter &interpreter, const Value &self, const Arguments &arguments) {
  const Bound bound(at_end ? "endswith" : "startswith", arguments, {"prefix", "start", "end"});
  const auto [begin, end] = window(interpreter, self, bound);
  if (begin > end) return Value::boolean(false);
  const std::string_view text = std::string_view(self.as_string().text).substr(begin, end - begin);
  const Value &affix = bound.get(0);
  const std::vector<Value> all = affix.is(Kind::Tuple) ? affix.as_items().items : std::vector<Value>{affix};
  for (const Value &one : all) {
    if (!one.is(Kind::String)) throw Fault{fmt::format("startswith and endswith need a str, not {}", one.type_name())};
    if (at_end ? text.ends_with(one.as_string().text) : text.starts_with(one.as_string().text))
      return Value::boolean(true);
  }
  return Value::boolean(false);
}

template <bool from_right, bool must>
Value find_method_of_str(Interpreter &interpreter, const Value &self, const Arguments &arguments) {
  const Bound bound("find", arguments, {"sub", "start", "end"});
  const auto [begin, end] = window(interpreter, self, bound);
  bound.get(0);
  const Str wanted = bound.text(0, "");
  size_t at = std::string_view::npos;
  const std::string_view all = self.as_string().text;
  if (begin <= end) {
    const std::string_view text = all.substr(begin, end - begin);
    at = from_right ? text.rfind(wanted.text) : text.find(wanted.text);
  }
  if (at != std::string_view::npos) return Value::integer(length(all.substr(0, begin + at)));
  if (must) throw Fault{"substring not found"};
  return Value::integer(-1);
}

Value str_count(Interpreter &interpreter, const Value &self, const Arguments &arguments) {
  const Bound bound("count", arguments, {"sub", "start", "end"});
  const auto [begin, end] = window(interpreter, self, bound);
  bound.get(0);
  const Str wanted = bound.text(0, "");
  if (begin > end) return Value::integer(0);
  const std::string_view text = std::string_view(self.as_string().text).substr(begin, end - begin);
  if (wanted.text.empty()) return Value::integer(length(text) + 1);
  int64_t count = 0;
  for (size_t at = text.find(wanted.text); at != std::string_view::npos;
       at = text.find(wanted.text, at + wanted.text.size()))
    ++count;
  return Value::integer(count);
}

Value str_replace(Interpreter &interpreter, const Value &self, const Arguments &arguments) {
  const Bound bound("replace", arguments, {"old", "new", "count"});
  bound.get(0);
  bound.get(1);
  return interpreter.string(
      replace(interpreter, self.as_string(), bound.text(0, ""), bound.text(1, ""), bound.integer(2, -1)));
}

Value str_join(Interpreter &interpreter, const Value &self, const Arguments &arguments) {
  const Bound bound("join", arguments, {"iterable"});
  std::vector<Str> parts;
  for (const Value &item : interpreter.items_of(bound.get(0))) {
    if (!item.is(Kind::String)) throw Fault{fmt::format("join: expected str, found {}", item.type_name())};
    parts.push_back(item.as_string());
  }
  return interpreter.string(join(interpreter, self.as_string(), parts));
}

template <bool suffix>
Value str_remove(Interpreter &interpreter, const Value &self, const Arguments &arguments) {
  const Bound bound("removeprefix", arguments, {"affix"});
  bound.get(0);
  const Str affix = bound.text(0, ""), &text = self.as_string();
  const bool has = suffix ? text.text.ends_with(affix.text) : text.text.starts_with(affix.text);
  if (!has) return self;
  return interpreter.string(suffix ? text.slice(0, text.text.size() - affix.text.size())
                                   : text.slice(affix.text.size(), text.text.size()));
}

template <bool from_right>
Value str_partition(Interpreter &interpreter, const Value &self, const Arguments &arguments) {
  const Bound bound("partition", arguments, {"sep"});
  bound.get(0);
  const Str separator = bound.text(0, ""), &text = self.as_string();
  if (separator.text.empty()) throw Fault{"empty separator"};
  const size_t at = from_right ? text.text.rfind(separator.text) : text.text.find(separator.text);
  const Value empty = Value::string("");
  if (at == std::string::npos)
    return from_right ? interpreter.tuple({empty, empty, self}) : interpreter.tuple({self, empty, empty});
  const size_t end = at + separator.text.size();
  return interpreter.tuple({interpreter.string(text.slice(0, at)), interpreter.string(text.slice(at, end)),
                            interpreter.string(text.slice(end, text.text.size()))});
}

template <bool (*test)(char32_t)>
Value str_all(Interpreter &, const Value &self, const Arguments &arguments) {
  no_arguments("this method", arguments);
  return Value::boolean(all_characters(self.as_string(), test));
}
template <bool (*test)(const Str &)>
Value str_test(Interpreter &, const Value &self, const Arguments &arguments) {
  no_arguments("this method", arguments);
  return Value::boolean(test(self.as_string()));
}
bool is_alphanumeric(char32_t c) { return is_alphabetic(c) || is_decimal(c); }

// "{} {0} {name}" without conversions and format specifications.
Value str_format(Interpreter &interpreter, const Value &self, const Arguments &arguments) {
  const Str &text = self.as_string();
  const std::string_view all = text.text;
  Str out;
  size_t next = 0;
  for (size_t at = 0; at < all.size();) {
    const char c = all[at];
    if (c != '{' && c != '}') {
      const size_t end = std::min(all.find_first_of("{}", at), all.size());
      out.append(text.slice(at, end));
      at = end;
      continue;
    }
    if (at + 1 < all.size() && all[at + 1] == c) {
      out.append(text.slice(at, at + 1));
      at += 2;
      continue;
    }
    const size_t end = all.find('}', at);
    if (c == '}' || end == std::string_view::npos) throw Fault{"format: a single brace"};
    const std::string_view field = all.substr(at + 1, end - at - 1);
    const Value *value = nullptr;
    if (field.empty() || field.find_first_not_of("0123456789") == std::string_view::npos) {
      const size_t index = field.empty() ? next++ : field.size() > 6 ? SIZE_MAX : std::stoul(std::string(field));
      if (index < arguments.positional.size()) value = &arguments.positional[index];
    } else {
      if (field.find_first_of(":!.[") != std::string_view::npos)
        throw Fault{fmt::format("format: the field '{{{}}}' is not supported", field)};
      for (const auto &[name, argument] : arguments.named)
        if (name == field) value = &argument;
    }
    if (!value) throw Fault{fmt::format("format: there is no argument for '{{{}}}'", field)};
    const Str part = to_text(interpreter, *value);
    interpreter.charge(part.text.size());
    out.append(part);
    at = end + 1;
  }
  return interpreter.string(std::move(out));
}

Value list_index(Interpreter &interpreter, const Value &self, const Arguments &arguments) {
  const Bound bound("index", arguments, {"value"});
  const std::vector<Value> items = interpreter.items_of(self);
  for (size_t i = 0; i < items.size(); ++i)
    if (equal(interpreter, items[i], bound.get(0))) return Value::integer(static_cast<int64_t>(i));
  throw Fault{"the value is not in the list"};
}
Value list_count(Interpreter &interpreter, const Value &self, const Arguments &arguments) {
  const Bound bound("count", arguments, {"value"});
  const std::vector<Value> items = interpreter.items_of(self);
  return Value::integer(std::count_if(items.begin(), items.end(),
                                      [&](const Value &item) { return equal(interpreter, item, bound.get(0)); }));
}
Value copy_of(Interpreter &, const Value &self, const Arguments &arguments) {
  no_arguments("copy", arguments);
  return self;  // nothing can change either
}

Value dict_keys(Interpreter &interpreter, const Value &self, const Arguments &arguments) {
  no_arguments("keys", arguments);
  return Value::view("dict_keys", interpreter.items_of(self));
}
Value dict_values(Interpreter &interpreter, const Value &self, const Arguments &arguments) {
  no_arguments("values", arguments);
  std::vector<Value> out;
  for (const auto &[key, value] : self.as_dict().entries) out.push_back(value);
  interpreter.charge(out.size() * sizeof(Value));
  interpreter.work(out.size() * 8);
  return Value::view("dict_values", std::move(out));
}
Value dict_items(Interpreter &interpreter, const Value &self, const Arguments &arguments) {
  no_arguments("items", arguments);
  std::vector<Value> out;
  for (const auto &[key, value] : self.as_dict().entries) out.push_back(interpreter.tuple({key, value}));
  return Value::view("dict_items", std::move(out));
}
Value dict_get(Interpreter &interpreter, const Value &self, const Arguments &arguments) {
  const Bound bound("get", arguments, {"key", "default"});
  if (const Value *value = find_key(interpreter, self.as_dict(), bound.get(0))) return *value;
  return bound.has(1) ? bound.get(1) : Value::none();
}

Value loop_cycle(Interpreter &, const Value &self, const Arguments &arguments) {
  if (arguments.positional.empty()) throw Fault{"no items for cycling given"};
  return arguments.positional[self.as_loop().index % arguments.positional.size()];
}

struct Method {
  Kind kind;
  std::string_view name;
  Native call;  // null: it would change the value
};
constexpr Method kMethods[] = {
    {Kind::String, "capitalize", mapped<capitalize>},
    {Kind::String, "count", str_count},
    {Kind::String, "endswith", affixed<true>},
    {Kind::String, "find", find_method_of_str<false, false>},
    {Kind::String, "format", str_format},
    {Kind::String, "index", find_method_of_str<false, true>},
    {Kind::String, "isalnum", str_all<is_alphanumeric>},
    {Kind::String, "isalpha", str_all<is_alphabetic>},
    {Kind::String, "isdecimal", str_all<is_decimal>},
    {Kind::String, "isdigit", str_all<is_decimal>},
    {Kind::String, "islower", str_test<is_lower_text>},
    {Kind::String, "isspace", str_all<is_space>},
    {Kind::String, "isupper", str_test<is_upper_text>},
    {Kind::String, "join", str_join},
    {Kind::String, "lower", mapped<lower>},
    {Kind::String, "lstrip", stripped<true, false>},
    {Kind::String, "partition", str_partition<false>},
    {Kind::String, "removeprefix", str_remove<false>},
    {Kind::String, "removesuffix", str_remove<true>},
    {Kind::String, "replace", str_replace},
    {Kind::String, "rfind", find_method_of_str<true, false>},
    {Kind::String, "rindex", find_method_of_str<true, true>},
    {Kind::String, "rpartition", str_partition<true>},
    {Kind::String, "rsplit", split_method<split_from_right>},
    {Kind::String, "rstrip", stripped<false, true>},
    {Kind::String, "split", split_method<split>},
    {Kind::String, "splitlines", str_splitlines},
    {Kind::String, "startswith", affixed<false>},
    {Kind::String, "strip", stripped<true, true>},
    {Kind::String, "title", mapped<title>},
    {Kind::String, "upper", mapped<upper>},
    {Kind::List, "append", nullptr},
    {Kind::List, "clear", nullptr},
    {Kind::List, "copy", copy_of},
    {Kind::List, "count", list_count},
    {Kind::List, "extend", nullptr},
    {Kind::List, "index", list_index},
    {Kind::List, "insert", nullptr},
    {Kind::List, "pop", nullptr},
    {Kind::List, "remove", nullptr},
    {Kind::List, "reverse", nullptr},
    {Kind::List, "sort", nullptr},
    {Kind::Range, "count", list_count},
    {Kind::Range, "index", list_index},
    {Kind::Tuple, "count", list_count},
    {Kind::Tuple, "index", list_index},
    {Kind::Dict, "clear", nullptr},
    {Kind::Dict, "copy", copy_of},
    {Kind::Dict, "get", dict_get},
    {Kind::Dict, "items", dict_items},
    {Kind::Dict, "keys", dict_keys},
    {Kind::Dict, "pop", nullptr},
    {Kind::Dict, "popitem", nullptr},
    {Kind::Dict, "setdefault", nullptr},
    {Kind::Dict, "update", nullptr},
    {Kind::Dict, "values", dict_values},
    {Kind::Loop, "cycle", loop_cycle},
};

Value refuse_change(Interpreter &, const Value &self, const Arguments &) {
  throw Fault{fmt::format("this method would change a {}, which templates may not", self.type_name())};
}

}  // namespace

Native find_method(const Value &value, std::string_view name) {
  for (const Method &method : kMethods)
    if (method.kind == value.kind() && method.name == name) return method.call ? method.call : refuse_change;
  return nullptr;
}

}  // namespace bittern::runtime::jinja
