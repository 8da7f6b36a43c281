// Functions that every template can call: Jinja's range, dict and namespace, transformers' raise_exception and
// strftime_now.
#include <fmt/format.h>

#include <algorithm>

#include "runtime/chat/jinja/interpreter.h"
#include "runtime/chat/jinja/operators.h"
#include "runtime/chat/jinja/print.h"

namespace bittern::runtime::jinja {
namespace {

Value global_range(Interpreter &interpreter, const Value &, const Arguments &arguments) {
  constexpr int64_t kMost = 100000, kFar = int64_t{1} << 40;  // kMost is the sandbox's own limit
  const size_t count = arguments.positional.size();
  if (!arguments.named.empty() || count < 1 || count > 3) throw Fault{"range takes one to three numbers"};
  int64_t numbers[3] = {0, 0, 1};
  for (size_t i = 0; i < count; ++i) {
    const Value &value = arguments.positional[i];
    if (value.is_undefined()) throw Fault{value.why_undefined()};
    if (!value.is_integral()) throw Fault{fmt::format("range needs integers, not {}", value.type_name())};
    if (value.as_int() > kFar || value.as_int() < -kFar) throw Fault{"range: a number is too large"};
    numbers[count == 1 ? 1 : i] = value.as_int();
  }
  if (numbers[2] == 0) throw Fault{"range: the step must not be zero"};
  const RangeData range{numbers[0], numbers[1], numbers[2]};
  if (range.size() > kMost) throw Fault{fmt::format("range: more than {} numbers", kMost)};
  interpreter.charge(sizeof(RangeData));
  return Value::range(range);
}

// The entries of dict(mapping or pairs, name=value ...).
std::vector<std::pair<Value, Value>> entries_of(Interpreter &interpreter, const Arguments &arguments,
                                                const char *what) {
  std::vector<std::pair<Value, Value>> entries;
  if (arguments.positional.size() > 1) throw Fault{fmt::format("{} takes at most one argument without a name", what)};
  for (const Value &source : arguments.positional) {
    if (source.is(Kind::Dict)) {
      entries = source.as_dict().entries;
      continue;
    }
    for (const Value &pair : interpreter.items_of(source)) {
      std::vector<Value> two = interpreter.items_of(pair);
      if (two.size() != 2) throw Fault{fmt::format("{}: pairs of two are needed", what)};
      set_key(interpreter, entries, std::move(two[0]), std::move(two[1]));
    }
  }
  for (const auto &[name, value] : arguments.named) set_key(interpreter, entries, Value::string(name), value);
  return entries;
}

Value global_dict(Interpreter &interpreter, const Value &, const Arguments &arguments) {
  return interpreter.dict(entries_of(interpreter, arguments, "dict"));
}

Value global_namespace(Interpreter &interpreter, const Value &, const Arguments &arguments) {
  std::vector<std::pair<std::string, Value>> attributes;
  for (auto &[key, value] : entries_of(interpreter, arguments, "namespace")) {
    if (!key.is(Kind::String)) throw Fault{"namespace: names must be strings"};
    attributes.emplace_back(key.as_string().text, value);
  }
  return interpreter.make_namespace(std::move(attributes));
}

Value global_raise_exception(Interpreter &interpreter, const Value &, const Arguments &arguments) {
  const Bound bound("raise_exception", arguments, {"message"});
  throw Fault{"the template refuses: " + to_text(interpreter, bound.get(0)).text};
}

Value global_strftime_now(Interpreter &interpreter, const Value &, const Arguments &arguments) {
  const Bound bound("strftime_now", arguments, {"format"});
  bound.get(0);
  const Str format = bound.text(0, "");
  if (format.text.size() > 256) throw Fault{"strftime_now: the format is longer than 256 bytes"};
  const std::tm now = interpreter.now();
  std::string out(8192, '\0');
  // The appended character tells an empty result from one that does not fit.
  const size_t size = std::strftime(out.data(), out.size(), (format.text + 'x').c_str(), &now);
  if (size == 0) throw Fault{"strftime_now: the result is too long"};
  out.resize(size - 1);
  return interpreter.string(std::move(out));
}

struct Global {
  std::string_view name;
  Native call;
};
constexpr Global kGlobals[] = {
    {"dict", global_dict},   {"namespace", global_namespace},       {"raise_exception", global_raise_exception},
    {"range", global_range}, {"strftime_now", global_strftime_now},
};

}  // namespace

Value find_global(std::string_view name) {
  for (const Global &global : kGlobals)
    if (global.name == name) return Value::callable({std::string(name), nullptr, nullptr, global.call, {}});
  return {};
}

}  // namespace bittern::runtime::jinja
