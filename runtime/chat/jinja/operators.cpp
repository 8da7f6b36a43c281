// See operators.h.
#include "runtime/chat/jinja/operators.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <compare>

#include "runtime/chat/jinja/print.h"
#include "runtime/chat/jinja/unicode.h"

namespace bittern::runtime::jinja {
namespace {

[[noreturn]] void unsupported(std::string_view operation, const Value &a, const Value &b) {
  for (const Value *value : {&a, &b})
    if (value->is_undefined()) throw Fault{value->why_undefined()};
  throw Fault{fmt::format("unsupported operand types for {}: '{}' and '{}'", operation, a.type_name(), b.type_name())};
}
[[noreturn]] void overflow() { throw Fault{"the result does not fit in a 64-bit integer"}; }
[[noreturn]] void by_zero() { throw Fault{"division by zero"}; }

int64_t floor_div(int64_t a, int64_t b) {
  if (b == 0) by_zero();
  if (a == INT64_MIN && b == -1) overflow();
  return a / b - (a % b != 0 && (a < 0) != (b < 0));
}
int64_t floor_mod(int64_t a, int64_t b) {
  if (b == 0) by_zero();
  if (b == -1) return 0;
  const int64_t rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}
double float_mod(double a, double b) {
  if (b == 0) by_zero();
  double rest = std::fmod(a, b);
  if (rest != 0)
    rest += (b < 0) != (rest < 0) ? b : 0;
  else
    rest = std::copysign(0.0, b);
  return rest;
}
// As CPython: from the remainder, so that a == (a // b) * b + a % b as nearly as floats allow.
double float_floor_div(double a, double b) {
  if (b == 0) by_zero();
  double rest = std::fmod(a, b), quotient = (a - rest) / b;
  if (rest != 0 && (b < 0) != (rest < 0)) quotient -= 1;
  if (quotient == 0) return std::copysign(0.0, a / b);
  const double floor = std::floor(quotient);
  return quotient - floor > 0.5 ? floor + 1 : floor;
}
int64_t integer_power(int64_t base, int64_t exponent) {
  int64_t result = 1;
  while (exponent > 0) {
    if (exponent & 1)
      if (__builtin_mul_overflow(result, base, &result)) overflow();
    exponent >>= 1;
    if (exponent && __builtin_mul_overflow(base, base, &base)) {
      if (result == 0) return 0;
      overflow();
    }
  }
  return result;
}

Value power(const Value &a, const Value &b) {
  if (a.is_integral() && b.is_integral() && b.as_int() >= 0)
    return Value::integer(integer_power(a.as_int(), b.as_int()));
  const double x = a.as_float(), y = b.as_float();
  if (x == 0 && y < 0) throw Fault{"0.0 cannot be raised to a negative power"};
  if (x < 0 && y != std::floor(y) && std::isfinite(y) && std::isfinite(x))
    throw Fault{"complex numbers are not supported"};
  const double result = std::pow(x, y);
  if (std::isinf(result) && std::isfinite(x) && std::isfinite(y)) throw Fault{"the result is too large"};
  return Value::real(result);
}

Value numeric(std::string_view operation, const Value &a, const Value &b) {
  if (operation == "**") return power(a, b);
  if (operation == "/") {
    if (b.as_float() == 0) by_zero();
    return Value::real(a.as_float() / b.as_float());
  }
  if (a.is_integral() && b.is_integral()) {
    const int64_t x = a.as_int(), y = b.as_int();
    int64_t result = 0;
    if (operation == "//") return Value::integer(floor_div(x, y));
    if (operation == "%") return Value::integer(floor_mod(x, y));
    const bool over = operation == "+"   ? __builtin_add_overflow(x, y, &result)
                      : operation == "-" ? __builtin_sub_overflow(x, y, &result)
                                         : __builtin_mul_overflow(x, y, &result);
    if (over) overflow();
    return Value::integer(result);
  }
  const double x = a.as_float(), y = b.as_float();
  if (operation == "//") return Value::real(float_floor_div(x, y));
  if (operation == "%") return Value::real(float_mod(x, y));
  return Value::real(operation == "+" ? x + y : operation == "-" ? x - y : x * y);
}

Value repeat(Interpreter &interpreter, const Value &value, int64_t count) {
  count = std::max<int64_t>(count, 0);
  const auto size = static_cast<int64_t>(value.is(Kind::String) ? value.as_string().text.size()
                                                                : value.as_items().items.size() * sizeof(Value));
  int64_t total = 0;
  if (__builtin_mul_overflow(size, count, &total)) throw Fault{"the result is too long"};
  interpreter.charge(static_cast<size_t>(total));
  interpreter.work(static_cast<size_t>(total));
  if (value.is(Kind::String)) {
    Str out;
    if (size != 0)
      for (int64_t i = 0; i < count; ++i) out.append(value.as_string());
    return Value::string(std::move(out));
  }
  const std::vector<Value> &items = value.as_items().items;
  std::vector<Value> out;
  if (!items.empty())
    for (int64_t i = 0; i < count; ++i) out.insert(out.end(), items.begin(), items.end());
  return value.is(Kind::List) ? Value::list(std::move(out)) : Value::tuple(std::move(out));
}

bool is_sequence(const Value &value) { return value.is(Kind::String) || value.is(Kind::List) || value.is(Kind::Tuple); }

Value add_sequences(Interpreter &interpreter, const Value &a, const Value &b) {
  if (a.is(Kind::String)) {
    interpreter.work(a.as_string().text.size() + b.as_string().text.size());
    Str out = a.as_string();
    out.append(b.as_string());
    return interpreter.string(std::move(out));
  }
  std::vector<Value> items = a.as_items().items;
  items.insert(items.end(), b.as_items().items.begin(), b.as_items().items.end());
  return a.is(Kind::List) ? interpreter.list(std::move(items)) : interpreter.tuple(std::move(items));
}

// An int and a float exactly, as Python compares them.
std::partial_ordering order(int64_t a, double b) {
  if (std::isnan(b)) return std::partial_ordering::unordered;
  if (b >= 0x1p63) return std::partial_ordering::less;
  if (b < -0x1p63) return std::partial_ordering::greater;
  const double whole = std::floor(b);
  const auto integer = static_cast<int64_t>(whole);
  if (a != integer) return a < integer ? std::partial_ordering::less : std::partial_ordering::greater;
  return whole < b ? std::partial_ordering::less : std::partial_ordering::equivalent;
}
std::partial_ordering order_numbers(const Value &a, const Value &b) {
  if (a.is_integral() && b.is_integral()) return a.as_int() <=> b.as_int();
  if (a.is_integral()) return order(a.as_int(), b.as_float());
  if (b.is_integral()) return 0 <=> order(b.as_int(), a.as_float());
  return a.as_float() <=> b.as_float();
}

std::partial_ordering order_values(Interpreter &interpreter, const Value &a, const Value &b) {
  interpreter.work(0);
  if (a.is_number() && b.is_number()) return order_numbers(a, b);
  if (a.is(Kind::String) && b.is(Kind::String)) {
    interpreter.work(std::min(a.as_string().text.size(), b.as_string().text.size()));
    const int difference = a.as_string().text.compare(b.as_string().text);  // bytes order as code points do
    return difference <=> 0;
  }
  if (a.kind() == b.kind() && (a.is(Kind::List) || a.is(Kind::Tuple))) {
    const auto &x = a.as_items().items, &y = b.as_items().items;
    for (size_t i = 0; i < std::min(x.size(), y.size()); ++i)
      if (!equal(interpreter, x[i], y[i])) return order_values(interpreter, x[i], y[i]);
    return x.size() <=> y.size();
  }
  unsupported("<", a, b);
}

bool equal_items(Interpreter &interpreter, const std::vector<Value> &a, const std::vector<Value> &b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (!a[i].same(b[i]) && !equal(interpreter, a[i], b[i])) return false;
  return true;
}

bool equal_ranges(const RangeData &a, const RangeData &b) {
  return a.size() == b.size() && (a.size() == 0 || (a.start == b.start && (a.size() == 1 || a.step == b.step)));
}

void check_key(const Value &key) {
  if (key.is(Kind::List) || key.is(Kind::Dict)) throw Fault{fmt::format("unhashable type: '{}'", key.type_name())};
  if (key.is(Kind::Tuple))
    for (const Value &item : key.as_items().items) check_key(item);
}

int64_t slice_bound(const Value &value, const char *what) {
  if (!value.is_integral())
    throw Fault{fmt::format("slice {} must be an integer or None, not {}", what, value.type_name())};
  return value.as_int();
}

}  // namespace

Value arithmetic(Interpreter &interpreter, std::string_view operation, const Value &a, const Value &b) {
  if (a.is_number() && b.is_number()) return numeric(operation, a, b);
  if (operation == "+" && a.kind() == b.kind() && is_sequence(a)) return add_sequences(interpreter, a, b);
  if (operation == "*" && is_sequence(a) && b.is_integral()) return repeat(interpreter, a, b.as_int());
  if (operation == "*" && is_sequence(b) && a.is_integral()) return repeat(interpreter, b, a.as_int());
  if (operation == "%" && a.is(Kind::String)) throw Fault{"printf-style formatting with % is not supported"};
  unsupported(operation, a, b);
}

Value negate(const Value &value) {
  if (value.is_integral()) {
    if (value.as_int() == INT64_MIN) overflow();
    return Value::integer(-value.as_int());
  }
  if (value.is(Kind::Float)) return Value::real(-value.as_float());
  if (value.is_undefined()) throw Fault{value.why_undefined()};
  throw Fault{fmt::format("bad operand type for unary -: '{}'", value.type_name())};
}

Value positive(const Value &value) {
  if (value.is_integral()) return Value::integer(value.as_int());
  if (value.is(Kind::Float)) return value;
  if (value.is_undefined()) throw Fault{value.why_undefined()};
  throw Fault{fmt::format("bad operand type for unary +: '{}'", value.type_name())};
}

bool equal(Interpreter &interpreter, const Value &a, const Value &b) {
  interpreter.work(0);
  if (a.is_number() && b.is_number()) return order_numbers(a, b) == std::partial_ordering::equivalent;
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::Undefined:
    case Kind::None:
      return true;
    case Kind::String:
      interpreter.work(a.as_string().text.size());
      return a.as_string().text == b.as_string().text;
    case Kind::List:
    case Kind::Tuple:
      return equal_items(interpreter, a.as_items().items, b.as_items().items);
    case Kind::View:
      return a.as_items().view == b.as_items().view && a.as_items().view != std::string_view("dict_values") &&
             equal_items(interpreter, a.as_items().items, b.as_items().items);
    case Kind::Dict: {
      if (a.as_dict().entries.size() != b.as_dict().entries.size()) return false;
      return std::all_of(a.as_dict().entries.begin(), a.as_dict().entries.end(), [&](const auto &entry) {
        const Value *other = find_key(interpreter, b.as_dict(), entry.first);
        return other && (other->same(entry.second) || equal(interpreter, entry.second, *other));
      });
    }
    case Kind::Range:
      return equal_ranges(a.as_range(), b.as_range());
    default:
      return a.same(b);
  }
}

bool less(Interpreter &interpreter, const Value &a, const Value &b) {
  return order_values(interpreter, a, b) == std::partial_ordering::less;
}

bool compare(Interpreter &interpreter, std::string_view operation, const Value &a, const Value &b) {
  if (operation == "==") return equal(interpreter, a, b);
  if (operation == "!=") return !equal(interpreter, a, b);
  if (operation == "in") return contains(interpreter, b, a);
  if (operation == "notin") return !contains(interpreter, b, a);
  const std::partial_ordering order = order_values(interpreter, a, b);
  if (operation == "<") return order < 0;
  if (operation == "<=") return order <= 0;
  if (operation == ">") return order > 0;
  return order >= 0;
}

bool contains(Interpreter &interpreter, const Value &container, const Value &item) {
  if (container.is(Kind::String)) {
    if (!item.is(Kind::String)) {
      if (item.is_undefined()) throw Fault{item.why_undefined()};
      throw Fault{fmt::format("'in <string>' requires string as left operand, not {}", item.type_name())};
    }
    interpreter.work(container.as_string().text.size());
    return container.as_string().text.find(item.as_string().text) != std::string::npos;
  }
  if (container.is(Kind::Dict)) return find_key(interpreter, container.as_dict(), item) != nullptr;
  if (container.is(Kind::Iterator)) {  // consumed up to the match
    IteratorData &iterator = container.as_iterator();
    while (iterator.next < iterator.items.size())
      if (equal(interpreter, iterator.items[iterator.next++], item)) return true;
    return false;
  }
  const std::vector<Value> items = interpreter.items_of(container);
  return std::any_of(items.begin(), items.end(),
                     [&](const Value &value) { return value.same(item) || equal(interpreter, value, item); });
}

int64_t length_of(Interpreter &interpreter, const Value &value) {
  switch (value.kind()) {
    case Kind::Undefined:
      return 0;
    case Kind::String:
      interpreter.work(value.as_string().text.size());
      return length(value.as_string().text);
    case Kind::List:
    case Kind::Tuple:
    case Kind::View:
      return static_cast<int64_t>(value.as_items().items.size());
    case Kind::Dict:
      return static_cast<int64_t>(value.as_dict().entries.size());
    case Kind::Range:
      return value.as_range().size();
    case Kind::Loop:
      return static_cast<int64_t>(value.as_loop().items.size());
    default:
      throw Fault{fmt::format("object of type '{}' has no len()", value.type_name())};
  }
}

Value slice(Interpreter &interpreter, const Value &value, const Value &begin, const Value &end,
            const Value &step_value) {
  if (!is_sequence(value) && !value.is(Kind::Range)) {
    if (value.is_undefined()) throw Fault{value.why_undefined()};
    throw Fault{fmt::format("a '{}' cannot be sliced", value.type_name())};
  }
  const auto absent = [](const Value &bound) { return bound.is_undefined() || bound.is(Kind::None); };
  const int64_t size = length_of(interpreter, value);
  // A longer step than the value picks the first item alone, as size + 1 does.
  const int64_t step = absent(step_value) ? 1 : std::clamp(slice_bound(step_value, "step"), -size - 1, size + 1);
  if (step == 0) throw Fault{"slice step cannot be zero"};
  const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? size : size - 1;
  const auto place = [&](const Value &bound, int64_t otherwise, const char *what) {
    if (absent(bound)) return otherwise;
    int64_t at = slice_bound(bound, what);
    if (at < 0) at = at < -size ? low : at + size;
    return std::clamp(at, low, std::max(low, high));
  };
  const int64_t first = place(begin, step > 0 ? low : high, "start"), last = place(end, step > 0 ? high : low, "stop");
  const RangeData places{first, last, step};
  if (value.is(Kind::Range)) {
    const RangeData &range = value.as_range();
    return Value::range({range.start + first * range.step, range.start + last * range.step, range.step * step});
  }
  const int64_t count = places.size();
  if (value.is(Kind::String)) {
    const Str &string = value.as_string();
    if (step == 1) {
      const size_t from = byte_of(string.text, first),
                   to = from + byte_of(std::string_view(string.text).substr(from), count);
      return interpreter.string(string.slice(from, to));
    }
    std::vector<size_t> starts;
    for_each_character(string.text, [&](char32_t, size_t at, size_t) { starts.push_back(at); });
    starts.push_back(string.text.size());
    interpreter.charge(starts.size() * sizeof(size_t));
    Str out;
    for (int64_t i = 0; i < count; ++i) {
      interpreter.work(0);
      const auto at = static_cast<size_t>(first + i * step);
      out.append(string.slice(starts[at], starts[at + 1]));
    }
    return interpreter.string(std::move(out));
  }
  std::vector<Value> items;
  for (int64_t i = 0; i < count; ++i) items.push_back(value.as_items().items[static_cast<size_t>(first + i * step)]);
  return value.is(Kind::List) ? interpreter.list(std::move(items)) : interpreter.tuple(std::move(items));
}

const Value *find_key(Interpreter &interpreter, const Entries &dict, const Value &key) {
  check_key(key);
  for (const auto &[name, value] : dict.entries)
    if (equal(interpreter, name, key)) return &value;
  return nullptr;
}

void set_key(Interpreter &interpreter, std::vector<std::pair<Value, Value>> &entries, Value key, Value value) {
  check_key(key);
  for (auto &[name, old] : entries) {
    if (!equal(interpreter, name, key)) continue;
    old = std::move(value);
    return;
  }
  entries.emplace_back(std::move(key), std::move(value));
}

std::vector<Value> characters(Interpreter &interpreter, const Str &string) {
  std::vector<Value> out;
  for_each_character(string.text, [&](char32_t, size_t begin, size_t end) {
    interpreter.work(0);
    out.push_back(interpreter.string(string.slice(begin, end)));
  });
  return out;
}

}  // namespace bittern::runtime::jinja
