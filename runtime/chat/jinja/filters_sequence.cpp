// See filters_sequence.h. What Jinja makes a generator is an iterator here: it can be walked once and has no length.
#include "runtime/chat/jinja/filters_sequence.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "runtime/chat/jinja/operators.h"
#include "runtime/chat/jinja/print.h"
#include "runtime/chat/jinja/text.h"

namespace bittern::runtime::jinja {
namespace {

// "address.city" and 0 as steps: x['address']['city'], x[0].
std::vector<Value> attribute_path(const Value &attribute) {
  if (attribute.is_integral()) return {attribute};
  if (!attribute.is(Kind::String))
    throw Fault{fmt::format("an attribute is a str or int, not {}", attribute.type_name())};
  std::vector<Value> path;
  for (Str &part : split(attribute.as_string(), Str{".", {}}, -1)) {
    const std::string &text = part.text;
    const bool number = !text.empty() && text.size() < 10 && text.find_first_not_of("0123456789") == std::string::npos;
    path.push_back(number ? Value::integer(std::stoi(text)) : Value::string(std::move(part)));
  }
  return path;
}

Value follow(Interpreter &interpreter, Value value, const std::vector<Value> &path, const Value &otherwise = {}) {
  for (const Value &step : path) {
    value = interpreter.item(value, step);
    if (value.is_undefined() && !otherwise.is_undefined()) value = otherwise;
  }
  return value;
}

Value without_case(const Value &value) {
  return value.is(Kind::String) ? Value::string(lower(value.as_string())) : value;
}

// What sort, unique, min and max compare: the value or an attribute of it, strings in lower case unless asked not to.
class SortKey {
 public:
  SortKey(const Bound &bound, size_t case_sensitive, size_t attribute) : keep_case_(bound.flag(case_sensitive, false)) {
    if (bound.has(attribute) && !bound.get(attribute).is(Kind::None)) {
      const Value &name = bound.get(attribute);
      if (name.is(Kind::String))
        for (Str &part : split(name.as_string(), Str{",", {}}, -1))
          paths_.push_back(attribute_path(Value::string(std::move(part))));
      else
        paths_.push_back(attribute_path(name));
    }
  }
  Value of(Interpreter &interpreter, const Value &value) const {
    if (paths_.empty()) return keep_case_ ? value : without_case(value);
    std::vector<Value> keys;
    for (const auto &path : paths_) {
      Value key = follow(interpreter, value, path);
      keys.push_back(keep_case_ ? key : without_case(key));
    }
    return keys.size() == 1 ? keys[0] : interpreter.list(std::move(keys));
  }

 private:
  bool keep_case_;
  std::vector<std::vector<Value>> paths_;
};

using Keyed = std::pair<Value, Value>;  // key, value

// Merge sort, which no comparison, however inconsistent (NaN), can lead astray.
void sort_by_key(Interpreter &interpreter, std::vector<Keyed> &items) {
  std::vector<Keyed> other(items.size());
  for (size_t width = 1; width < items.size(); width *= 2) {
    for (size_t begin = 0; begin < items.size(); begin += 2 * width) {
      const size_t middle = std::min(begin + width, items.size()), end = std::min(begin + 2 * width, items.size());
      size_t left = begin, right = middle;
      for (size_t out = begin; out < end; ++out) {
        const bool from_right =
            left == middle || (right < end && less(interpreter, items[right].first, items[left].first));
        other[out] = std::move(items[from_right ? right++ : left++]);
      }
    }
    items.swap(other);
  }
}

// The sorted values; `reverse` keeps the order of equal ones, as Python does.
std::vector<Value> sorted(Interpreter &interpreter, std::vector<Keyed> items, bool reverse) {
  if (reverse) std::reverse(items.begin(), items.end());
  sort_by_key(interpreter, items);
  if (reverse) std::reverse(items.begin(), items.end());
  std::vector<Value> out;
  for (Keyed &item : items) out.push_back(std::move(item.second));
  return out;
}

Value least(Interpreter &interpreter, const Value &input, const Arguments &arguments, const char *name, bool most) {
  const Bound bound(name, arguments, {"case_sensitive", "attribute"});
  const SortKey key(bound, 0, 1);
  const std::vector<Value> items = interpreter.items_of(input);
  if (items.empty()) return Value::undefined("the sequence is empty");
  Value best = items[0], best_key = key.of(interpreter, items[0]);
  for (size_t i = 1; i < items.size(); ++i) {
    Value other = key.of(interpreter, items[i]);
    if (!(most ? less(interpreter, best_key, other) : less(interpreter, other, best_key))) continue;
    best = items[i];
    best_key = std::move(other);
  }
  return best;
}

// select, reject, selectattr, rejectattr.
Value choose(Interpreter &interpreter, const Value &input, const Arguments &arguments, bool by_attribute, bool wanted) {
  if (!input.truthy()) return interpreter.iterator({});  // whatever it is
  size_t used = 0;
  std::vector<Value> path;
  if (by_attribute) {
    if (arguments.positional.empty()) throw Fault{"the name of the attribute is missing"};
    path = attribute_path(arguments.positional[used++]);
  }
  std::string test;
  Arguments rest;
  if (arguments.positional.size() > used) {
    const Value &name = arguments.positional[used++];
    if (!name.is(Kind::String)) throw Fault{fmt::format("the name of a test is a str, not {}", name.type_name())};
    test = name.as_string().text;
    rest.positional.assign(arguments.positional.begin() + static_cast<std::ptrdiff_t>(used),
                           arguments.positional.end());
    rest.named = arguments.named;
  } else if (!arguments.named.empty()) {
    throw Fault{fmt::format("no parameter '{}'", arguments.named[0].first)};
  }
  std::vector<Value> out;
  for (Value &item : interpreter.items_of(input)) {
    const Value seen = by_attribute ? follow(interpreter, item, path) : item;
    if ((test.empty() ? seen.truthy() : interpreter.test(test, seen, rest)) == wanted) out.push_back(std::move(item));
  }
  return interpreter.iterator(std::move(out));
}

}  // namespace

Value filter_batch(Interpreter &interpreter, const Value &input, const Arguments &arguments) {
  const Bound bound("batch", arguments, {"linecount", "fill_with"});
  bound.get(0);
  const int64_t size = bound.integer(0, 0);
  if (size < 1 || size > 100000) throw Fault{"batch: the size must be 1 to 100000"};
  std::vector<Value> out, row;
  for (Value &item : interpreter.items_of(input)) {
    if (static_cast<int64_t>(row.size()) == size) out.push_back(interpreter.list(std::exchange(row, {})));
    row.push_back(std::move(item));
  }
  if (!row.empty()) {
    if (bound.has(1) && !bound.get(1).is(Kind::None)) row.resize(static_cast<size_t>(size), bound.get(1));
    out.push_back(interpreter.list(std::move(row)));
  }
  return interpreter.iterator(std::move(out));
}

Value filter_dictsort(Interpreter &interpreter, const Value &input, const Arguments &arguments) {
  const Bound bound("dictsort", arguments, {"case_sensitive", "by", "reverse"});
  const std::string by = bound.text(1, "key").text;
  if (by != "key" && by != "value") throw Fault{"dictsort: 'by' is \"key\" or \"value\""};
  if (input.is_undefined()) throw Fault{input.why_undefined()};
  if (!input.is(Kind::Dict)) throw Fault{fmt::format("dictsort needs a dict, not {}", input.type_name())};
  std::vector<Keyed> items;
  for (const auto &[key, value] : input.as_dict().entries) {
    const Value &seen = by == "key" ? key : value;
    items.emplace_back(bound.flag(0, false) ? seen : without_case(seen), interpreter.tuple({key, value}));
  }
  return interpreter.list(sorted(interpreter, std::move(items), bound.flag(2, false)));
}

Value filter_first(Interpreter &interpreter, const Value &input, const Arguments &arguments) {
  no_arguments("first", arguments);
  if (input.is(Kind::Iterator)) {
    IteratorData &iterator = input.as_iterator();
    return iterator.next < iterator.items.size() ? iterator.items[iterator.next++]
                                                 : Value::undefined("the sequence is empty");
  }
  const std::vector<Value> items = interpreter.items_of(input);
  return items.empty() ? Value::undefined("the sequence is empty") : items.front();
}

Value filter_last(Interpreter &interpreter, const Value &input, const Arguments &arguments) {
  no_arguments("last", arguments);
  if (input.is(Kind::Iterator)) throw Fault{"last needs a list: make one with |list"};
  const std::vector<Value> items = interpreter.items_of(input);
  return items.empty() ? Value::undefined("the sequence is empty") : items.back();
}

Value filter_items(Interpreter &interpreter, const Value &input, const Arguments &arguments) {
  no_arguments("items", arguments);
  if (input.is_undefined()) return interpreter.iterator({});
  if (!input.is(Kind::Dict)) throw Fault{fmt::format("items needs a dict, not {}", input.type_name())};
  std::vector<Value> out;
  for (const auto &[key, value] : input.as_dict().entries) out.push_back(interpreter.tuple({key, value}));
  return interpreter.iterator(std::move(out));
}

Value filter_join(Interpreter &interpreter, const Value &input, const Arguments &arguments) {
  const Bound bound("join", arguments, {"d", "attribute"});
  std::vector<Value> path;
  if (bound.has(1) && !bound.get(1).is(Kind::None)) path = attribute_path(bound.get(1));
  std::vector<Str> parts;
  for (const Value &item : interpreter.items_of(input))
    parts.push_back(to_text(interpreter, follow(interpreter, item, path)));
  return interpreter.string(join(interpreter, bound.has(0) ? to_text(interpreter, bound.get(0)) : Str{}, parts));
}

Value filter_list(Interpreter &interpreter, const Value &input, const Arguments &arguments) {
  no_arguments("list", arguments);
  return interpreter.list(interpreter.items_of(input));
}

Value filter_map(Interpreter &interpreter, const Value &input, const Arguments &arguments) {
  if (!input.truthy()) return interpreter.iterator({});  // whatever it is
  std::vector<Value> out;
  if (arguments.positional.empty()) {
    const Bound bound("map", arguments, {"attribute", "default"});
    const std::vector<Value> path = attribute_path(bound.get(0));
    const Value otherwise = bound.has(1) && !bound.get(1).is(Kind::None) ? bound.get(1) : Value();
    for (const Value &item : interpreter.items_of(input)) out.push_back(follow(interpreter, item, path, otherwise));
    return interpreter.iterator(std::move(out));
  }
  const Value &name = arguments.positional[0];
  if (!name.is(Kind::String)) throw Fault{fmt::format("the name of a filter is a str, not {}", name.type_name())};
  const Arguments rest{{arguments.positional.begin() + 1, arguments.positional.end()}, arguments.named};
  for (const Value &item : interpreter.items_of(input))
    out.push_back(interpreter.filter(name.as_string().text, item, rest));
  return interpreter.iterator(std::move(out));
}

Value filter_max(Interpreter &interpreter, const Value &input, const Arguments &arguments) {
  return least(interpreter, input, arguments, "max", true);
}
Value filter_min(Interpreter &interpreter, const Value &input, const Arguments &arguments) {
  return least(interpreter, input, arguments, "min", false);
}
Value filter_select(Interpreter &interpreter, const Value &input, const Arguments &arguments) {
  return choose(interpreter, input, arguments, false, true);
}
Value filter_reject(Interpreter &interpreter, const Value &input, const Arguments &arguments) {
  return choose(interpreter, input, arguments, false, false);
}
Value filter_selectattr(Interpreter &interpreter, const Value &input, const Arguments &arguments) {
  return choose(interpreter, input, arguments, true, true);
}
Value filter_rejectattr(Interpreter &interpreter, const Value &input, const Arguments &arguments) {
  return choose(interpreter, input, arguments, true, false);
}

Value filter_reverse(Interpreter &interpreter, const Value &input, const Arguments &arguments) {
  no_arguments("reverse", arguments);
  if (input.is(Kind::String)) return slice(interpreter, input, {}, {}, Value::integer(-1));
  std::vector<Value> items = interpreter.items_of(input);
  std::reverse(items.begin(), items.end());
  return input.is(Kind::Iterator) ? interpreter.list(std::move(items)) : interpreter.iterator(std::move(items));
}

Value filter_sort(Interpreter &interpreter, const Value &input, const Arguments &arguments) {
  const Bound bound("sort", arguments, {"reverse", "case_sensitive", "attribute"});
  const SortKey key(bound, 1, 2);
  std::vector<Keyed> items;
  for (Value &item : interpreter.items_of(input)) {
    Value by = key.of(interpreter, item);
    items.emplace_back(std::move(by), std::move(item));
  }
  return interpreter.list(sorted(interpreter, std::move(items), bound.flag(0, false)));
}

Value filter_sum(Interpreter &interpreter, const Value &input, const Arguments &arguments) {
  const Bound bound("sum", arguments, {"attribute", "start"});
  std::vector<Value> path;
  if (bound.has(0) && !bound.get(0).is(Kind::None)) path = attribute_path(bound.get(0));
  Value total = bound.has(1) ? bound.get(1) : Value::integer(0);
  if (total.is(Kind::String)) throw Fault{"sum cannot add strings: use |join"};
  for (const Value &item : interpreter.items_of(input))
    total = arithmetic(interpreter, "+", total, follow(interpreter, item, path));
  return total;
}

Value filter_unique(Interpreter &interpreter, const Value &input, const Arguments &arguments) {
  const Bound bound("unique", arguments, {"case_sensitive", "attribute"});
  const SortKey key(bound, 0, 1);
  std::vector<Value> seen, out;
  for (Value &item : interpreter.items_of(input)) {
    Value by = key.of(interpreter, item);
    if (by.is(Kind::List) || by.is(Kind::Dict)) throw Fault{fmt::format("unhashable type: '{}'", by.type_name())};
    if (std::any_of(seen.begin(), seen.end(), [&](const Value &other) { return equal(interpreter, other, by); }))
      continue;
    seen.push_back(std::move(by));
    out.push_back(std::move(item));
  }
  return interpreter.iterator(std::move(out));
}

}  // namespace bittern::runtime::jinja
