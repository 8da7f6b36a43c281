// Structure and types. Bounds of indices are proved in index_bounds.cpp.
#include "compiler/verifier.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <unordered_map>

#include "compiler/expr.h"
#include "compiler/index_bounds.h"
#include "compiler/token_size.h"

namespace bittern::compiler {

namespace {

bool is_name(const std::string &s) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  return !s.empty() && s.size() <= 64 && letter(s[0]) &&
         std::all_of(s.begin(), s.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

class Verifier {
 public:
  Verifier(const KernelSpec &spec, const Source &source) : spec_(spec), source_(source) {}

  void run() {
    names();
    functions();
    for (const ExprPtr &condition : spec_.requires_) {
      measure(condition);
      scope_ = Scope{.what = "'require'", .sizes = true};
      if (check(condition) != Type::Bool) fail(condition->loc, "'require' wants a condition");
    }
    tensors();
    tokens();
    definitions();
  }

 private:
  // What an expression may mention.
  struct Scope {
    const char *what = "";
    bool sizes = false, scalars = false, tensors = false, index_inputs = false, reductions = false;
    std::set<std::string> vars = {};
    std::map<std::string, Type> lets = {};
  };

  [[noreturn]] void fail(Location at, const std::string &message) const { fail_at(source_, at, message); }

  void name(const std::string &n, Location at = {}) {
    if (!is_name(n)) fail(at, fmt::format("'{}' is not a name", n));
  }
  void global(const std::string &n, Location at = {}) {
    name(n, at);
    if (!globals_.insert(n).second) fail(at, fmt::format("'{}' is already declared", n));
  }

  void names() {
    name(spec_.name);
    if (spec_.sizes.empty() || spec_.sizes.size() > kMaxSizes)
      fail({}, fmt::format("a kernel has 1 to {} size parameters, this one {}", kMaxSizes, spec_.sizes.size()));
    if (spec_.tensors.size() > kMaxTensors) fail({}, fmt::format("a kernel has at most {} tensors", kMaxTensors));
    for (const std::string &s : spec_.sizes) global(s);
    for (const std::string &s : spec_.scalars) global(s);
    for (const Tensor &t : spec_.tensors) global(t.name, t.loc);
  }

  // Nodes of the expression as a tree, calls expanded; throws when it is larger than anything real, so that later
  // walks (which do not share) stay cheap.
  size_t measure(const ExprPtr &e, int depth = 1) {
    if (!e) fail({}, "an expression is missing");
    if (depth > kMaxDepth) fail(e->loc, fmt::format("an expression is nested more than {} deep", kMaxDepth));
    size_t size = 1;
    if (e->op == Op::Call)
      if (const auto f = function_size_.find(e->name); f != function_size_.end()) size += f->second;
    for (const ExprPtr &arg : e->args) {
      size += measure(arg, depth + 1);
      if (size > kMaxNodes) break;
    }
    if (size > kMaxNodes) fail(e->loc, fmt::format("the kernel has more than {} operations", kMaxNodes));
    return size;
  }

  void functions() {
    for (const Function &f : spec_.functions) {
      name(f.name);
      if (functions_.count(f.name)) fail({}, fmt::format("function '{}' is already defined", f.name));
      scope_ = Scope{.what = "a function"};
      for (const auto &[param, type] : f.params) let(param, type);
      size_t size = 0;
      for (const auto &[let_name, value] : f.lets) {
        size += measure(value);
        let(let_name, check(value));
      }
      size += measure(f.result);
      check(f.result);
      if (size > kMaxNodes) fail({}, fmt::format("function '{}' has more than {} operations", f.name, kMaxNodes));
      function_size_[f.name] = size;
      functions_[f.name] = &f;
    }
  }

  void let(const std::string &n, Type type) {
    name(n);
    if (type != Type::I32 && type != Type::F32 && type != Type::Bool)
      fail({}, fmt::format("'{}' would be {}; a let holds f32, i32 or bool", n, type_name(type)));
    if (!scope_.lets.emplace(n, type).second) fail({}, fmt::format("'{}' is already defined in this function", n));
  }

  void tensors() {
    bool locals = false;
    size_t arguments = 0;
    for (const Tensor &t : spec_.tensors) {
      locals = locals || t.role == Role::Local;
      if (locals && t.role != Role::Local) fail(t.loc, "locals come after the arguments");
      if (t.shape.empty() || t.shape.size() > kMaxRank)
        fail(t.loc, fmt::format("'{}' has {} dimensions; 1 to {} are possible", t.name, t.shape.size(), kMaxRank));
      if (t.type == Type::Bool) fail(t.loc, fmt::format("'{}' cannot be stored as bool; use select", t.name));
      if (t.role == Role::Local) {
        if (t.type != Type::I32 && t.type != Type::F32)
          fail(t.loc, fmt::format("local '{}' would be {}; locals are i32 or f32", t.name, type_name(t.type)));
        if (t.pad != 1 || t.range) fail(t.loc, fmt::format("local '{}' has no pad and no range", t.name));
        continue;
      }
      ++arguments;
      argument(t);
    }
    if (arguments == 0) fail({}, "the kernel has no tensors");
    if (std::none_of(spec_.tensors.begin(), spec_.tensors.end(), [](const Tensor &t) { return t.role == Role::Out; }))
      fail({}, "the kernel writes nothing: it has no 'out' tensor");
  }

  void argument(const Tensor &t) {
    scope_ = Scope{.what = "a tensor's shape or range", .sizes = true};
    const auto size_expression = [&](const ExprPtr &e, const char *what) {
      measure(e);
      if (check(e) != Type::I32) fail(e->loc, fmt::format("{} of '{}' is not an i32", what, t.name));
    };
    for (const ExprPtr &extent : t.shape) size_expression(extent, "a dimension");
    if (t.pad < 1 || t.pad > 4096) fail(t.loc, fmt::format("'{}': pad is 1 to 4096, got {}", t.name, t.pad));
    if (t.type == Type::Ternary && t.role != Role::In)
      fail(t.loc, fmt::format("'{}': only inputs are ternary", t.name));
    if (t.type == Type::Ternary && t.shape.size() != 2)
      fail(t.loc, fmt::format("'{}': a ternary tensor has 2 dimensions, this one {}", t.name, t.shape.size()));
    if (t.range) {
      if (t.role != Role::In || t.type != Type::I32)
        fail(t.loc, fmt::format("'{}': only i32 inputs have a range", t.name));
      size_expression(t.range->first, "the range");
      size_expression(t.range->second, "the range");
    }
  }

  // The size that is declared to count tokens takes any value from 1, and weights do not have it.
  void tokens() {
    if (!spec_.tokens || spec_.tokens->empty()) return;
    const std::string &size = *spec_.tokens;
    if (size == "none") fail({}, "'tokens none' says that no size counts tokens, so a size named 'none' cannot");
    if (std::find(spec_.sizes.begin(), spec_.sizes.end(), size) == spec_.sizes.end())
      fail({}, fmt::format("'tokens' names '{}', which is no size of the kernel", size));
    for (const ExprPtr &condition : spec_.requires_)
      if (mentions_size(condition, size))
        fail(condition->loc,
             fmt::format("'{}' counts tokens: any number from 1, so no 'require' may mention it", size));
    for (const Tensor &t : spec_.tensors)
      if (t.type == Type::Ternary && grows_with_tokens(t, size))
        fail(t.loc, fmt::format("'{}' counts tokens, and ternary '{}' has it in its shape", size, t.name));
  }

  void definitions() {
    for (const Definition &d : spec_.definitions) {
      const Tensor *t = spec_.find(d.tensor);
      if (!t) fail(d.loc, fmt::format("'{}' is defined but not declared", d.tensor));
      if (t->role == Role::In) fail(d.loc, fmt::format("'{}' is an input; it cannot be defined", d.tensor));
      if (defined_.count(d.tensor)) fail(d.loc, fmt::format("'{}' is defined twice", d.tensor));
      definition(d, *t);
      defined_.insert(d.tensor);
    }
    for (const Tensor &t : spec_.tensors)
      if (t.role != Role::In && !defined_.count(t.name))
        fail(t.loc, t.role == Role::Out ? fmt::format("output '{}' is never written", t.name)
                                        : fmt::format("'{}' has no definition", t.name));
  }

  void definition(const Definition &d, const Tensor &t) {
    if (d.vars.size() != t.shape.size())
      fail(d.loc, fmt::format("'{}' has {} dimension(s), its definition {}", t.name, t.shape.size(), d.vars.size()));
    scope_ = Scope{.what = "an index's extent", .sizes = true, .index_inputs = true};
    for (size_t i = 0; i < d.vars.size(); ++i) {
      const IndexVar &v = d.vars[i];
      measure(v.extent);
      const Location at = v.extent->loc.line ? v.extent->loc : d.loc;
      if (check(v.extent) != Type::I32) fail(at, fmt::format("the extent of index '{}' is not an i32", v.name));
      if (!equal(v.extent, t.shape[i]))
        fail(at, fmt::format("index '{}' does not run over the whole dimension {} of '{}', so not every element is "
                             "written exactly once",
                             v.name, i, t.name));
      variable(v.name, d.loc);
    }
    scope_.what = "a definition";
    scope_.scalars = scope_.tensors = scope_.reductions = true;
    measure(d.value);
    const Type type = check(d.value);
    if (type != t.type)
      fail(d.value->loc, fmt::format("'{}' holds {} but its definition gives {}{}", t.name, type_name(t.type),
                                     type_name(type), type == Type::Bool ? "" : "; convert it with a cast"));
  }

  void variable(const std::string &n, Location at) {
    name(n, at);
    if (globals_.count(n)) fail(at, fmt::format("'{}' is already declared; an index needs a name of its own", n));
    if (!scope_.vars.insert(n).second) fail(at, fmt::format("index '{}' is already in use here", n));
  }

  // Type of the expression, recomputed; the stored type must agree with it.
  Type check(const ExprPtr &expr) {
    const Type type = compute(*expr);
    if (type != expr->type)
      fail(expr->loc,
           fmt::format("'{}' is marked {} but is {}", op_row(expr->op).text, type_name(expr->type), type_name(type)));
    return type;
  }

  [[noreturn]] void misplaced(const Expr &e) const {
    fail(e.loc, fmt::format("'{}' cannot be used in {}", e.name, scope_.what));
  }

  Type compute(const Expr &e) {
    switch (e.op) {
      case Op::IntConst:
        if (e.ival < INT32_MIN || e.ival > INT32_MAX) fail(e.loc, fmt::format("{} does not fit in i32", e.ival));
        return Type::I32;
      case Op::FloatConst:
        if (!std::isfinite(e.fval)) fail(e.loc, "a float constant is not finite");
        return Type::F32;
      case Op::Var:
        if (!scope_.vars.count(e.name)) misplaced(e);
        return Type::I32;
      case Op::Size:
        if (!scope_.sizes || !std::count(spec_.sizes.begin(), spec_.sizes.end(), e.name)) misplaced(e);
        return Type::I32;
      case Op::Scalar:
        if (!scope_.scalars || !std::count(spec_.scalars.begin(), spec_.scalars.end(), e.name)) misplaced(e);
        return Type::F32;
      case Op::Let:
        if (!scope_.lets.count(e.name)) misplaced(e);
        return scope_.lets.at(e.name);
      case Op::Load:
        return load(e);
      case Op::Call:
        return call(e);
      default:
        return is_reduction(e.op) ? reduction(e) : operation(e);
    }
  }

  Type operation(const Expr &e) {
    std::vector<Type> types;
    for (const ExprPtr &arg : e.args) types.push_back(check(arg));
    return typed(e, types);
  }

  Type typed(const Expr &e, const std::vector<Type> &types) const {
    std::string why;
    const std::optional<Type> type = result_type(e.op, e.type, types, why);
    if (!type) fail(e.loc, why);
    return *type;
  }

  Type reduction(const Expr &e) {
    if (!scope_.reductions) fail(e.loc, fmt::format("a reduction cannot be used in {}", scope_.what));
    if (e.args.size() != 2) fail(e.loc, "a reduction has an extent and a body");
    const Scope outer = scope_;
    scope_ = Scope{.what = "an index's extent", .sizes = true, .index_inputs = true, .vars = outer.vars};
    const Type extent = check(e.args[0]);
    scope_ = outer;
    variable(e.name, e.loc);
    const Type body = check(e.args[1]);
    scope_ = outer;
    return typed(e, {extent, body});
  }

  Type load(const Expr &e) {
    const Tensor *t = spec_.find(e.name);
    if (!t) fail(e.loc, fmt::format("unknown tensor '{}'", e.name));
    const bool index_input = scope_.index_inputs && t->role == Role::In && t->type == Type::I32;
    if (!scope_.tensors && !index_input) fail(e.loc, fmt::format("'{}' cannot be used in {}", e.name, scope_.what));
    if (t->role == Role::Out)
      fail(e.loc, fmt::format("'{}' is an output; outputs are not read (name the value and use it twice)", e.name));
    if (t->role != Role::In && !defined_.count(e.name))
      fail(e.loc, fmt::format("'{}' is used before it is defined", e.name));
    if (e.args.size() != t->shape.size())
      fail(e.loc, fmt::format("'{}' has {} dimension(s), got {} index(es)", e.name, t->shape.size(), e.args.size()));
    for (const ExprPtr &arg : e.args)
      if (const Type type = check(arg); type != Type::I32)
        fail(e.loc, fmt::format("an index of '{}' is {}, not i32", e.name, type_name(type)));
    return t->type;
  }

  Type call(const Expr &e) {
    const auto found = functions_.find(e.name);
    if (found == functions_.end()) fail(e.loc, fmt::format("unknown function '{}'", e.name));
    const Function &f = *found->second;
    if (e.args.size() != f.params.size())
      fail(e.loc, fmt::format("'{}' wants {} argument(s), got {}", e.name, f.params.size(), e.args.size()));
    for (size_t i = 0; i < e.args.size(); ++i)
      if (const Type type = check(e.args[i]); type != f.params[i].second)
        fail(e.loc, fmt::format("argument {} of '{}' is {}, got {}", i + 1, e.name, type_name(f.params[i].second),
                                type_name(type)));
    return f.result->type;
  }

  const KernelSpec &spec_;
  const Source &source_;
  Scope scope_;
  std::set<std::string> globals_, defined_;
  std::map<std::string, const Function *> functions_;
  std::unordered_map<std::string, size_t> function_size_;
};

}  // namespace

void verify(const KernelSpec &spec, const Source *source) {
  const Source unnamed{spec.name.empty() ? "kernel" : spec.name, {}};
  const Source &text = source ? *source : unnamed;
  Verifier(spec, text).run();
  prove_index_bounds(spec, text);
}

}  // namespace bittern::compiler
