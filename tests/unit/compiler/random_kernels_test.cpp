// Properties on random kernels: printing and parsing give the same IR, and the interpreter computes what a plain
// evaluator of the tree computes, one element at a time.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "compiler/error.h"
#include "compiler/expr.h"
#include "compiler/interpreter.h"
#include "compiler/library.h"
#include "compiler/numeric.h"
#include "compiler/parser.h"
#include "compiler/printer.h"
#include "compiler/verifier.h"

using namespace bittern;
using namespace bittern::compiler;

namespace {

// Makes kernels that are legal by construction: indices are variables of the right extent, gathers through ranged
// inputs, and clamped sums of those.
class Maker {
 public:
  explicit Maker(uint64_t seed) : random_(seed) {}

  KernelSpec make() {
    spec_.name = "random";
    spec_.sizes = {"N", "K"};
    spec_.scalars = {"alpha"};
    spec_.functions = *library_functions("math");
    add(Role::In, "X", Type::F32, {size("N"), size("K")});
    add(Role::In, "A", Type::I8, {size("N"), size("K")});
    add(Role::In, "W", Type::Ternary, {size("K"), size("N")});
    add(Role::In, "H", Type::F16, {size("K")});
    add(Role::In, "B", Type::BF16, {size("N")});
    add(Role::In, "I", Type::I32, {size("N")});
    spec_.tensors.back().range = {int_const(0), size("K")};
    add(Role::Out, "Y", Type::F32, {size("N"), size("K")});
    add(Role::Out, "Z", Type::I32, {size("N")});
    add(Role::Out, "F", Type::F16, {size("N")});
    for (int i = pick(4); i > 0; --i) local(i);
    vars_ = {{"n", size("N")}, {"k", size("K")}};
    define("Y", vars_, float_value(4));
    vars_ = {{"n", size("N")}};
    define("Z", vars_, int_value(4));
    define("F", vars_, node(Op::Cast, Type::F16, {float_value(4)}));
    keep_used_functions(spec_);
    return spec_;
  }

 private:
  struct Local {
    std::string name;
    Type type;
    std::vector<IndexVar> vars;
  };

  int pick(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }
  static ExprPtr size(const char *name) { return named(Op::Size, Type::I32, name); }

  void add(Role role, const std::string &name, Type type, std::vector<ExprPtr> shape) {
    Tensor t;
    t.name = name;
    t.role = role;
    t.type = type;
    t.shape = std::move(shape);
    spec_.tensors.push_back(std::move(t));
  }

  void define(const std::string &tensor, std::vector<IndexVar> vars, ExprPtr value) {
    Definition d;
    d.tensor = tensor;
    d.vars = std::move(vars);
    d.value = std::move(value);
    spec_.definitions.push_back(std::move(d));
  }

  void local(int number) {
    Local l{"local" + std::to_string(number), pick(2) ? Type::F32 : Type::I32, {{"n", size("N")}}};
    if (pick(2)) l.vars.push_back({"j", pick(2) ? size("K") : load("I", {var("n")})});
    vars_ = l.vars;
    ExprPtr value = l.type == Type::F32 ? float_value(3) : int_value(3);
    std::vector<ExprPtr> shape;
    for (const IndexVar &v : l.vars) shape.push_back(v.extent);
    add(Role::Local, l.name, l.type, shape);
    define(l.name, l.vars, value);
    locals_.push_back(std::move(l));
  }

  static ExprPtr var(const std::string &name) { return named(Op::Var, Type::I32, name); }
  ExprPtr load(const std::string &tensor, std::vector<ExprPtr> args) {
    return node(Op::Load, spec_.find(tensor)->type, std::move(args), tensor);
  }

  // An index below the size, in one of several shapes.
  ExprPtr index(const char *of) {
    std::vector<ExprPtr> choices = {int_const(0), node(Op::Sub, Type::I32, {size(of), int_const(1)})};
    for (const IndexVar &v : vars_)
      if (equal(v.extent, size(of))) {
        choices.push_back(var(v.name));
        choices.push_back(node(Op::Sub, Type::I32, {node(Op::Sub, Type::I32, {size(of), int_const(1)}), var(v.name)}));
        choices.push_back(node(Op::Div, Type::I32, {var(v.name), int_const(1 + pick(3))}));
      }
    if (!vars_.empty()) choices.push_back(node(Op::Mod, Type::I32, {var(vars_[0].name), size(of)}));
    if (of == std::string("K") && !vars_.empty() && vars_[0].name == "n") choices.push_back(load("I", {var("n")}));
    return choices[static_cast<size_t>(pick(static_cast<int>(choices.size())))];
  }

  // A local whose own index variables are in scope under their names.
  ExprPtr local_of(Type type) {
    for (const Local &l : locals_) {
      bool fits = l.type == type && pick(2);
      std::vector<ExprPtr> args;
      for (const IndexVar &v : l.vars) {
        bool found = false;
        for (const IndexVar &mine : vars_) found = found || (mine.name == v.name && equal(mine.extent, v.extent));
        fits = fits && found;
        args.push_back(var(v.name));
      }
      if (fits) return load(l.name, args);
    }
    return nullptr;
  }

  ExprPtr reduction(Type type, int depth) {
    static constexpr Op ops[] = {Op::Sum, Op::MaxOf, Op::MinOf};
    const std::string name = "r" + std::to_string(vars_.size());
    const ExprPtr extent = pick(3) ? size("K") : pick(2) ? int_const(pick(40)) : size("N");
    vars_.push_back({name, extent});
    ExprPtr body = type == Type::F32 ? float_value(depth - 1) : small_int();
    vars_.pop_back();
    return node(ops[pick(3)], type, {extent, body}, name);
  }

  ExprPtr small_int() {
    switch (pick(4)) {
      case 0:
        return node(Op::Cast, Type::I32, {load("A", {index("N"), index("K")})});
      case 1:
        return node(Op::Cast, Type::I32, {load("W", {index("K"), index("N")})});
      case 2:
        return int_const(pick(2001) - 1000);
      default:
        return index(pick(2) ? "N" : "K");
    }
  }

  ExprPtr condition(int depth) {
    static constexpr Op compare[] = {Op::Eq, Op::Ne, Op::Lt, Op::Le, Op::Gt, Op::Ge};
    if (depth > 0 && !pick(3)) {
      if (!pick(3)) return node(Op::Not, Type::Bool, {condition(depth - 1)});
      return node(pick(2) ? Op::And : Op::Or, Type::Bool, {condition(depth - 1), condition(depth - 1)});
    }
    const bool ints = pick(2);
    ExprPtr a = ints ? int_value(depth - 1) : float_value(depth - 1);
    ExprPtr b = ints ? int_value(depth - 1) : float_value(depth - 1);
    return node(compare[pick(6)], Type::Bool, {a, b});
  }

  ExprPtr int_value(int depth) {
    if (depth <= 0) return small_int();
    const auto next = [&] { return int_value(depth - 1); };
    if (!pick(4))
      if (ExprPtr l = local_of(Type::I32)) return l;
    static constexpr Op ops[] = {Op::Add, Op::Sub, Op::Mul, Op::Min, Op::Max, Op::BitAnd, Op::BitOr, Op::BitXor};
    switch (pick(9)) {
      case 0:
        return node(pick(2) ? Op::Neg : Op::Abs, Type::I32, {next()});
      case 1:
        return node(pick(2) ? Op::Div : Op::Mod, Type::I32, {next(), int_const(1 + pick(9))});
      case 2:
        return node(pick(2) ? Op::Shl : Op::Shr, Type::I32, {next(), int_const(pick(32))});
      case 3:
        return node(Op::Select, Type::I32, {condition(depth - 1), next(), next()});
      case 4:
        return node(Op::BitsToI32, Type::I32, {float_value(depth - 1)});
      case 5:
        return reduction(Type::I32, depth);
      case 6: {  // a float in i32's range
        ExprPtr low = node(Op::Max, Type::F32, {float_value(depth - 1), float_const(-1000)});
        return node(Op::Cast, Type::I32, {node(Op::Min, Type::F32, {low, float_const(1e6f)})});
      }
      default:
        return node(ops[pick(8)], Type::I32, {next(), next()});
    }
  }

  ExprPtr float_leaf() {
    switch (pick(6)) {
      case 0:
        return load("X", {index("N"), index("K")});
      case 1:
        return node(Op::Cast, Type::F32, {load("H", {index("K")})});
      case 2:
        return node(Op::Cast, Type::F32, {load("B", {index("N")})});
      case 3:
        return float_const(static_cast<float>(pick(200001) - 100000) * 1.1e-4f);
      case 4:
        return named(Op::Scalar, Type::F32, "alpha");
      default:
        return node(Op::Cast, Type::F32, {small_int()});
    }
  }

  ExprPtr float_value(int depth) {
    if (depth <= 0) return float_leaf();
    const auto next = [&] { return float_value(depth - 1); };
    if (!pick(4))
      if (ExprPtr l = local_of(Type::F32)) return l;
    static constexpr Op two[] = {Op::Add, Op::Sub, Op::Mul, Op::Div, Op::Min, Op::Max};
    static constexpr Op one[] = {Op::Neg, Op::Abs, Op::Sqrt, Op::RoundEven, Op::Floor};
    switch (pick(8)) {
      case 0:
        return node(one[pick(5)], Type::F32, {next()});
      case 1:
        return node(Op::Select, Type::F32, {condition(depth - 1), next(), next()});
      case 2:
        return node(Op::Cast, Type::F32, {int_value(depth - 1)});
      case 3:
        return reduction(Type::F32, depth);
      case 4:
        return node(Op::Call, Type::F32, {next()}, pick(2) ? "exp" : "tanh");
      case 5:
        return node(Op::Cast, Type::F32, {node(Op::Cast, pick(2) ? Type::F16 : Type::BF16, {next()})});
      default:
        return node(two[pick(6)], Type::F32, {next(), next()});
    }
  }

  std::mt19937_64 random_;
  KernelSpec spec_;
  std::vector<IndexVar> vars_;
  std::vector<Local> locals_;
};

// The meaning of the IR, written as directly as possible: recursion, no storage of locals, no strips.
class Evaluator {
 public:
  using Names = std::map<std::string, int64_t>;
  struct Value {
    int64_t i = 0;
    float f = 0;
  };

  Evaluator(const KernelSpec &spec, const Sizes &sizes, float alpha, const std::map<std::string, TensorData> &tensors)
      : spec_(spec), sizes_(sizes), alpha_(alpha), tensors_(tensors) {}

  Value eval(const ExprPtr &expr, const Names &vars, const std::map<std::string, Value> &lets = {}) const {
    const Expr &e = *expr;
    const auto arg = [&](size_t i) { return eval(e.args[i], vars, lets); };
    const bool f = !e.args.empty() && e.args[e.op == Op::Select ? 1 : 0]->type == Type::F32;
    const auto wrapped = [](int64_t v) { return Value{static_cast<int32_t>(static_cast<uint32_t>(v)), 0}; };
    switch (e.op) {
      case Op::IntConst:
        return {e.ival, 0};
      case Op::FloatConst:
        return {0, e.fval};
      case Op::Var:
        return {vars.at(e.name), 0};
      case Op::Size:
        return {sizes_.at(e.name), 0};
      case Op::Scalar:
        return {0, alpha_};
      case Op::Let:
        return lets.at(e.name);
      case Op::Load:
        return load(e, vars);
      case Op::Call: {
        const Function *callee = nullptr;
        for (const Function &x : spec_.functions)
          if (x.name == e.name) callee = &x;
        std::map<std::string, Value> inner;
        for (size_t i = 0; i < e.args.size(); ++i) inner[callee->params[i].first] = arg(i);
        for (const auto &[name, value] : callee->lets) inner[name] = eval(value, vars, inner);
        return eval(callee->result, vars, inner);
      }
      case Op::Sum:
      case Op::MaxOf:
      case Op::MinOf:
        return reduce(e, vars);
      case Op::Select:
        return arg(0).i ? arg(1) : arg(2);
      case Op::Cast:
        if (e.type == Type::F16) return {0, f32_from_f16(f16_from_f32(arg(0).f))};
        if (e.type == Type::BF16) return {0, f32_from_bf16(bf16_from_f32(arg(0).f))};
        if (e.type == Type::F32 && e.args[0]->type == Type::I32) return {0, static_cast<float>(arg(0).i)};
        if (e.type == Type::I32 && f) return {static_cast<int32_t>(arg(0).f), 0};
        return arg(0);
      default:
        break;
    }
    const Value a = arg(0), b = e.args.size() > 1 ? arg(1) : Value{};
    switch (e.op) {
      case Op::Add:
        return f ? Value{0, a.f + b.f} : wrapped(a.i + b.i);
      case Op::Sub:
        return f ? Value{0, a.f - b.f} : wrapped(a.i - b.i);
      case Op::Mul:
        return f ? Value{0, a.f * b.f} : wrapped(a.i * b.i);
      case Op::Div:
        return f ? Value{0, a.f / b.f} : wrapped((a.i - ((a.i % b.i) + b.i) % b.i) / b.i);
      case Op::Mod:
        return wrapped(((a.i % b.i) + b.i) % b.i);
      case Op::Min:
        return f ? (a.f < b.f ? a : b) : (a.i < b.i ? a : b);
      case Op::Max:
        return f ? (a.f > b.f ? a : b) : (a.i > b.i ? a : b);
      case Op::Neg:
        return f ? Value{0, -a.f} : wrapped(-a.i);
      case Op::Abs:
        return f ? Value{0, std::fabs(a.f)} : wrapped(std::abs(a.i));
      case Op::Sqrt:
        return {0, std::sqrt(a.f)};
      case Op::RoundEven:
        return {0, std::nearbyint(a.f)};
      case Op::Floor:
        return {0, std::floor(a.f)};
      case Op::BitAnd:
        return wrapped(a.i & b.i);
      case Op::BitOr:
        return wrapped(a.i | b.i);
      case Op::BitXor:
        return wrapped(a.i ^ b.i);
      case Op::Shl:
        return wrapped(a.i * (int64_t{1} << b.i));
      case Op::Shr:
        return wrapped(a.i >> b.i);
      case Op::Eq:
        return {f ? a.f == b.f : a.i == b.i, 0};
      case Op::Ne:
        return {f ? a.f != b.f : a.i != b.i, 0};
      case Op::Lt:
        return {f ? a.f < b.f : a.i < b.i, 0};
      case Op::Le:
        return {f ? a.f <= b.f : a.i <= b.i, 0};
      case Op::Gt:
        return {f ? a.f > b.f : a.i > b.i, 0};
      case Op::Ge:
        return {f ? a.f >= b.f : a.i >= b.i, 0};
      case Op::And:
        return {a.i && b.i, 0};
      case Op::Or:
        return {a.i || b.i, 0};
      case Op::Not:
        return {!a.i, 0};
      case Op::BitsToF32:
        return {0, std::bit_cast<float>(static_cast<int32_t>(a.i))};
      default:
        return {std::isnan(a.f) ? 0x7fc00000 : std::bit_cast<int32_t>(a.f), 0};
    }
  }

 private:
  Value reduce(const Expr &e, const Names &vars) const {
    const int64_t count = eval(e.args[0], vars).i;
    InterleavedSum sum;
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    const bool greatest = e.op == Op::MaxOf;
    Value best{greatest ? INT32_MIN : INT32_MAX, greatest ? -kInfinity : kInfinity};
    int64_t int_sum = 0;
    Names inner = vars;
    for (int64_t i = 0; i < count; ++i) {
      inner[e.name] = i;
      const Value v = eval(e.args[1], inner);
      sum.add(v.f);
      int_sum += v.i;
      if (greatest ? v.i > best.i : v.i < best.i) best.i = v.i;
      if (greatest ? v.f > best.f : v.f < best.f) best.f = v.f;
    }
    return e.op == Op::Sum ? Value{int_sum, sum.total()} : Value{best.i, best.f + 0.0f};
  }

  Value load(const Expr &e, const Names &vars) const {
    std::vector<int64_t> at;
    for (const ExprPtr &arg : e.args) at.push_back(eval(arg, vars).i);
    const Tensor &t = *spec_.find(e.name);
    if (t.role == Role::Local) {
      const Definition &d = *spec_.definition(e.name);
      Names inner;
      for (size_t i = 0; i < at.size(); ++i) inner[d.vars[i].name] = at[i];
      return eval(d.value, inner);
    }
    const TensorData &data = tensors_.at(e.name);
    int64_t offset = 0;
    for (size_t d = 0; d < at.size(); ++d) offset = offset * data.shape[d] + at[d];
    if (t.type == Type::I32 || t.type == Type::I8 || t.type == Type::Ternary) return {data.get_int(offset), 0};
    return {0, data.get_float(offset)};
  }

  const KernelSpec &spec_;
  const Sizes &sizes_;
  float alpha_;
  const std::map<std::string, TensorData> &tensors_;
};

// NaN payloads are not defined, everything else is, bit for bit.
bool same(float a, float b) {
  return (std::isnan(a) && std::isnan(b)) || std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b);
}

}  // namespace

TEST_CASE("random kernels survive printing and parsing") {
  for (uint64_t seed = 0; seed < 400; ++seed) {
    CAPTURE(seed);
    const KernelSpec spec = Maker(seed).make();
    const std::string text = print_kernel(spec);
    CAPTURE(text);
    REQUIRE_NOTHROW(verify(spec));
    const KernelSpec again = parse_kernel(text, "random.bk");
    REQUIRE(equal(spec, again));
    REQUIRE(print_kernel(again) == text);
  }
}

TEST_CASE("random kernels are interpreted as they read") {
  std::mt19937_64 random(5);
  for (uint64_t seed = 0; seed < 150; ++seed) {
    CAPTURE(seed);
    const KernelSpec spec = Maker(seed).make();
    CAPTURE(print_kernel(spec));
    const int64_t n_count = 3, k_count = 17 + static_cast<int64_t>(seed % 20);
    const Sizes sizes = {{"N", n_count}, {"K", k_count}};
    std::map<std::string, TensorData> tensors;
    for (const Tensor *t : spec.arguments()) {
      if (t->role != Role::In) continue;
      TensorData data = make_tensor(*t, sizes);
      for (int64_t i = 0; i < data.elements(); ++i) {
        const auto r = static_cast<int64_t>(random() >> 8);
        if (t->type == Type::I32)
          data.set_int(i, r % k_count);
        else if (t->type == Type::I8 || t->type == Type::Ternary)
          data.set_int(i, t->type == Type::I8 ? r % 256 - 128 : r % 3 - 1);
        else
          data.set_float(i, static_cast<float>(r % 4001 - 2000) * 1e-3f);
      }
      tensors[t->name] = std::move(data);
    }
    interpret(spec, sizes, {{"alpha", 0.7f}}, tensors);
    const Evaluator evaluator(spec, sizes, 0.7f, tensors);
    for (int64_t n = 0; n < n_count; ++n) {
      const Evaluator::Names at = {{"n", n}};
      REQUIRE(tensors["Z"].get_int(n) == evaluator.eval(spec.definition("Z")->value, at).i);
      REQUIRE(same(tensors["F"].get_float(n), evaluator.eval(spec.definition("F")->value, at).f));
      for (int64_t k = 0; k < k_count; k += 5)
        REQUIRE(same(tensors["Y"].get_float(n * k_count + k),
                     evaluator.eval(spec.definition("Y")->value, {{"n", n}, {"k", k}}).f));
    }
  }
}
