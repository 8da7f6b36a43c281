// Precedence climbing over the table of operations. Names are resolved and types computed while parsing.
#include "compiler/expression_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace bittern::compiler {

// --- tokens ---

Token ExpressionParser::take() {
  const Token token = peek();
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}

bool ExpressionParser::accept(std::string_view text) {
  if (!is(text)) return false;
  take();
  return true;
}

Token ExpressionParser::expect(std::string_view text) {
  if (!is(text)) fail(peek(), fmt::format("expected '{}', found {}", text, shown(peek())));
  return take();
}

std::string ExpressionParser::shown(const Token &token) {
  return token.kind == Token::End ? "the end of the text" : fmt::format("'{}'", token.text);
}

const Type *ExpressionParser::type_named(const Token &token) {
  static constexpr Type types[] = {Type::Ternary, Type::I8, Type::I32, Type::F16, Type::BF16, Type::F32, Type::Bool};
  for (const Type &type : types)
    if (token.kind == Token::Name && token.text == type_name(type)) return &type;
  return nullptr;
}

bool ExpressionParser::reserved(std::string_view name) {
  static const std::set<std::string_view> words = {"kernel", "func", "use", "let",     "return", "in",
                                                   "given",  "out",  "pad", "require", "scalar", "range"};
  if (words.count(name) || type_named({Token::Name, name, {}})) return true;
  return std::any_of(op_table().begin(), op_table().end(), [&](const OpRow &row) {
    return row.form != Form::Leaf && row.form != Form::Access && row.form != Form::Cast && row.text == name;
  });
}

Token ExpressionParser::new_name(const char *what) {
  const Token token = peek();
  if (token.kind != Token::Name) fail(token, fmt::format("expected {}, found {}", what, shown(token)));
  if (reserved(token.text)) fail(token, fmt::format("'{}' is a word of the language, not {}", token.text, what));
  return take();
}

// --- nodes ---

ExprPtr ExpressionParser::make(ExprPtr e, const Token &token) {
  if (++node_count_ > kMaxNodes) fail(token, fmt::format("the kernel has more than {} operations", kMaxNodes));
  int depth = 1;
  for (const ExprPtr &arg : e->args) depth = std::max(depth, depth_[arg.get()] + 1);
  if (depth > kMaxDepth) fail(token, fmt::format("an expression is nested more than {} deep", kMaxDepth));
  depth_[e.get()] = depth;
  alive_.push_back(e);  // keeps addresses unique while depth_ is keyed by them
  return e;
}

ExprPtr ExpressionParser::typed(Op op, std::vector<ExprPtr> args, const Token &token, Type target, std::string name) {
  std::vector<Type> types;
  for (const ExprPtr &arg : args) types.push_back(arg->type);
  std::string why;
  const std::optional<Type> type = result_type(op, target, types, why);
  if (!type) fail(token, why);
  return make(node(op, *type, std::move(args), std::move(name), at(token)), token);
}

// Guards the native stack: every recursion of the grammar passes through one of these.
struct ExpressionParser::Nesting {
  explicit Nesting(ExpressionParser &p) : parser(p) {
    if (++parser.nesting_ > kMaxDepth)
      parser.fail(parser.peek(), fmt::format("an expression is nested more than {} deep", kMaxDepth));
  }
  ~Nesting() { --parser.nesting_; }
  Nesting(const Nesting &) = delete;
  Nesting &operator=(const Nesting &) = delete;
  ExpressionParser &parser;
};

// --- expressions ---

ExprPtr ExpressionParser::expression(int lowest) {
  const Nesting guard(*this);
  ExprPtr left = prefix(lowest);
  for (;;) {
    const OpRow *row = infix(peek());
    if (!row || row->precedence < lowest) return left;
    const Token token = take();
    ExprPtr right = expression(row->precedence + 1);
    const bool comparison = row->precedence == op_row(Op::Eq).precedence;
    left = typed(row->op, {left, right}, token);
    if (const OpRow *next = infix(peek()); comparison && next && next->precedence == row->precedence)
      fail(peek(), "comparisons do not chain; combine them with 'and'");
  }
}

const OpRow *ExpressionParser::infix(const Token &token) {
  if (token.kind != Token::Symbol && token.kind != Token::Name) return nullptr;
  for (const OpRow &row : op_table())
    if (row.form == Form::Infix && row.text == token.text) return &row;
  return nullptr;
}

ExprPtr ExpressionParser::prefix(int lowest) {
  const Nesting guard(*this);
  if (is("not") && lowest <= op_row(Op::Not).precedence) {
    const Token token = take();
    ExprPtr operand = expression(op_row(Op::Not).precedence);
    return typed(Op::Not, {operand}, token);
  }
  if (!is("-")) return primary();
  const Token token = take();
  if (peek().kind == Token::Int || peek().kind == Token::Float) return number(take(), true);
  ExprPtr operand = prefix(kUnaryPrecedence);
  return typed(Op::Neg, {operand}, token);
}

ExprPtr ExpressionParser::number(const Token &token, bool negative) {
  const char *begin = token.text.data(), *end = begin + token.text.size();
  if (token.kind == Token::Float) {
    float value = 0;
    const auto [stop, error] = std::from_chars(begin, end, value);
    if (error != std::errc() || stop != end || !std::isfinite(value))
      fail(token, fmt::format("{} does not fit in f32", shown(token)));
    return make(float_const(negative ? -value : value, at(token)), token);
  }
  const bool hex = token.text.size() > 2 && (token.text[1] == 'x' || token.text[1] == 'X');
  int64_t value = 0;
  const auto [stop, error] = std::from_chars(hex ? begin + 2 : begin, end, value, hex ? 16 : 10);
  const int64_t limit = int64_t{INT32_MAX} + (negative ? 1 : 0);
  if (error != std::errc() || stop != end || value > limit)
    fail(token, fmt::format("{} does not fit in i32", shown(token)));
  return make(int_const(negative ? -value : value, at(token)), token);
}

std::vector<ExprPtr> ExpressionParser::arguments(std::string_view open, std::string_view close) {
  std::vector<ExprPtr> args;
  expect(open);
  if (!is(close)) do
      args.push_back(expression());
    while (accept(","));
  expect(close);
  return args;
}

ExprPtr ExpressionParser::primary() {
  const Token token = peek();
  if (accept("(")) {
    ExprPtr inner = expression();
    expect(")");
    return inner;
  }
  if (token.kind == Token::Int || token.kind == Token::Float) return number(take(), false);
  if (token.kind != Token::Name) fail(token, fmt::format("expected a value, found {}", shown(token)));
  if (is("(", 1) && peek(2).kind == Token::Name && is(":", 3))
    for (const OpRow &row : op_table())
      if (row.form == Form::Reduction && row.text == token.text) return reduction(row.op);
  if (const Type *target = type_named(token); target && is("(", 1)) {
    take();
    std::vector<ExprPtr> args = arguments("(", ")");
    return typed(Op::Cast, std::move(args), token, *target);
  }
  for (const OpRow &row : op_table())
    if (row.form == Form::Function && row.text == token.text) {
      take();
      std::vector<ExprPtr> args = arguments("(", ")");
      return typed(row.op, std::move(args), token);
    }
  if (token.text == "sum") fail(token, "a reduction is written sum(k: extent) body");
  if (reserved(token.text)) fail(token, fmt::format("expected a value, found {}", shown(token)));
  take();
  if (is("(")) return call(token);
  if (is("[")) return load(token);
  return name(token);
}

ExprPtr ExpressionParser::reduction(Op op) {
  const Token token = take();
  expect("(");
  if (in_function_) fail(token, "a function has no reductions");
  const Token var = new_name("an index variable");
  if (vars_.count(std::string(var.text))) fail(var, fmt::format("index '{}' is already in use here", var.text));
  expect(":");
  ExprPtr extent = expression();
  expect(")");
  vars_.insert(std::string(var.text));
  ExprPtr body = expression();
  vars_.erase(std::string(var.text));
  return typed(op, {extent, body}, token, Type::Bool, std::string(var.text));
}

ExprPtr ExpressionParser::call(const Token &token) {
  const auto function = std::find_if(spec_.functions.begin(), spec_.functions.end(),
                                     [&](const Function &f) { return f.name == token.text; });
  if (function == spec_.functions.end())
    fail(token, fmt::format("unknown function '{}' (functions are defined, or taken in with 'use', before they are "
                            "called)",
                            token.text));
  const Function &callee = *function;
  std::vector<ExprPtr> args = arguments("(", ")");
  if (args.size() != callee.params.size())
    fail(token, fmt::format("'{}' wants {} argument(s), got {}", token.text, callee.params.size(), args.size()));
  for (size_t i = 0; i < args.size(); ++i)
    if (args[i]->type != callee.params[i].second)
      fail(token, fmt::format("argument {} of '{}' is {}, got {}", i + 1, token.text,
                              type_name(callee.params[i].second), type_name(args[i]->type)));
  return make(node(Op::Call, callee.result->type, std::move(args), std::string(token.text), at(token)), token);
}

ExprPtr ExpressionParser::load(const Token &token) {
  const Tensor *tensor = spec_.find(std::string(token.text));
  if (!tensor)
    fail(token, fmt::format("unknown tensor '{}' (tensors are declared or defined before they are used)", token.text));
  const size_t rank = tensor->shape.size();
  const Type type = tensor->type;
  std::vector<ExprPtr> args = arguments("[", "]");
  if (args.size() != rank)
    fail(token, fmt::format("'{}' has {} dimension(s), got {} index(es)", token.text, rank, args.size()));
  for (const ExprPtr &arg : args)
    if (arg->type != Type::I32)
      fail(token, fmt::format("an index of '{}' is {}, not i32", token.text, type_name(arg->type)));
  return make(node(Op::Load, type, std::move(args), std::string(token.text), at(token)), token);
}

ExprPtr ExpressionParser::name(const Token &token) {
  const std::string text(token.text);
  if (const auto let = lets_.find(text); let != lets_.end())
    return make(named(Op::Let, let->second, text, at(token)), token);
  if (vars_.count(text)) return make(named(Op::Var, Type::I32, text, at(token)), token);
  if (std::count(spec_.sizes.begin(), spec_.sizes.end(), text))
    return make(named(Op::Size, Type::I32, text, at(token)), token);
  if (std::count(spec_.scalars.begin(), spec_.scalars.end(), text))
    return make(named(Op::Scalar, Type::F32, text, at(token)), token);
  if (spec_.find(text)) fail(token, fmt::format("tensor '{}' wants its indices: {}[...]", text, text));
  fail(token, fmt::format("unknown name '{}'", text));
}

}  // namespace bittern::compiler
