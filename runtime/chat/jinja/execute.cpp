// Statements. What a tag of Jinja runs in a scope of its own (loops, macros, blocks that are captured) does so here.
#include <fmt/format.h>

#include <algorithm>

#include "runtime/chat/jinja/interpreter.h"
#include "runtime/chat/jinja/interpreter_guards.h"
#include "runtime/chat/jinja/print.h"

namespace bittern::runtime::jinja {

Str Interpreter::run(const std::vector<StatementPtr> &body) {
  const ScopeGuard scope(*this, nullptr);
  return capture(body);
}

void Interpreter::write(const Str &text) {
  output_ += static_cast<int64_t>(text.text.size());
  if (output_ > limits_.output) over("output");
  charge(text.text.size());
  out_->append(text);
}

Interpreter::Flow Interpreter::execute(const std::vector<StatementPtr> &body) {
  for (const StatementPtr &statement : body) {
    const Flow flow = execute(*statement);
    if (flow != Flow::Normal) return flow;
  }
  return Flow::Normal;
}

Interpreter::Flow Interpreter::execute(const Statement &statement) {
  const DepthGuard depth(*this, statement.at);
  try {
    work(0);
    switch (statement.kind) {
      case StatementKind::Text:
        work(statement.text.size());
        write({statement.text, {}});
        break;
      case StatementKind::Print:
        write(to_text(*this, evaluate(*statement.value)));
        break;
      case StatementKind::If:
        return execute_if(statement);
      case StatementKind::For:
        return execute_for(statement);
      case StatementKind::Set:
      case StatementKind::SetBlock:
        execute_set(statement);
        break;
      case StatementKind::Macro: {
        capture_scopes();
        set(statement.name, Value::callable({statement.name, &statement, scope_, nullptr, {}}));
        break;
      }
      case StatementKind::CallBlock:
        execute_call_block(statement);
        break;
      case StatementKind::FilterBlock:
      case StatementKind::Scoped: {
        const ScopeGuard scope(*this, scope_);
        const Str text = capture(statement.bodies[0]);
        write(statement.filter ? to_text(*this, apply_filters(*statement.filter, string(text))) : text);
        break;
      }
      case StatementKind::With:
        return execute_with(statement);
      case StatementKind::Break:
        return Flow::Break;
      case StatementKind::Continue:
        return Flow::Continue;
    }
  } catch (const Fault &problem) {
    fail(statement.at, problem.message);
  }
  return Flow::Normal;
}

Interpreter::Flow Interpreter::execute_if(const Statement &statement) {
  for (size_t i = 0; i < statement.conditions.size(); ++i)
    if (evaluate(*statement.conditions[i]).truthy()) return execute(statement.bodies[i]);
  return statement.bodies.size() > statement.conditions.size() ? execute(statement.bodies.back()) : Flow::Normal;
}

Interpreter::Flow Interpreter::execute_for(const Statement &statement) {
  std::vector<Value> items = items_of(evaluate(*statement.value));
  if (statement.condition) {
    std::vector<Value> kept;
    for (Value &item : items) {
      const ScopeGuard scope(*this, scope_);
      assign(*statement.target, item);
      if (evaluate(*statement.condition).truthy()) kept.push_back(std::move(item));
    }
    items = std::move(kept);
  }
  // As in Jinja, the else is for loops of which no turn came to its end, by break or continue as well.
  bool finished = false;
  const auto loop = std::make_shared<LoopData>();
  loop->items = std::move(items);
  const Value loop_value = Value::loop(loop);
  for (; loop->index < loop->items.size(); ++loop->index) {
    work(0);
    const ScopeGuard scope(*this, scope_);
    set("loop", loop_value);
    assign(*statement.target, loop->items[loop->index]);
    const Flow flow = execute(statement.bodies[0]);
    finished = finished || flow == Flow::Normal;
    if (flow == Flow::Break) break;
  }
  // The items were charged by items_of and go with the loop, unless the template put `loop` away.
  if (loop.use_count() == 2) memory_ -= static_cast<int64_t>(loop->items.size() * sizeof(Value));
  if (finished || statement.bodies.size() < 2) return Flow::Normal;
  const ScopeGuard scope(*this, scope_);
  return execute(statement.bodies[1]);
}

void Interpreter::execute_set(const Statement &statement) {
  if (statement.kind == StatementKind::Set) return assign(*statement.target, evaluate(*statement.value));
  Value value;
  {
    const ScopeGuard scope(*this, scope_);
    value = string(capture(statement.bodies[0]));
    if (statement.filter) value = apply_filters(*statement.filter, value);
  }
  assign(*statement.target, value);
}

Interpreter::Flow Interpreter::execute_with(const Statement &statement) {
  std::vector<Value> values = evaluate_all(statement.values);
  const ScopeGuard scope(*this, scope_);
  for (size_t i = 0; i < values.size(); ++i) assign(*statement.targets[i], values[i]);
  return execute(statement.bodies[0]);
}

void Interpreter::capture_scopes() {
  for (Scope *scope = scope_; scope && !scope->captured; scope = scope->parent) {
    charge(sizeof(Scope) + 256);
    scope->captured = true;
  }
}

void Interpreter::execute_call_block(const Statement &statement) {
  capture_scopes();
  const Value callee = evaluate(*statement.value->children[0]);
  Arguments arguments = evaluate_arguments(*statement.value, 1);
  arguments.named.emplace_back("caller", Value::callable({"caller", &statement, scope_, nullptr, {}}));
  write(to_text(*this, call(callee, arguments)));
}

Str Interpreter::capture(const std::vector<StatementPtr> &body) {
  Str text;
  Str *const before = std::exchange(out_, &text);
  struct Restore {
    Str *&out;
    Str *before;
    ~Restore() { out = before; }
  } const restore{out_, before};
  execute(body);
  return text;
}

Value Interpreter::call_macro(const Callable &callable, const Arguments &arguments) {
  const Statement &macro = *callable.macro;
  const DepthGuard depth(*this, macro.at);
  const ScopeGuard scope(*this, callable.scope);
  const size_t count = macro.parameters.size();
  if (arguments.positional.size() > count)
    throw Fault{fmt::format("macro '{}' takes not more than {} argument(s)", macro.name, count)};
  std::vector<const Value *> given(count);
  for (size_t i = 0; i < arguments.positional.size(); ++i) given[i] = &arguments.positional[i];
  for (const auto &[name, value] : arguments.named) {
    const auto found =
        std::find_if(macro.parameters.begin(), macro.parameters.end(),
                     [&, &wanted = name](const Parameter &parameter) { return parameter.name == wanted; });
    if (found == macro.parameters.end()) {
      if (name != "caller") throw Fault{fmt::format("macro '{}' takes no argument '{}'", macro.name, name)};
      set("caller", value);
      continue;
    }
    const Value *&slot = given[static_cast<size_t>(found - macro.parameters.begin())];
    if (slot) throw Fault{fmt::format("macro '{}' is given '{}' twice", macro.name, name)};
    slot = &value;
  }
  for (size_t i = 0; i < count; ++i) {
    const Parameter &parameter = macro.parameters[i];
    if (given[i])
      set(parameter.name, *given[i]);
    else if (parameter.otherwise)
      set(parameter.name, evaluate(*parameter.otherwise));
    else
      set(parameter.name, Value::undefined(fmt::format("parameter '{}' was not provided", parameter.name)));
  }
  Str text = capture(macro.bodies[0]);
  return string(std::move(text));
}

void Interpreter::assign(const Expression &target, const Value &value) {
  if (target.kind == ExpressionKind::Name) return set(target.name, value);
  if (target.kind == ExpressionKind::Attribute) {
    const Value object = evaluate(*target.children[0]);
    if (!object.is(Kind::Namespace))
      fail(target.at,
           object.is_undefined() ? object.why_undefined() : "only a namespace can be assigned to by attribute");
    auto &attributes = object.as_space().attributes;
    const auto found = std::find_if(attributes.begin(), attributes.end(),
                                    [&](const auto &attribute) { return attribute.first == target.name; });
    if (found != attributes.end()) {
      found->second = value;
    } else {
      charge(sizeof(attributes[0]) + target.name.size());
      attributes.emplace_back(target.name, value);
    }
    return;
  }
  std::vector<Value> items = items_of(value);
  if (items.size() != target.children.size())
    fail(target.at, fmt::format("{} values for {} names", items.size(), target.children.size()));
  for (size_t i = 0; i < items.size(); ++i) assign(*target.children[i], items[i]);
}

void Interpreter::set(std::string_view name, Value value) {
  for (auto &[known, old] : scope_->names) {
    if (known != name) continue;
    old = std::move(value);
    return;
  }
  scope_->names.emplace_back(name, std::move(value));
}

}  // namespace bittern::runtime::jinja
