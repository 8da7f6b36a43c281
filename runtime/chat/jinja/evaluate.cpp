// Expressions to values. evaluate() counts depth and turns a Fault into an Error that says where.
#include <fmt/format.h>

#include <algorithm>

#include "runtime/chat/jinja/interpreter.h"
#include "runtime/chat/jinja/interpreter_guards.h"
#include "runtime/chat/jinja/operators.h"
#include "runtime/chat/jinja/print.h"

namespace bittern::runtime::jinja {

Value Interpreter::evaluate(const Expression &expression) {
  const DepthGuard depth(*this, expression.at);
  try {
    work(0);
    return evaluate_inner(expression);
  } catch (const Fault &problem) {
    fail(expression.at, problem.message);
  }
}

Value Interpreter::evaluate_inner(const Expression &expression) {
  const std::vector<ExpressionPtr> &children = expression.children;
  switch (expression.kind) {
    case ExpressionKind::Constant:
      return expression.value;
    case ExpressionKind::Name:
      return lookup(expression.name);
    case ExpressionKind::List:
      return list(evaluate_all(children));
    case ExpressionKind::Tuple:
      return tuple(evaluate_all(children));
    case ExpressionKind::Dict:
      return evaluate_dict(expression);
    case ExpressionKind::Attribute:
      return attribute(evaluate(*children[0]), expression.name);
    case ExpressionKind::Item: {
      const Value object = evaluate(*children[0]);
      return item(object, evaluate(*children[1]));
    }
    case ExpressionKind::Slice:
      return evaluate_slice(expression);
    case ExpressionKind::Call:
      return evaluate_call(expression);
    case ExpressionKind::Filter: {
      const Value input = evaluate(*children[0]);
      return filter(expression.name, input, evaluate_arguments(expression, 1));
    }
    case ExpressionKind::Test: {
      const Value input = evaluate(*children[0]);
      return Value::boolean(test(expression.name, input, evaluate_arguments(expression, 1)));
    }
    case ExpressionKind::Not:
      return Value::boolean(!evaluate(*children[0]).truthy());
    case ExpressionKind::Negative:
      return negate(evaluate(*children[0]));
    case ExpressionKind::Positive:
      return positive(evaluate(*children[0]));
    case ExpressionKind::And:
    case ExpressionKind::Or: {
      Value left = evaluate(*children[0]);
      return left.truthy() == (expression.kind == ExpressionKind::Or) ? left : evaluate(*children[1]);
    }
    case ExpressionKind::Binary: {
      const Value left = evaluate(*children[0]);
      return arithmetic(*this, expression.name, left, evaluate(*children[1]));
    }
    case ExpressionKind::Concat: {
      Str out;
      for (const ExpressionPtr &child : children) {
        const Str part = to_text(*this, evaluate(*child));
        charge(part.text.size());
        out.append(part);
      }
      return string(std::move(out));
    }
    case ExpressionKind::Compare:
      return evaluate_compare(expression);
    case ExpressionKind::Choice:
      if (evaluate(*children[1]).truthy()) return evaluate(*children[0]);
      if (children[2]) return evaluate(*children[2]);
      return Value::undefined("the inline if had a false condition and no else");
  }
  return {};
}

std::vector<Value> Interpreter::evaluate_all(const std::vector<ExpressionPtr> &expressions) {
  std::vector<Value> out;
  out.reserve(expressions.size());
  for (const ExpressionPtr &expression : expressions) out.push_back(evaluate(*expression));
  return out;
}

Value Interpreter::evaluate_dict(const Expression &expression) {
  std::vector<std::pair<Value, Value>> entries;
  for (size_t i = 0; i < expression.children.size(); i += 2) {
    Value key = evaluate(*expression.children[i]);
    set_key(*this, entries, std::move(key), evaluate(*expression.children[i + 1]));
  }
  return dict(std::move(entries));
}

Value Interpreter::evaluate_compare(const Expression &expression) {
  Value left = evaluate(*expression.children[0]);
  for (size_t i = 0; i < expression.operators.size(); ++i) {
    Value right = evaluate(*expression.children[i + 1]);
    if (!compare(*this, expression.operators[i], left, right)) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Value Interpreter::evaluate_slice(const Expression &expression) {
  const Value object = evaluate(*expression.children[0]);
  Value bounds[3];
  for (size_t i = 0; i < 3; ++i) {
    if (!expression.children[i + 1]) continue;
    bounds[i] = evaluate(*expression.children[i + 1]);
    if (bounds[i].is_undefined()) throw Fault{bounds[i].why_undefined()};
  }
  return slice(*this, object, bounds[0], bounds[1], bounds[2]);
}

Arguments Interpreter::evaluate_arguments(const Expression &expression, size_t first) {
  Arguments arguments;
  for (size_t i = first; i < expression.children.size(); ++i)
    arguments.positional.push_back(evaluate(*expression.children[i]));
  for (const auto &[name, value] : expression.named) arguments.named.emplace_back(name, evaluate(*value));
  return arguments;
}

Value Interpreter::evaluate_call(const Expression &expression) {
  const Value callee = evaluate(*expression.children[0]);
  return call(callee, evaluate_arguments(expression, 1));
}

Value Interpreter::apply_filters(const Expression &filters, Value input) {
  if (filters.children[0]) input = apply_filters(*filters.children[0], std::move(input));
  return filter(filters.name, input, evaluate_arguments(filters, 1));
}

Value Interpreter::lookup(std::string_view name) {
  for (const Scope *scope = scope_; scope; scope = scope->parent)
    for (const auto &[known, value] : scope->names)
      if (known == name) return value;
  for (const auto &[key, value] : context_.as_dict().entries)
    if (key.as_string().text == name) return value;
  Value global = find_global(name);
  return global.is_undefined() ? Value::undefined(fmt::format("'{}' is undefined", name)) : global;
}

}  // namespace bittern::runtime::jinja
