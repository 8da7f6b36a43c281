// Values of a template: Python's undefined, None, bool, int (64 bits), float, str, list, tuple, dict and range, plus
// what only lives while a template runs (iterators, namespaces, loops, things to call). All but iterators, namespaces
// and loops are immutable, as in transformers' sandbox, so values can be shared and never form a cycle by themselves.
//
// A string remembers which of its bytes were written by a person (`marks`): the chat prompt must not take special
// tokens from there. Whatever makes a string of other strings carries the marks along, too wide rather than too narrow.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "runtime/io/text_range.h"

namespace bittern::runtime::jinja {

class Value;
class Interpreter;
struct Statement;
struct Scope;

using Marks = std::vector<TextRange>;  // sorted, apart, not empty

// Text with marks; valid UTF-8.
struct Str {
  std::string text;
  Marks marks;

  void append(std::string_view plain) { text += plain; }
  void append(const Str &other);
  // Appends text of which every byte is marked when `marked`.
  void append(std::string_view bytes, bool marked);
  Str slice(size_t begin, size_t end) const;  // bytes
  bool marked() const { return !marks.empty(); }
  // Whether any of the bytes is marked.
  bool marked(size_t begin, size_t end) const;
};

enum class Kind {
  Undefined,
  None,
  Bool,
  Int,
  Float,
  String,
  List,
  Tuple,
  Dict,
  Range,
  View,      // dict.keys(), .values(), .items()
  Iterator,  // what lazy filters give; can be walked once
  Namespace,
  Loop,
  Callable
};

// Items of a list, tuple or dict view.
struct Items {
  std::vector<Value> items;
  int depth = 1;               // of nesting, so that nothing recurses without bound
  const char *view = nullptr;  // "dict_keys" ...
};
struct Entries {
  std::vector<std::pair<Value, Value>> entries;  // in the order of insertion
  int depth = 1;
};
struct RangeData {
  int64_t start, stop, step;
  int64_t size() const;
};
struct IteratorData {
  std::vector<Value> items;
  size_t next = 0;
  int depth = 1;
};
struct NamespaceData {
  std::vector<std::pair<std::string, Value>> attributes;
};
struct LoopData {
  std::vector<Value> items;
  size_t index = 0;
  int depth = 1;
};
struct Callable;

class Value {
 public:
  Value() = default;  // undefined
  static Value undefined(std::string why);
  static Value none();
  static Value boolean(bool value);
  static Value integer(int64_t value);
  static Value real(double value);
  static Value string(Str text);
  static Value string(std::string text) { return string(Str{std::move(text), {}}); }
  // These throw Fault when values are nested deeper than kMaxDepth.
  static Value list(std::vector<Value> items) { return sequence(Kind::List, std::move(items)); }
  static Value tuple(std::vector<Value> items) { return sequence(Kind::Tuple, std::move(items)); }
  static Value view(const char *name, std::vector<Value> items);
  static Value dict(std::vector<std::pair<Value, Value>> entries);
  static Value iterator(std::vector<Value> items);
  static Value range(RangeData range);
  static Value space(std::shared_ptr<NamespaceData> data);
  static Value loop(std::shared_ptr<LoopData> data);
  static Value callable(Callable callable);

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_undefined() const { return kind_ == Kind::Undefined; }
  // Bool, int or float.
  bool is_number() const { return kind_ == Kind::Bool || kind_ == Kind::Int || kind_ == Kind::Float; }
  bool is_integral() const { return kind_ == Kind::Bool || kind_ == Kind::Int; }
  int depth() const;

  // The value as what kind() says; a bool is also an int, an int also a float.
  int64_t as_int() const { return int_; }
  double as_float() const { return kind_ == Kind::Float ? float_ : static_cast<double>(int_); }
  const Str &as_string() const { return *static_cast<const Str *>(data_.get()); }
  const Items &as_items() const { return *static_cast<const Items *>(data_.get()); }
  const Entries &as_dict() const { return *static_cast<const Entries *>(data_.get()); }
  const RangeData &as_range() const { return *static_cast<const RangeData *>(data_.get()); }
  IteratorData &as_iterator() const { return *static_cast<IteratorData *>(data_.get()); }
  NamespaceData &as_space() const { return *static_cast<NamespaceData *>(data_.get()); }
  LoopData &as_loop() const { return *static_cast<LoopData *>(data_.get()); }
  const Callable &as_callable() const { return *static_cast<const Callable *>(data_.get()); }
  // Of undefined: why it is ("'x' is undefined").
  std::string why_undefined() const;
  // Whether both are the very same object, as Python's `is`.
  bool same(const Value &other) const;

  bool truthy() const;
  // Python's name of the type: "str", "int", "NoneType".
  const char *type_name() const;

 private:
  static Value sequence(Kind kind, std::vector<Value> items);
  static Value make(Kind kind, std::shared_ptr<void> data);

  Kind kind_ = Kind::Undefined;
  union {
    int64_t int_ = 0;
    double float_;
  };
  std::shared_ptr<void> data_;
};

struct Arguments;
using Native = Value (*)(Interpreter &, const Value &self, const Arguments &);

// What `x(...)` calls: a macro, a method bound to a value, or a global function.
struct Callable {
  std::string name;
  const Statement *macro = nullptr;
  Scope *scope = nullptr;  // where the macro was defined
  Native native = nullptr;
  Value self;
};

// What went wrong, without the place: the interpreter adds it. Caught where an expression is evaluated.
struct Fault {
  std::string message;
};

constexpr int kMaxDepth = 100;

}  // namespace bittern::runtime::jinja
