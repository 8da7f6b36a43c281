// Expressions by recursive descent, one function a level of precedence, from the loosest (inline if) to the tightest.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "runtime/chat/jinja/parser.h"
#include "runtime/chat/jinja/token_stream.h"

namespace bittern::runtime::jinja {
namespace {

using Node = ExpressionKind;

ExpressionPtr parse_unary(TokenStream &stream, bool with_filter);
ExpressionPtr parse_or(TokenStream &stream);

ExpressionPtr node(Node kind, size_t at, std::string name = "") {
  auto made = std::make_unique<Expression>();
  made->kind = kind;
  made->at = at;
  made->name = std::move(name);
  return made;
}

ExpressionPtr constant(size_t at, jinja::Value value) {
  ExpressionPtr made = node(Node::Constant, at);
  made->value = std::move(value);
  return made;
}

template <typename... Children>
ExpressionPtr node_of(TokenStream &stream, Node kind, size_t at, std::string name, Children... children) {
  ExpressionPtr made = node(kind, at, std::move(name));
  (made->children.push_back(std::move(children)), ...);
  return finish(stream, std::move(made));
}

bool one_of(const TokenStream &stream, std::initializer_list<std::string_view> symbols) {
  return std::any_of(symbols.begin(), symbols.end(), [&](std::string_view text) { return stream.symbol(text); });
}

// Levels with operators between operands of one tighter level, taken from the left.
ExpressionPtr parse_binary(TokenStream &stream, std::initializer_list<std::string_view> symbols,
                           ExpressionPtr (*tighter)(TokenStream &)) {
  ExpressionPtr left = tighter(stream);
  while (one_of(stream, symbols)) {
    const Token &token = stream.take();
    ExpressionPtr right = tighter(stream);
    left = node_of(stream, Node::Binary, token.at, token.text, std::move(left), std::move(right));
  }
  return left;
}

ExpressionPtr parse_power(TokenStream &stream) {
  return parse_binary(stream, {"**"}, [](TokenStream &s) { return parse_unary(s, true); });
}
ExpressionPtr parse_product(TokenStream &stream) { return parse_binary(stream, {"*", "/", "//", "%"}, parse_power); }
ExpressionPtr parse_concat(TokenStream &stream) {
  ExpressionPtr first = parse_product(stream);
  if (!stream.symbol("~")) return first;
  ExpressionPtr made = node_of(stream, Node::Concat, stream.now().at, "", std::move(first));
  while (stream.skip_symbol("~")) made->children.push_back(parse_product(stream));
  return finish(stream, std::move(made));
}
ExpressionPtr parse_sum(TokenStream &stream) { return parse_binary(stream, {"+", "-"}, parse_concat); }

ExpressionPtr parse_comparison(TokenStream &stream) {
  ExpressionPtr first = parse_sum(stream);
  const size_t at = stream.now().at;
  std::vector<std::string> operators;
  std::vector<ExpressionPtr> operands;
  while (true) {
    if (one_of(stream, {"==", "!=", "<", "<=", ">", ">="})) {
      operators.push_back(stream.take().text);
    } else if (stream.skip_name("in")) {
      operators.emplace_back("in");
    } else if (stream.name("not") && stream.next().kind == TokenKind::Name && stream.next().text == "in") {
      stream.take();
      stream.take();
      operators.emplace_back("notin");
    } else {
      break;
    }
    operands.push_back(parse_sum(stream));
  }
  if (operators.empty()) return first;
  ExpressionPtr made = node(Node::Compare, at);
  made->operators = std::move(operators);
  made->children.push_back(std::move(first));
  for (ExpressionPtr &operand : operands) made->children.push_back(std::move(operand));
  return finish(stream, std::move(made));
}

ExpressionPtr parse_not(TokenStream &stream) {
  if (!stream.name("not")) return parse_comparison(stream);
  const TokenStream::Nesting nesting(stream);
  const size_t at = stream.take().at;
  return node_of(stream, Node::Not, at, "", parse_not(stream));
}

ExpressionPtr parse_and(TokenStream &stream) {
  ExpressionPtr left = parse_not(stream);
  while (stream.name("and")) {
    const size_t at = stream.take().at;
    ExpressionPtr right = parse_not(stream);
    left = node_of(stream, Node::And, at, "", std::move(left), std::move(right));
  }
  return left;
}

ExpressionPtr parse_or(TokenStream &stream) {
  const TokenStream::Nesting nesting(stream);
  ExpressionPtr left = parse_and(stream);
  while (stream.name("or")) {
    const size_t at = stream.take().at;
    ExpressionPtr right = parse_and(stream);
    left = node_of(stream, Node::Or, at, "", std::move(left), std::move(right));
  }
  return left;
}

// The arguments of a call, in parentheses, into `made`.
void parse_arguments(TokenStream &stream, Expression &made) {
  stream.expect_symbol("(");
  bool first = true;
  while (!stream.symbol(")")) {
    if (!first) {
      stream.expect_symbol(",");
      if (stream.symbol(")")) break;
    }
    first = false;
    if (stream.symbol("*") || stream.symbol("**"))
      stream.fail(stream.now().at, "arguments by * and ** are not supported");
    const Token &token = stream.now();
    if (token.kind == TokenKind::Name && stream.next().kind == TokenKind::Symbol && stream.next().text == "=") {
      std::string name = stream.take().text;
      stream.take();
      made.named.emplace_back(std::move(name), parse_expression(stream));
    } else {
      if (!made.named.empty()) stream.fail(token.at, "an argument without a name behind one with a name");
      made.children.push_back(parse_expression(stream));
    }
  }
  stream.expect_symbol(")");
}

std::string dotted_name(TokenStream &stream) {
  std::string name = stream.expect_name();
  while (stream.skip_symbol(".")) name += '.' + stream.expect_name();
  return name;
}

ExpressionPtr parse_integer(const TokenStream &stream, const Token &token) {
  int64_t value = 0;
  const char *end = token.text.data() + token.text.size();
  if (std::from_chars(token.text.data(), end, value).ec != std::errc())
    stream.fail(token.at, "the number does not fit in 64 bits");
  return constant(token.at, jinja::Value::integer(value));
}

ExpressionPtr parse_float(const Token &token) {
  double value = 0;
  const auto read = std::from_chars(token.text.data(), token.text.data() + token.text.size(), value);
  if (read.ec != std::errc()) value = std::strtod(token.text.c_str(), nullptr);  // too large or too small: inf or 0
  return constant(token.at, jinja::Value::real(value));
}

ExpressionPtr parse_string(TokenStream &stream) {
  const size_t at = stream.now().at;
  std::string text;
  while (stream.is(TokenKind::String)) text += stream.take().text;
  return constant(at, jinja::Value::string(std::move(text)));
}

ExpressionPtr parse_list(TokenStream &stream) {
  ExpressionPtr made = node(Node::List, stream.take().at);
  while (!stream.symbol("]")) {
    if (!made->children.empty()) stream.expect_symbol(",");
    if (stream.symbol("]")) break;
    made->children.push_back(parse_expression(stream));
  }
  stream.expect_symbol("]");
  return finish(stream, std::move(made));
}

ExpressionPtr parse_dict(TokenStream &stream) {
  ExpressionPtr made = node(Node::Dict, stream.take().at);
  while (!stream.symbol("}")) {
    if (!made->children.empty()) stream.expect_symbol(",");
    if (stream.symbol("}")) break;
    made->children.push_back(parse_expression(stream));
    stream.expect_symbol(":");
    made->children.push_back(parse_expression(stream));
  }
  stream.expect_symbol("}");
  return finish(stream, std::move(made));
}

ExpressionPtr parse_primary(TokenStream &stream) {
  const Token &token = stream.now();
  switch (token.kind) {
    case TokenKind::Name: {
      stream.take();
      const std::string &name = token.text;
      if (name == "true" || name == "True") return constant(token.at, jinja::Value::boolean(true));
      if (name == "false" || name == "False") return constant(token.at, jinja::Value::boolean(false));
      if (name == "none" || name == "None") return constant(token.at, jinja::Value::none());
      return node(Node::Name, token.at, name);
    }
    case TokenKind::String:
      return parse_string(stream);
    case TokenKind::Integer:
      return parse_integer(stream, stream.take());
    case TokenKind::Float:
      return parse_float(stream.take());
    default:
      break;
  }
  if (stream.skip_symbol("(")) {
    ExpressionPtr inner = parse_tuple(stream, TupleStyle::Parenthesised);
    stream.expect_symbol(")");
    return inner;
  }
  if (stream.symbol("[")) return parse_list(stream);
  if (stream.symbol("{")) return parse_dict(stream);
  stream.unexpected("an expression");
}

// What stands between brackets, the first of which was taken: an index, a slice, or several as a tuple.
ExpressionPtr parse_index(TokenStream &stream, ExpressionPtr object, size_t at) {
  const auto bound = [&]() -> ExpressionPtr {
    return one_of(stream, {":", ",", "]"}) ? nullptr : parse_expression(stream);
  };
  ExpressionPtr first = bound();
  if (stream.skip_symbol(":")) {
    ExpressionPtr last = bound(), step;
    if (stream.skip_symbol(":")) step = bound();
    if (!stream.symbol("]")) stream.unexpected("']'");
    stream.take();
    return node_of(stream, Node::Slice, at, "", std::move(object), std::move(first), std::move(last), std::move(step));
  }
  if (!first) stream.unexpected("an index");
  if (stream.symbol(",")) {
    ExpressionPtr tuple = node_of(stream, Node::Tuple, at, "", std::move(first));
    while (stream.skip_symbol(",")) tuple->children.push_back(parse_expression(stream));
    first = finish(stream, std::move(tuple));
  }
  stream.expect_symbol("]");
  return node_of(stream, Node::Item, at, "", std::move(object), std::move(first));
}

ExpressionPtr parse_call(TokenStream &stream, ExpressionPtr callee) {
  const TokenStream::Nesting nesting(stream);
  ExpressionPtr made = node_of(stream, Node::Call, stream.now().at, "", std::move(callee));
  parse_arguments(stream, *made);
  return finish(stream, std::move(made));
}

ExpressionPtr parse_postfix(TokenStream &stream, ExpressionPtr object) {
  while (true) {
    const size_t at = stream.now().at;
    if (stream.skip_symbol(".")) {
      if (stream.is(TokenKind::Integer)) {
        ExpressionPtr index = parse_integer(stream, stream.take());
        object = node_of(stream, Node::Item, at, "", std::move(object), std::move(index));
      } else {
        std::string name = stream.expect_name();
        object = node_of(stream, Node::Attribute, at, std::move(name), std::move(object));
      }
    } else if (stream.skip_symbol("[")) {
      object = parse_index(stream, std::move(object), at);
    } else if (stream.symbol("(")) {
      object = parse_call(stream, std::move(object));
    } else {
      return object;
    }
  }
}

ExpressionPtr parse_filter(TokenStream &stream, ExpressionPtr input) {
  const size_t at = stream.now().at;
  ExpressionPtr made = node(Node::Filter, at, dotted_name(stream));
  made->children.push_back(std::move(input));
  if (stream.symbol("(")) parse_arguments(stream, *made);
  return finish(stream, std::move(made));
}

ExpressionPtr parse_test(TokenStream &stream, ExpressionPtr input) {
  const size_t at = stream.take().at;
  const bool negated = stream.skip_name("not");
  ExpressionPtr made = node(Node::Test, at, dotted_name(stream));
  made->children.push_back(std::move(input));
  const TokenKind kind = stream.now().kind;
  if (stream.symbol("(")) {
    parse_arguments(stream, *made);
  } else if (kind == TokenKind::Name ? !stream.name("else") && !stream.name("or") && !stream.name("and")
                                     : kind == TokenKind::String || kind == TokenKind::Integer ||
                                           kind == TokenKind::Float || one_of(stream, {"[", "{"})) {
    if (stream.name("is")) stream.fail(stream.now().at, "tests cannot be chained with 'is'");
    made->children.push_back(parse_postfix(stream, parse_primary(stream)));
  }
  made = finish(stream, std::move(made));
  return negated ? node_of(stream, Node::Not, at, "", std::move(made)) : std::move(made);
}

ExpressionPtr parse_filters_and_tests(TokenStream &stream, ExpressionPtr input) {
  while (true) {
    if (stream.skip_symbol("|"))
      input = parse_filter(stream, std::move(input));
    else if (stream.name("is"))
      input = parse_test(stream, std::move(input));
    else if (stream.symbol("("))
      input = parse_call(stream, std::move(input));
    else
      return input;
  }
}

ExpressionPtr parse_unary(TokenStream &stream, bool with_filter) {
  const TokenStream::Nesting nesting(stream);
  const size_t at = stream.now().at;
  ExpressionPtr made;
  if (stream.skip_symbol("-"))
    made = node_of(stream, Node::Negative, at, "", parse_unary(stream, false));
  else if (stream.skip_symbol("+"))
    made = node_of(stream, Node::Positive, at, "", parse_unary(stream, false));
  else
    made = parse_primary(stream);
  made = parse_postfix(stream, std::move(made));
  return with_filter ? parse_filters_and_tests(stream, std::move(made)) : std::move(made);
}

bool tuple_ends(const TokenStream &stream, std::string_view until) {
  return stream.is(TokenKind::BlockEnd) || stream.is(TokenKind::PrintEnd) || stream.is(TokenKind::End) ||
         stream.symbol(")") || (!until.empty() && stream.name(until));
}

}  // namespace

ExpressionPtr finish(TokenStream &stream, ExpressionPtr made) {
  made->depth = 1;
  for (const ExpressionPtr &child : made->children)
    if (child) made->depth = std::max(made->depth, child->depth + 1);
  for (const auto &[name, child] : made->named) made->depth = std::max(made->depth, child->depth + 1);
  if (made->depth > kMaxNesting)
    stream.fail(made->at, fmt::format("the expression is nested more than {} deep", kMaxNesting));
  return made;
}

ExpressionPtr parse_expression(TokenStream &stream) {
  const TokenStream::Nesting nesting(stream);
  ExpressionPtr value = parse_or(stream);
  while (stream.name("if")) {
    const size_t at = stream.take().at;
    ExpressionPtr condition = parse_or(stream), otherwise;
    if (stream.skip_name("else")) otherwise = parse_expression(stream);
    value = node_of(stream, Node::Choice, at, "", std::move(value), std::move(condition), std::move(otherwise));
  }
  return value;
}

ExpressionPtr parse_tuple(TokenStream &stream, TupleStyle style, std::string_view until) {
  const size_t at = stream.now().at;
  std::vector<ExpressionPtr> items;
  bool tuple = false;
  while (!tuple_ends(stream, until)) {
    items.push_back(style == TupleStyle::NoChoice ? parse_or(stream) : parse_expression(stream));
    if (!stream.skip_symbol(",")) break;
    tuple = true;
  }
  if (!tuple && items.size() == 1) return std::move(items[0]);
  if (items.empty() && style != TupleStyle::Parenthesised) stream.unexpected("an expression");
  ExpressionPtr made = node(Node::Tuple, at);
  made->children = std::move(items);
  return finish(stream, std::move(made));
}

ExpressionPtr parse_target(TokenStream &stream, bool with_namespace, std::string_view until) {
  constexpr std::array<std::string_view, 6> kReserved = {"true", "false", "none", "True", "False", "None"};
  const TokenStream::Nesting nesting(stream);
  const size_t at = stream.now().at;
  std::vector<ExpressionPtr> items;
  bool tuple = false;
  while (!tuple_ends(stream, until) && !stream.symbol("=")) {
    if (stream.skip_symbol("(")) {
      items.push_back(parse_target(stream, with_namespace, ""));
      stream.expect_symbol(")");
    } else {
      const Token &token = stream.now();
      const std::string name = stream.expect_name();
      if (std::find(kReserved.begin(), kReserved.end(), name) != kReserved.end())
        stream.fail(token.at, fmt::format("cannot assign to '{}'", name));
      ExpressionPtr item = node(Node::Name, token.at, name);
      if (with_namespace && stream.symbol(".")) {
        const size_t point = stream.take().at;
        std::string attribute = stream.expect_name();
        item = node_of(stream, Node::Attribute, point, std::move(attribute), std::move(item));
      }
      items.push_back(std::move(item));
    }
    if (!stream.skip_symbol(",")) break;
    tuple = true;
  }
  if (items.empty()) stream.unexpected("a name to assign to");
  if (!tuple) return std::move(items[0]);
  ExpressionPtr made = node(Node::Tuple, at);
  made->children = std::move(items);
  return finish(stream, std::move(made));
}

ExpressionPtr parse_filters(TokenStream &stream) {
  ExpressionPtr made = parse_filter(stream, nullptr);
  while (stream.skip_symbol("|")) made = parse_filter(stream, std::move(made));
  return made;
}

}  // namespace bittern::runtime::jinja
