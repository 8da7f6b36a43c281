// The state of one rendering: scopes, output, and the limits that keep a hostile template from taking more than its
// share of time, memory or stack. Filters, tests, methods and operators get it as their first argument.
#pragma once
#include <ctime>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/chat/jinja/syntax.h"
#include "runtime/chat/jinja/value.h"

namespace bittern::runtime::jinja {

struct Limits {
  int64_t steps = 20'000'000;  // operations; an operation on a long value counts as several
  int64_t memory = 256 << 20;  // bytes of all values that are made, whether or not they are dropped again
  int64_t output = 16 << 20;   // bytes
  int depth = 500;             // of expressions and statements within one another, macro calls included
};

// Arguments of a call, a filter or a test.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

// The arguments by the names of parameters. Throws Fault for a name that is not one, too many, or one given twice.
class Bound {
 public:
  Bound(const char *what, const Arguments &arguments, std::span<const char *const> names);
  Bound(const char *what, const Arguments &arguments, std::initializer_list<const char *> names)
      : Bound(what, arguments, std::span(names.begin(), names.size())) {}
  bool has(size_t i) const { return values_[i] != nullptr; }
  // The argument; throws Fault when it is missing.
  const Value &get(size_t i) const;
  // Arguments with a default. Throw Fault when the type is another.
  int64_t integer(size_t i, int64_t otherwise) const;
  bool flag(size_t i, bool otherwise) const;
  Str text(size_t i, std::string_view otherwise) const;

 private:
  const char *what_;
  std::vector<const char *> names_;
  std::vector<const Value *> values_;
};

// Throws Fault when there are any.
inline void no_arguments(const char *what, const Arguments &arguments) {
  const Bound none(what, arguments, std::initializer_list<const char *>{});
}

struct Scope {
  Scope *parent = nullptr;
  std::vector<std::pair<std::string_view, Value>> names;
  bool captured = false;  // a macro was defined in it or below: it outlives its block
};

class Interpreter {
 public:
  Interpreter(const Source &source, const Limits &limits, std::function<std::tm()> clock, const Value &context);
  ~Interpreter();
  Interpreter(const Interpreter &) = delete;
  Interpreter &operator=(const Interpreter &) = delete;

  Str run(const std::vector<StatementPtr> &body);

  // Count towards the limits; throw Fault beyond them. `bytes` that are looked at cost a fraction of a step each.
  void work(size_t bytes) {
    const auto steps = static_cast<int64_t>(bytes / 32) + 1;
    if (steps > limits_.steps - steps_) over("steps");
    steps_ += steps;
  }
  void charge(size_t bytes) {
    if (static_cast<int64_t>(bytes) < 0 || static_cast<int64_t>(bytes) > limits_.memory - memory_) over("memory");
    memory_ += static_cast<int64_t>(bytes);
  }
  // Values that count what they take.
  Value string(Str text);
  Value string(std::string text) { return string(Str{std::move(text), {}}); }
  Value list(std::vector<Value> items);
  Value tuple(std::vector<Value> items);
  Value iterator(std::vector<Value> items);
  Value dict(std::vector<std::pair<Value, Value>> entries);
  Value make_namespace(std::vector<std::pair<std::string, Value>> attributes);

  // What a `for` would walk over. Throws Fault for what Python cannot iterate. Empties iterators.
  std::vector<Value> items_of(const Value &value);
  // x.name and x[key]; undefined when there is no such thing.
  Value attribute(const Value &object, std::string_view name);
  Value item(const Value &object, const Value &key);
  Value call(const Value &callee, const Arguments &arguments);
  Value filter(std::string_view name, const Value &input, const Arguments &arguments);
  bool test(std::string_view name, const Value &input, const Arguments &arguments);

  std::tm now() const { return clock_(); }

 private:
  enum class Flow { Normal, Break, Continue };
  class ScopeGuard;
  class DepthGuard;

  [[noreturn]] void over(const char *limit) const;
  [[noreturn]] void fail(size_t at, const std::string &message) const { fail_at(source_, at, message); }

  // Statements (execute.cpp).
  Flow execute(const std::vector<StatementPtr> &body);
  Flow execute(const Statement &statement);
  Flow execute_if(const Statement &statement);
  Flow execute_for(const Statement &statement);
  void execute_set(const Statement &statement);
  Flow execute_with(const Statement &statement);
  void capture_scopes();  // a macro is defined here: all scopes around it must live on
  void execute_call_block(const Statement &statement);
  Str capture(const std::vector<StatementPtr> &body);
  Value call_macro(const Callable &macro, const Arguments &arguments);
  void assign(const Expression &target, const Value &value);
  void set(std::string_view name, Value value);
  void write(const Str &text);

  // Expressions (evaluate.cpp).
  Value evaluate(const Expression &expression);
  Value evaluate_inner(const Expression &expression);
  Value evaluate_binary(const Expression &expression);
  Value evaluate_compare(const Expression &expression);
  Value evaluate_dict(const Expression &expression);
  Value evaluate_slice(const Expression &expression);
  Value evaluate_call(const Expression &expression);
  std::vector<Value> evaluate_all(const std::vector<ExpressionPtr> &expressions);
  Arguments evaluate_arguments(const Expression &expression, size_t first);
  Value lookup(std::string_view name);
  // The filters of a block tag, innermost first, on its text.
  Value apply_filters(const Expression &filters, Value input);

  const Source &source_;
  Limits limits_;
  std::function<std::tm()> clock_;
  const Value &context_;
  int64_t steps_ = 0, memory_ = 0, output_ = 0;
  int depth_ = 0;
  Str *out_ = nullptr;
  Scope *scope_ = nullptr;
  std::vector<std::unique_ptr<Scope>> captured_;
  std::vector<std::shared_ptr<NamespaceData>> namespaces_;  // emptied at the end: they may hold each other
};

// The tables of names.
struct FilterRow {
  std::string_view name;
  Value (*apply)(Interpreter &, const Value &input, const Arguments &);
};
struct TestRow {
  std::string_view name;
  bool (*apply)(Interpreter &, const Value &input, const Arguments &);
};
const FilterRow *find_filter(std::string_view name);
const TestRow *find_test(std::string_view name);
// A global function, or undefined.
Value find_global(std::string_view name);
// A method of the value's type; null when it has none. Throws Fault for methods that would change the value.
Native find_method(const Value &value, std::string_view name);

}  // namespace bittern::runtime::jinja
