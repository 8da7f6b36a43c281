// The syntax tree of a template. One node type for all expressions and one for all statements, since the interpreter
// tells them apart by `kind` and most need the same few fields.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/chat/jinja/source.h"
#include "runtime/chat/jinja/value.h"

namespace bittern::runtime::jinja {

enum class ExpressionKind : uint8_t {
  Constant,   // value
  Name,       // name
  List,       // children
  Tuple,      // children
  Dict,       // children: key, value, key, value ...
  Attribute,  // children[0].name
  Item,       // children[0][children[1]]
  Slice,      // children[0][children[1]:children[2]:children[3]]; absent ones are null
  Call,       // children[0](children[1...], named...)
  Filter,     // children[0]|name(children[1...], named...); children[0] is null in {% filter %} and {% set %} blocks
  Test,       // children[0] is name(children[1...], named...)
  Not,
  Negative,
  Positive,
  And,
  Or,
  Binary,   // name is the operator: + - * / // % **
  Concat,   // children, joined by ~
  Compare,  // children[0] operators[0] children[1] operators[1] ...
  Choice,   // children[0] if children[1] else children[2]; children[2] may be null
};

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;
struct Expression {
  ExpressionKind kind;
  size_t at;  // byte in the template
  std::string name;
  Value value;
  std::vector<ExpressionPtr> children;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  std::vector<std::string> operators;
  int depth = 1;
};

enum class StatementKind : uint8_t {
  Text,         // text
  Print,        // value
  If,           // conditions[i] -> bodies[i]; bodies[conditions.size()], if any, is the else
  For,          // target, value, condition (may be null), bodies[0], bodies[1] (else)
  Set,          // target, value
  SetBlock,     // target, filter (may be null), bodies[0]
  Macro,        // name, parameters, bodies[0]
  CallBlock,    // value (a call), parameters of caller(), bodies[0]
  FilterBlock,  // filter, bodies[0]
  With,         // targets[i] = values[i], bodies[0]
  Scoped,       // bodies[0]: {% generation %}
  Break,
  Continue
};

struct Statement;
using StatementPtr = std::unique_ptr<Statement>;
struct Parameter {
  std::string name;
  ExpressionPtr otherwise;  // default; may be null
};
struct Statement {
  StatementKind kind;
  size_t at;
  std::string text, name;
  ExpressionPtr target, value, condition, filter;
  std::vector<ExpressionPtr> conditions, targets, values;
  std::vector<std::vector<StatementPtr>> bodies;
  std::vector<Parameter> parameters;
};

}  // namespace bittern::runtime::jinja
