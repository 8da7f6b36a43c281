// What surrounds expressions: functions, declarations, definitions. What concerns the kernel as a whole is the
// verifier's.
#include "compiler/parser.h"

#include <fmt/format.h>

#include <algorithm>

#include "compiler/expression_parser.h"
#include "compiler/library.h"
#include "compiler/printer.h"
#include "compiler/verifier.h"

namespace bittern::compiler {

namespace {

class Parser : private ExpressionParser {
 public:
  using ExpressionParser::ExpressionParser;

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
    const Type *type = type_named(token);
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
      if (is("require") || is("scalar") || is("in") || is("given") || is("out") || declares_tokens()) {
        if (!spec_.definitions.empty()) fail(peek(), "declarations come before the first definition");
        declaration();
      } else if (peek().kind == Token::Name && !reserved(peek().text)) {
        definition();
      } else {
        fail(peek(), fmt::format("expected a declaration, a definition or '}}', found {}", shown(peek())));
      }
    }
  }

  // `tokens` is a word only here, so that texts may go on to use it as a name: a definition has `[` or a type next.
  bool declares_tokens() const { return is("tokens") && peek(1).kind == Token::Name; }

  void declaration() {
    const Token word = take();
    if (word.text == "tokens") {
      const Token name = take();
      if (spec_.tokens) fail(word, "'tokens' is declared twice");
      if (name.text != "none" && std::find(spec_.sizes.begin(), spec_.sizes.end(), name.text) == spec_.sizes.end())
        fail(name, fmt::format("'tokens' wants one of the kernel's sizes or 'none', found {}", shown(name)));
      spec_.tokens = name.text == "none" ? "" : std::string(name.text);
      return;
    }
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
    const Type *type = type_named(type_token);
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
