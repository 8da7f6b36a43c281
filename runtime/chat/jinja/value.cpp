// See value.h.
#include "runtime/chat/jinja/value.h"

#include <fmt/format.h>

#include <algorithm>

namespace bittern::runtime::jinja {
namespace {

// Depth of something that holds these; refuses what is nested too deep.
int depth_above(int deepest) {
  if (deepest >= kMaxDepth) throw Fault{fmt::format("values are nested more than {} deep", kMaxDepth)};
  return deepest + 1;
}
int deepest_of(const std::vector<Value> &items) {
  int depth = 0;
  for (const Value &item : items) depth = std::max(depth, item.depth());
  return depth;
}

void add_mark(Marks &marks, TextRange range) {
  if (range.begin == range.end) return;
  if (!marks.empty() && marks.back().end >= range.begin)
    marks.back().end = std::max(marks.back().end, range.end);
  else
    marks.push_back(range);
}

}  // namespace

void Str::append(const Str &other) {
  const size_t at = text.size();
  text += other.text;
  for (const TextRange &mark : other.marks) add_mark(marks, {at + mark.begin, at + mark.end});
}

void Str::append(std::string_view bytes, bool with_mark) {
  if (with_mark) add_mark(marks, {text.size(), text.size() + bytes.size()});
  text += bytes;
}

Str Str::slice(size_t begin, size_t end) const {
  Str out;
  if (begin >= end) return out;
  out.text = text.substr(begin, end - begin);
  for (const TextRange &mark : marks) {
    const size_t from = std::max(mark.begin, begin), to = std::min(mark.end, end);
    if (from < to) out.marks.push_back({from - begin, to - begin});
  }
  return out;
}

bool Str::marked(size_t begin, size_t end) const {
  return std::any_of(marks.begin(), marks.end(),
                     [&](const TextRange &mark) { return mark.begin < end && begin < mark.end; });
}

int64_t RangeData::size() const {
  if (step > 0) return start < stop ? (stop - start - 1) / step + 1 : 0;
  return start > stop ? (start - stop - 1) / -step + 1 : 0;
}

Value Value::make(Kind kind, std::shared_ptr<void> data) {
  Value value;
  value.kind_ = kind;
  value.data_ = std::move(data);
  return value;
}
Value Value::undefined(std::string why) {
  return make(Kind::Undefined, std::make_shared<Str>(Str{std::move(why), {}}));
}
Value Value::none() { return make(Kind::None, nullptr); }
Value Value::boolean(bool value) {
  Value result = make(Kind::Bool, nullptr);
  result.int_ = value;
  return result;
}
Value Value::integer(int64_t value) {
  Value result = make(Kind::Int, nullptr);
  result.int_ = value;
  return result;
}
Value Value::real(double value) {
  Value result = make(Kind::Float, nullptr);
  result.float_ = value;
  return result;
}
Value Value::string(Str text) { return make(Kind::String, std::make_shared<Str>(std::move(text))); }
Value Value::sequence(Kind kind, std::vector<Value> items) {
  const int depth = depth_above(deepest_of(items));
  return make(kind, std::make_shared<Items>(Items{std::move(items), depth, nullptr}));
}
Value Value::view(const char *name, std::vector<Value> items) {
  const int depth = depth_above(deepest_of(items));
  return make(Kind::View, std::make_shared<Items>(Items{std::move(items), depth, name}));
}
Value Value::dict(std::vector<std::pair<Value, Value>> entries) {
  int depth = 0;
  for (const auto &[key, value] : entries) depth = std::max({depth, key.depth(), value.depth()});
  depth = depth_above(depth);
  return make(Kind::Dict, std::make_shared<Entries>(Entries{std::move(entries), depth}));
}
Value Value::iterator(std::vector<Value> items) {
  const int depth = depth_above(deepest_of(items));
  return make(Kind::Iterator, std::make_shared<IteratorData>(IteratorData{std::move(items), 0, depth}));
}
Value Value::range(RangeData range) { return make(Kind::Range, std::make_shared<RangeData>(range)); }
Value Value::space(std::shared_ptr<NamespaceData> data) { return make(Kind::Namespace, std::move(data)); }
Value Value::loop(std::shared_ptr<LoopData> data) {
  data->depth = depth_above(deepest_of(data->items));
  return make(Kind::Loop, std::move(data));
}
Value Value::callable(Callable callable) {
  depth_above(callable.self.depth());
  return make(Kind::Callable, std::make_shared<Callable>(std::move(callable)));
}

int Value::depth() const {
  switch (kind_) {
    case Kind::List:
    case Kind::Tuple:
    case Kind::View:
      return as_items().depth;
    case Kind::Dict:
      return as_dict().depth;
    case Kind::Iterator:
      return as_iterator().depth;
    case Kind::Loop:
      return as_loop().depth;
    case Kind::Callable:
      return as_callable().self.depth() + 1;
    default:
      return 0;
  }
}

std::string Value::why_undefined() const { return data_ ? as_string().text : "the value is undefined"; }

bool Value::same(const Value &other) const {
  if (kind_ != other.kind_) return false;
  if (data_ || other.data_) return data_ == other.data_;
  return kind_ == Kind::Float ? float_ == other.float_ : int_ == other.int_;
}

bool Value::truthy() const {
  switch (kind_) {
    case Kind::Undefined:
    case Kind::None:
      return false;
    case Kind::Bool:
    case Kind::Int:
      return int_ != 0;
    case Kind::Float:
      return float_ != 0;
    case Kind::String:
      return !as_string().text.empty();
    case Kind::List:
    case Kind::Tuple:
    case Kind::View:
      return !as_items().items.empty();
    case Kind::Dict:
      return !as_dict().entries.empty();
    case Kind::Range:
      return as_range().size() != 0;
    default:
      return true;
  }
}

const char *Value::type_name() const {
  switch (kind_) {
    case Kind::Undefined:
      return "Undefined";
    case Kind::None:
      return "NoneType";
    case Kind::Bool:
      return "bool";
    case Kind::Int:
      return "int";
    case Kind::Float:
      return "float";
    case Kind::String:
      return "str";
    case Kind::List:
      return "list";
    case Kind::Tuple:
      return "tuple";
    case Kind::Dict:
      return "dict";
    case Kind::Range:
      return "range";
    case Kind::View:
      return as_items().view;
    case Kind::Iterator:
      return "generator";
    case Kind::Namespace:
      return "Namespace";
    case Kind::Loop:
      return "LoopContext";
    case Kind::Callable:
      return "function";
  }
  return "";
}

}  // namespace bittern::runtime::jinja
