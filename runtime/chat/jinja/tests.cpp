// The table of tests ("x is ..."), with Jinja 3.1's meanings.
#include <fmt/format.h>

#include <algorithm>

#include "runtime/chat/jinja/interpreter.h"
#include "runtime/chat/jinja/operators.h"
#include "runtime/chat/jinja/print.h"
#include "runtime/chat/jinja/text.h"

namespace bittern::runtime::jinja {
namespace {

template <Kind... kinds>
bool is_kind(Interpreter &, const Value &value, const Arguments &arguments) {
  no_arguments("this test", arguments);
  return (value.is(kinds) || ...);
}
bool is_defined(Interpreter &, const Value &value, const Arguments &arguments) {
  no_arguments("defined", arguments);
  return !value.is_undefined();
}
template <bool wanted>
bool is_bool(Interpreter &, const Value &value, const Arguments &arguments) {
  no_arguments("this test", arguments);
  return value.is(Kind::Bool) && (value.as_int() != 0) == wanted;
}
template <int64_t wanted>
bool is_parity(Interpreter &interpreter, const Value &value, const Arguments &arguments) {
  no_arguments("this test", arguments);
  return equal(interpreter, arithmetic(interpreter, "%", value, Value::integer(2)), Value::integer(wanted));
}
bool is_divisibleby(Interpreter &interpreter, const Value &value, const Arguments &arguments) {
  const Bound bound("divisibleby", arguments, {"num"});
  return equal(interpreter, arithmetic(interpreter, "%", value, bound.get(0)), Value::integer(0));
}
// The operators, as one character or two of them.
template <char first, char second>
bool is_compared(Interpreter &interpreter, const Value &value, const Arguments &arguments) {
  constexpr char kName[] = {first, second, '\0'};
  const Bound bound(kName, arguments, {"other"});
  return compare(interpreter, kName, value, bound.get(0));
}
bool is_in(Interpreter &interpreter, const Value &value, const Arguments &arguments) {
  const Bound bound("in", arguments, {"seq"});
  return contains(interpreter, bound.get(0), value);
}
bool is_sameas(Interpreter &, const Value &value, const Arguments &arguments) {
  const Bound bound("sameas", arguments, {"other"});
  return value.same(bound.get(0));
}
template <bool (*test)(const Str &)>
bool is_case(Interpreter &interpreter, const Value &value, const Arguments &arguments) {
  no_arguments("this test", arguments);
  return test(to_text(interpreter, value));
}
template <bool tests>
bool is_known(Interpreter &, const Value &value, const Arguments &arguments) {
  no_arguments("this test", arguments);
  if (!value.is(Kind::String)) return false;
  return tests ? find_test(value.as_string().text) != nullptr : find_filter(value.as_string().text) != nullptr;
}

constexpr TestRow kTests[] = {
    {"!=", is_compared<'!', '='>},
    {"<", is_compared<'<', '\0'>},
    {"<=", is_compared<'<', '='>},
    {"==", is_compared<'=', '='>},
    {">", is_compared<'>', '\0'>},
    {">=", is_compared<'>', '='>},
    {"boolean", is_kind<Kind::Bool>},
    {"callable", is_kind<Kind::Callable, Kind::Undefined, Kind::Loop>},
    {"defined", is_defined},
    {"divisibleby", is_divisibleby},
    {"eq", is_compared<'=', '='>},
    {"equalto", is_compared<'=', '='>},
    {"even", is_parity<0>},
    {"false", is_bool<false>},
    {"filter", is_known<false>},
    {"float", is_kind<Kind::Float>},
    {"ge", is_compared<'>', '='>},
    {"greaterthan", is_compared<'>', '\0'>},
    {"gt", is_compared<'>', '\0'>},
    {"in", is_in},
    {"integer", is_kind<Kind::Int>},
    {"iterable", is_kind<Kind::Undefined, Kind::String, Kind::List, Kind::Tuple, Kind::Dict, Kind::Range, Kind::View,
                         Kind::Iterator, Kind::Loop>},
    {"le", is_compared<'<', '='>},
    {"lessthan", is_compared<'<', '\0'>},
    {"lower", is_case<is_lower_text>},
    {"lt", is_compared<'<', '\0'>},
    {"mapping", is_kind<Kind::Dict>},
    {"ne", is_compared<'!', '='>},
    {"none", is_kind<Kind::None>},
    {"number", is_kind<Kind::Bool, Kind::Int, Kind::Float>},
    {"odd", is_parity<1>},
    {"sameas", is_sameas},
    {"sequence", is_kind<Kind::Undefined, Kind::String, Kind::List, Kind::Tuple, Kind::Dict, Kind::Range>},
    {"string", is_kind<Kind::String>},
    {"test", is_known<true>},
    {"true", is_bool<true>},
    {"undefined", is_kind<Kind::Undefined>},
    {"upper", is_case<is_upper_text>},
};

}  // namespace

const TestRow *find_test(std::string_view name) {
  const auto found =
      std::find_if(std::begin(kTests), std::end(kTests), [&](const TestRow &row) { return row.name == name; });
  return found == std::end(kTests) ? nullptr : found;
}

}  // namespace bittern::runtime::jinja
