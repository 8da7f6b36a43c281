// Recursive descent over tokens, precedence climbing inside expressions. Names are resolved and types computed while
// parsing; what concerns the kernel as a whole is the verifier's.
#include "compiler/parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>
#include <unordered_map>

#include "compiler/expr.h"
#include "compiler/lexer.h"
#include "compiler/library.h"
#include "compiler/printer.h"
#include "compiler/verifier.h"

namespace bittern::compiler {

namespace {

constexpr std::pair<std::string_view, Type> kTypes[] = {
    {"ternary", Type::Ternary}, {"i8", Type::I8},   {"i32", Type::I32},  {"f16", Type::F16},
    {"bf16", Type::BF16},       {"f32", Type::F32}, {"bool", Type::Bool}};

const Type *type_named(std::string_view name) {
  for (const auto &[text, type] : kTypes)
    if (text == name) return &type;
  return nullptr;
}

// A name that cannot be given to anything, because it already means something wherever it stands.
bool reserved(std::string_view name) {
  static const std::set<std::string_view> words = {"kernel", "func", "use", "let",     "return", "in",
                                                   "given",  "out",  "pad", "require", "scalar", "range"};
  if (words.count(name) || type_named(name)) return true;
  return std::any_of(op_table().begin(), op_table().end(), [&](const OpRow &row) {
    return row.form != Form::Leaf && row.form != Form::Access && row.form != Form::Cast && row.text == name;
  });
}

class Parser {
 public:
  Parser(const Source &source, bool keep_locations)
      : source_(source), tokens_(tokenize(source)), keep_locations_(keep_locations) {}

  KernelSpec kernel() {
    prelude();
    if (!is("kernel")) fail(peek(), "expected 'kernel', 'func' or 'use'");
    parse_kernel_body();
    if (peek().kind != Token::End) fail(peek(), "expected the end of the text after the kernel");
    keep_used_functions(spec_);
    return std::move(spec_);
  }

  std::vector<Function> library() {
    prelude();
    if (peek().kind != Token::End) fail(peek(), "a library holds functions only");
    return std::move(spec_.functions);
  }

 private:
  // --- tokens ---
  const Token &peek(size_t ahead = 0) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
  bool is(std::string_view text, size_t ahead = 0) const {
    return peek(ahead).kind != Token::End && peek(ahead).text == text;
  }
  Token take() {
    const Token token = peek();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  bool accept(std::string_view text) {
    if (!is(text)) return false;
    take();
    return true;
  }
  [[noreturn]] void fail(const Token &token, const std::string &message) const { fail_at(source_, token.loc, message); }
  static std::string shown(const Token &token) {
    return token.kind == Token::End ? "the end of the text" : fmt::format("'{}'", token.text);
  }
  Token expect(std::string_view text) {
    if (!is(text)) fail(peek(), fmt::format("expected '{}', found {}", text, shown(peek())));
    return take();
  }
  // A name that is not yet taken by anything else in the kernel.
  Token new_name(const char *what) {
    const Token token = peek();
    if (token.kind != Token::Name) fail(token, fmt::format("expected {}, found {}", what, shown(token)));
    if (reserved(token.text)) fail(token, fmt::format("'{}' is a word of the language, not {}", token.text, what));
    return take();
  }

  // --- nodes ---
  Location at(const Token &token) const { return keep_locations_ ? token.loc : Location{}; }

  ExprPtr make(ExprPtr e, const Token &token) {
    if (++node_count_ > kMaxNodes) fail(token, fmt::format("the kernel has more than {} operations", kMaxNodes));
    int depth = 1;
    for (const ExprPtr &arg : e->args) depth = std::max(depth, depth_[arg.get()] + 1);
    if (depth > kMaxDepth) fail(token, fmt::format("an expression is nested more than {} deep", kMaxDepth));
    depth_[e.get()] = depth;
    alive_.push_back(e);  // keeps addresses unique while depth_ is keyed by them
    return e;
  }

  ExprPtr typed(Op op, std::vector<ExprPtr> args, const Token &token, Type target = Type::Bool, std::string name = {}) {
    std::vector<Type> types;
    for (const ExprPtr &arg : args) types.push_back(arg->type);
    std::string why;
    const std::optional<Type> type = result_type(op, target, types, why);
    if (!type) fail(token, why);
    return make(node(op, *type, std::move(args), std::move(name), at(token)), token);
  }

  // Guards the native stack: every recursion of the grammar passes through one of these.
  struct Nesting {
    explicit Nesting(Parser &p) : parser(p) {
      if (++parser.nesting_ > kMaxDepth)
        parser.fail(parser.peek(), fmt::format("an expression is nested more than {} deep", kMaxDepth));
    }
    ~Nesting() { --parser.nesting_; }
    Nesting(const Nesting &) = delete;
    Nesting &operator=(const Nesting &) = delete;
    Parser &parser;
  };

  // --- expressions ---
  ExprPtr expression(int lowest = kLowestPrecedence) {
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

  static const OpRow *infix(const Token &token) {
    if (token.kind != Token::Symbol && token.kind != Token::Name) return nullptr;
    for (const OpRow &row : op_table())
      if (row.form == Form::Infix && row.text == token.text) return &row;
    return nullptr;
  }

  ExprPtr prefix(int lowest) {
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

  ExprPtr number(const Token &token, bool negative) {
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

  std::vector<ExprPtr> arguments(std::string_view open, std::string_view close) {
    std::vector<ExprPtr> args;
    expect(open);
    if (!is(close)) do
        args.push_back(expression());
      while (accept(","));
    expect(close);
    return args;
  }

  ExprPtr primary() {
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
    if (const Type *target = type_named(token.text); target && is("(", 1)) {
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

  ExprPtr reduction(Op op) {
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

  ExprPtr call(const Token &token) {
    const auto function = std::find_if(spec_.functions.begin(), spec_.functions.end(),
                                       [&](const Function &f) { return f.name == token.text; });
    if (function == spec_.functions.end())
      fail(token, fmt::format("unknown function '{}' (functions are defined, or taken in with 'use', before they are "
                              "called)",
                              token.text));
    const Function callee = *function;
    std::vector<ExprPtr> args = arguments("(", ")");
    if (args.size() != callee.params.size())
      fail(token, fmt::format("'{}' wants {} argument(s), got {}", token.text, callee.params.size(), args.size()));
    for (size_t i = 0; i < args.size(); ++i)
      if (args[i]->type != callee.params[i].second)
        fail(token, fmt::format("argument {} of '{}' is {}, got {}", i + 1, token.text,
                                type_name(callee.params[i].second), type_name(args[i]->type)));
    return make(node(Op::Call, callee.result->type, std::move(args), std::string(token.text), at(token)), token);
  }

  ExprPtr load(const Token &token) {
    const Tensor *tensor = spec_.find(std::string(token.text));
    if (!tensor)
      fail(token,
           fmt::format("unknown tensor '{}' (tensors are declared or defined before they are used)", token.text));
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

  ExprPtr name(const Token &token) {
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

  // --- functions ---
  void prelude() {
    for (;;) {
      if (accept("use")) {
        const Token token = new_name("a library's name");
        const std::optional<std::vector<Function>> functions = library_functions(std::string(token.text));
        if (!functions) fail(token, fmt::format("there is no library '{}'", token.text));
        for (const Function &f : *functions) add_function(f, token);
      } else if (is("func")) {
        function();
      } else {
        return;
      }
    }
  }

  void add_function(Function f, const Token &token) {
    for (const Function &other : spec_.functions)
      if (other.name == f.name) fail(token, fmt::format("function '{}' is already defined", f.name));
    spec_.functions.push_back(std::move(f));
  }

  Type value_type() {
    const Token token = take();
    const Type *type = token.kind == Token::Name ? type_named(token.text) : nullptr;
    if (!type || (*type != Type::I32 && *type != Type::F32 && *type != Type::Bool))
      fail(token, fmt::format("expected f32, i32 or bool, found {}", shown(token)));
    return *type;
  }

  void new_let(const Token &token, Type type) {
    if (!lets_.emplace(std::string(token.text), type).second)
      fail(token, fmt::format("'{}' is already defined in this function", token.text));
  }

  void function() {
    expect("func");
    in_function_ = true;
    lets_.clear();
    Function f;
    const Token token = new_name("a function's name");
    f.name = std::string(token.text);
    expect("(");
    do {
      const Token param = new_name("a parameter");
      expect(":");
      const Type type = value_type();
      new_let(param, type);
      f.params.emplace_back(std::string(param.text), type);
    } while (accept(","));
    expect(")");
    expect("->");
    const Token result_token = peek();
    const Type result = value_type();
    expect("{");
    while (accept("let")) {
      const Token let = new_name("a name");
      expect("=");
      ExprPtr value = expression();
      if (value->type != Type::I32 && value->type != Type::F32 && value->type != Type::Bool)
        fail(let, fmt::format("'{}' would be {}; a let holds f32, i32 or bool", let.text, type_name(value->type)));
      new_let(let, value->type);
      f.lets.emplace_back(std::string(let.text), std::move(value));
    }
    expect("return");
    f.result = expression();
    if (f.result->type != result)
      fail(result_token, fmt::format("'{}' says it returns {} but its result is {}", f.name, type_name(result),
                                     type_name(f.result->type)));
    expect("}");
    lets_.clear();
    in_function_ = false;
    add_function(std::move(f), token);
  }

  // --- kernel ---
  void new_global(const Token &token) {
    if (!globals_.insert(std::string(token.text)).second)
      fail(token, fmt::format("'{}' is already declared", token.text));
  }

  void parse_kernel_body() {
    expect("kernel");
    spec_.name = std::string(new_name("the kernel's name").text);
    expect("(");
    do {
      const Token size = new_name("a size parameter");
      new_global(size);
      spec_.sizes.emplace_back(size.text);
      if (spec_.sizes.size() > kMaxSizes) fail(size, fmt::format("a kernel has at most {} size parameters", kMaxSizes));
    } while (accept(","));
    expect(")");
    expect("{");
    while (!accept("}")) {
      if (spec_.tensors.size() > kMaxTensors) fail(peek(), fmt::format("a kernel has at most {} tensors", kMaxTensors));
      if (is("require") || is("scalar") || is("in") || is("given") || is("out")) {
        if (!spec_.definitions.empty()) fail(peek(), "declarations come before the first definition");
        declaration();
      } else if (peek().kind == Token::Name && !reserved(peek().text)) {
        definition();
      } else {
        fail(peek(), fmt::format("expected a declaration, a definition or '}}', found {}", shown(peek())));
      }
    }
  }

  void declaration() {
    const Token word = take();
    if (word.text == "require") {
      ExprPtr condition = expression();
      if (condition->type != Type::Bool) fail(word, "'require' wants a condition");
      spec_.requires_.push_back(std::move(condition));
      return;
    }
    if (word.text == "scalar") {
      const Token name = new_name("a scalar's name");
      new_global(name);
      spec_.scalars.emplace_back(name.text);
      return;
    }
    const Token name = new_name("a tensor's name");
    new_global(name);
    Tensor t;
    t.name = std::string(name.text);
    t.loc = at(name);
    t.role = word.text == "in" ? Role::In : word.text == "given" ? Role::Given : Role::Out;
    expect(":");
    const Token type_token = take();
    const Type *type = type_token.kind == Token::Name ? type_named(type_token.text) : nullptr;
    if (!type) fail(type_token, fmt::format("expected a type, found {}", shown(type_token)));
    t.type = *type;
    t.shape = arguments("[", "]");
    if (accept("pad")) {
      const Token number_token = peek();
      if (number_token.kind != Token::Int) fail(number_token, "'pad' wants a number");
      t.pad = number(take(), false)->ival;
    }
    if (accept("range")) {
      ExprPtr low = expression();
      expect("..");
      ExprPtr high = expression();
      t.range = {std::move(low), std::move(high)};
    }
    spec_.tensors.push_back(std::move(t));
  }

  void definition() {
    const Token name = take();
    Definition d;
    d.tensor = std::string(name.text);
    d.loc = at(name);
    if (spec_.definition(d.tensor)) fail(name, fmt::format("'{}' is defined twice", d.tensor));
    const Tensor *declared = spec_.find(d.tensor);
    if (declared && declared->role == Role::In)
      fail(name, fmt::format("'{}' is an input; it cannot be defined", d.tensor));
    if (!declared) new_global(name);
    expect("[");
    std::vector<Token> var_tokens;
    vars_.clear();
    do {
      const Token var = new_name("an index variable");
      if (vars_.count(std::string(var.text))) fail(var, fmt::format("index '{}' is used twice", var.text));
      if (globals_.count(std::string(var.text)))
        fail(var, fmt::format("'{}' is already declared; an index needs a name of its own", var.text));
      ExprPtr extent;
      if (accept(":")) extent = expression();
      vars_.insert(std::string(var.text));
      var_tokens.push_back(var);
      d.vars.push_back({std::string(var.text), std::move(extent)});
    } while (accept(","));
    expect("]");
    expect("=");
    if (declared && declared->shape.size() != d.vars.size())
      fail(name,
           fmt::format("'{}' has {} dimension(s), its definition {}", d.tensor, declared->shape.size(), d.vars.size()));
    d.value = expression();
    vars_.clear();
    for (size_t i = 0; i < d.vars.size(); ++i)
      if (!d.vars[i].extent) d.vars[i].extent = declared ? declared->shape[i] : infer(d, i, var_tokens[i]);
    if (!declared) {
      Tensor local;
      local.name = d.tensor;
      local.role = Role::Local;
      local.type = d.value->type;
      for (const IndexVar &v : d.vars) local.shape.push_back(v.extent);
      local.loc = d.loc;
      spec_.tensors.push_back(std::move(local));
    }
    spec_.definitions.push_back(std::move(d));
  }

  // The extent of an index that the text leaves out: that of the dimension it indexes directly, in the value or in
  // another index's extent. Dimensions that disagree are an error, since either choice would be a guess.
  ExprPtr infer(const Definition &d, size_t index, const Token &token) {
    const std::string &var = d.vars[index].name;
    ExprPtr found;
    std::string where;
    const auto look = [&](const ExprPtr &e) {
      if (e->op != Op::Load) return;
      for (size_t i = 0; i < e->args.size(); ++i) {
        if (e->args[i]->op != Op::Var || e->args[i]->name != var) continue;
        const ExprPtr dimension = dimension_of(*e, i);
        if (found && !equal(found, dimension))
          fail(token, fmt::format("index '{}' runs over {} in {} but {} in {}; write [{}: extent]", var,
                                  print_expr(found), where, print_expr(dimension), e->name, var));
        found = dimension;
        where = e->name;
      }
    };
    for (const IndexVar &v : d.vars)
      if (v.extent) walk(v.extent, look);
    walk(d.value, look);
    if (!found)
      fail(token,
           fmt::format("the extent of index '{}' is not known from what it indexes; write [{}: extent]", var, var));
    return found;
  }

  // Extent of dimension i of the tensor that `load` reads; a local's may depend on its earlier indices.
  ExprPtr dimension_of(const Expr &load, size_t i) const {
    const Tensor &tensor = *spec_.find(load.name);
    if (tensor.role != Role::Local) return tensor.shape[i];
    const Definition &d = *spec_.definition(load.name);
    std::map<std::string, ExprPtr> vars;
    for (size_t j = 0; j < i; ++j) vars[d.vars[j].name] = load.args[j];
    return substitute(tensor.shape[i], vars);
  }

  const Source &source_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  bool keep_locations_;
  KernelSpec spec_;
  std::set<std::string> globals_;     // sizes, scalars, tensors
  std::set<std::string> vars_;        // index variables in scope
  std::map<std::string, Type> lets_;  // parameters and lets in scope
  bool in_function_ = false;
  int nesting_ = 0;
  size_t node_count_ = 0;
  std::unordered_map<const Expr *, int> depth_;
  std::vector<ExprPtr> alive_;
};

}  // namespace

KernelSpec parse_kernel(std::string_view text, const std::string &file_name) {
  const Source source{file_name, std::string(text)};
  KernelSpec spec = Parser(source, true).kernel();
  verify(spec, &source);
  return spec;
}

std::vector<Function> parse_library(std::string_view text, const std::string &file_name) {
  const Source source{file_name, std::string(text)};
  return Parser(source, false).library();
}

}  // namespace bittern::compiler
