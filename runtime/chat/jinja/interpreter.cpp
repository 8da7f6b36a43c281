// What evaluation, filters, tests and methods share: limits, making values, iteration, look-up and calls.
#include "runtime/chat/jinja/interpreter.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/chat/jinja/operators.h"
#include "runtime/chat/jinja/unicode.h"

namespace bittern::runtime::jinja {

Bound::Bound(const char *what, const Arguments &arguments, std::span<const char *const> names)
    : what_(what), names_(names.begin(), names.end()), values_(names.size()) {
  if (arguments.positional.size() > names.size())
    throw Fault{fmt::format("{} takes at most {} argument{}, {} are given", what, names.size(),
                            names.size() == 1 ? "" : "s", arguments.positional.size())};
  for (size_t i = 0; i < arguments.positional.size(); ++i) values_[i] = &arguments.positional[i];
  for (const auto &[name, value] : arguments.named) {
    const auto found = std::find_if(names_.begin(), names_.end(), [&](const char *known) { return name == known; });
    if (found == names_.end()) throw Fault{fmt::format("{} has no parameter '{}'", what, name)};
    const Value *&slot = values_[static_cast<size_t>(found - names_.begin())];
    if (slot) throw Fault{fmt::format("{} is given '{}' twice", what, name)};
    slot = &value;
  }
}

const Value &Bound::get(size_t i) const {
  if (!values_[i]) throw Fault{fmt::format("{} needs '{}'", what_, names_[i])};
  return *values_[i];
}
int64_t Bound::integer(size_t i, int64_t otherwise) const {
  if (!values_[i]) return otherwise;
  if (!values_[i]->is_integral())
    throw Fault{fmt::format("{}: '{}' must be an int, not {}", what_, names_[i], values_[i]->type_name())};
  return values_[i]->as_int();
}
bool Bound::flag(size_t i, bool otherwise) const { return values_[i] ? values_[i]->truthy() : otherwise; }
Str Bound::text(size_t i, std::string_view otherwise) const {
  if (!values_[i]) return Str{std::string(otherwise), {}};
  if (!values_[i]->is(Kind::String))
    throw Fault{fmt::format("{}: '{}' must be a str, not {}", what_, names_[i], values_[i]->type_name())};
  return values_[i]->as_string();
}

Interpreter::Interpreter(const Source &source, const Limits &limits, std::function<std::tm()> clock,
                         const Value &context)
    : source_(source), limits_(limits), clock_(std::move(clock)), context_(context) {}

Interpreter::~Interpreter() {
  for (const auto &space : namespaces_) space->attributes.clear();
}

void Interpreter::over(const char *limit) const {
  throw Fault{fmt::format("the template takes more than its limit of {}", limit)};
}

Value Interpreter::string(Str text) {
  charge(text.text.size() + sizeof(Str));
  work(text.text.size());
  return Value::string(std::move(text));
}
Value Interpreter::list(std::vector<Value> items) {
  charge((items.size() + 2) * sizeof(Value));
  work(items.size() * 8);
  return Value::list(std::move(items));
}
Value Interpreter::tuple(std::vector<Value> items) {
  charge((items.size() + 2) * sizeof(Value));
  work(items.size() * 8);
  return Value::tuple(std::move(items));
}
Value Interpreter::iterator(std::vector<Value> items) {
  charge((items.size() + 2) * sizeof(Value));
  work(items.size() * 8);
  return Value::iterator(std::move(items));
}
Value Interpreter::dict(std::vector<std::pair<Value, Value>> entries) {
  charge((entries.size() + 1) * 2 * sizeof(Value));
  work(entries.size() * 16);
  return Value::dict(std::move(entries));
}
Value Interpreter::make_namespace(std::vector<std::pair<std::string, Value>> attributes) {
  charge((attributes.size() + 1) * 2 * sizeof(Value) + sizeof(NamespaceData));
  namespaces_.push_back(std::make_shared<NamespaceData>(NamespaceData{std::move(attributes)}));
  return Value::space(namespaces_.back());
}

std::vector<Value> Interpreter::items_of(const Value &value) {
  std::vector<Value> out;
  switch (value.kind()) {
    case Kind::Undefined:
      return out;
    case Kind::String:
      return characters(*this, value.as_string());
    case Kind::List:
    case Kind::Tuple:
    case Kind::View:
      out = value.as_items().items;
      break;
    case Kind::Dict:
      for (const auto &[key, item] : value.as_dict().entries) out.push_back(key);
      break;
    case Kind::Range: {
      const RangeData &range = value.as_range();
      for (int64_t i = 0; i < range.size(); ++i) out.push_back(Value::integer(range.start + i * range.step));
      break;
    }
    case Kind::Iterator: {
      IteratorData &iterator = value.as_iterator();
      out.assign(iterator.items.begin() + static_cast<std::ptrdiff_t>(iterator.next), iterator.items.end());
      iterator.next = iterator.items.size();
      break;
    }
    default:
      throw Fault{fmt::format("'{}' object is not iterable", value.type_name())};
  }
  charge(out.size() * sizeof(Value));
  work(out.size() * 8);
  return out;
}

Value Interpreter::attribute(const Value &object, std::string_view name) {
  if (object.is_undefined()) throw Fault{object.why_undefined()};
  if (object.is(Kind::Namespace)) {
    for (const auto &[key, value] : object.as_space().attributes)
      if (key == name) return value;
  }
  if (object.is(Kind::Loop)) {
    const LoopData &loop = object.as_loop();
    const auto size = static_cast<int64_t>(loop.items.size()), index = static_cast<int64_t>(loop.index);
    if (name == "index") return Value::integer(index + 1);
    if (name == "index0") return Value::integer(index);
    if (name == "revindex") return Value::integer(size - index);
    if (name == "revindex0") return Value::integer(size - index - 1);
    if (name == "first") return Value::boolean(index == 0);
    if (name == "last") return Value::boolean(index == size - 1);
    if (name == "length") return Value::integer(size);
    if (name == "depth") return Value::integer(1);  // of recursion, which there is none
    if (name == "depth0") return Value::integer(0);
    if (name == "previtem")
      return index > 0 ? loop.items[loop.index - 1] : Value::undefined("there is no previous item");
    if (name == "nextitem")
      return index + 1 < size ? loop.items[loop.index + 1] : Value::undefined("there is no next item");
    if (name == "changed") throw Fault{"loop.changed is not supported"};
  }
  if (const Native native = find_method(object, name))
    return Value::callable({std::string(name), nullptr, nullptr, native, object});
  if (object.is(Kind::Dict)) {
    if (const Value *value = find_key(*this, object.as_dict(), Value::string(std::string(name)))) return *value;
  }
  return Value::undefined(fmt::format("'{} object' has no attribute '{}'", object.type_name(), name));
}

Value Interpreter::item(const Value &object, const Value &key) {
  if (object.is_undefined()) throw Fault{object.why_undefined()};
  if (object.is(Kind::Dict) && !key.is(Kind::List) && !key.is(Kind::Dict)) {
    if (const Value *value = find_key(*this, object.as_dict(), key)) return *value;
  } else if (key.is_integral()) {
    int64_t at = key.as_int();
    if (object.is(Kind::List) || object.is(Kind::Tuple) || object.is(Kind::String) || object.is(Kind::Range)) {
      const int64_t size = length_of(*this, object);
      if (at < 0) at += size;
      if (at < 0 || at >= size)
        return Value::undefined(
            fmt::format("the {} of {} items has no item {}", object.type_name(), size, key.as_int()));
      if (object.is(Kind::Range)) return Value::integer(object.as_range().start + at * object.as_range().step);
      if (!object.is(Kind::String)) return object.as_items().items[static_cast<size_t>(at)];
      const std::string &text = object.as_string().text;
      const size_t begin = byte_of(text, at), end = begin + byte_of(std::string_view(text).substr(begin), 1);
      return string(object.as_string().slice(begin, end));
    }
  }
  if (key.is(Kind::String)) {
    // As in Jinja, x['name'] is also x.name.
    const std::string name = key.as_string().text;
    if (!object.is(Kind::Dict)) return attribute(object, name);
    if (const Native native = find_method(object, name))
      return Value::callable({name, nullptr, nullptr, native, object});
    return Value::undefined(fmt::format("'dict object' has no attribute '{}'", name));
  }
  return Value::undefined(fmt::format("a {} has no such item", object.type_name()));
}

Value Interpreter::call(const Value &callee, const Arguments &arguments) {
  if (callee.is_undefined()) throw Fault{callee.why_undefined()};
  if (!callee.is(Kind::Callable)) throw Fault{fmt::format("'{}' object is not callable", callee.type_name())};
  work(0);
  // The call may assign to where `callee` is.
  const Value held = callee;  // NOLINT(performance-unnecessary-copy-initialization)
  const Callable &callable = held.as_callable();
  return callable.macro ? call_macro(callable, arguments) : callable.native(*this, callable.self, arguments);
}

Value Interpreter::filter(std::string_view name, const Value &input, const Arguments &arguments) {
  const FilterRow *row = find_filter(name);
  if (!row) throw Fault{fmt::format("there is no filter '{}'", name)};
  work(0);
  return row->apply(*this, input, arguments);
}

bool Interpreter::test(std::string_view name, const Value &input, const Arguments &arguments) {
  const TestRow *row = find_test(name);
  if (!row) throw Fault{fmt::format("there is no test '{}'", name)};
  work(0);
  return row->apply(*this, input, arguments);
}

}  // namespace bittern::runtime::jinja
