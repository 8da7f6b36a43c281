#include "compiler/builder.h"

#include <fmt/format.h>

#include <algorithm>

#include "compiler/error.h"
#include "compiler/expr.h"
#include "compiler/library.h"
#include "compiler/verifier.h"

namespace bittern::compiler::build {

namespace {

Ex make(Op op, const std::vector<Ex> &args, Type target = Type::Bool, const std::string &name = {}) {
  std::vector<ExprPtr> nodes;
  std::vector<Type> types;
  for (const Ex &arg : args) {
    nodes.push_back(arg.node());
    types.push_back(arg.node()->type);
  }
  std::string why;
  const std::optional<Type> type = result_type(op, target, types, why);
  if (!type) throw Error(why);
  return Ex(node(op, *type, std::move(nodes), name));
}

Ex reduce(Op op, const Ex &index, const Ex &body) {
  if (!index.extent()) throw Error(fmt::format("'{}' wants an index variable", op_row(op).text));
  return make(op, {Ex(index.extent()), body}, Type::Bool, index.node()->name);
}

}  // namespace

Ex::Ex(int value) : node_(int_const(value)) {}
Ex::Ex(double value) : node_(float_const(static_cast<float>(value))) {}

Ex index(const std::string &name, const Ex &extent) { return Ex(named(Op::Var, Type::I32, name), extent.node()); }

Ex operator+(const Ex &a, const Ex &b) { return make(Op::Add, {a, b}); }
Ex operator-(const Ex &a, const Ex &b) { return make(Op::Sub, {a, b}); }
Ex operator*(const Ex &a, const Ex &b) { return make(Op::Mul, {a, b}); }
Ex operator/(const Ex &a, const Ex &b) { return make(Op::Div, {a, b}); }
Ex operator%(const Ex &a, const Ex &b) { return make(Op::Mod, {a, b}); }
Ex operator-(const Ex &a) {
  // As in text, where "-2" is a constant.
  if (a.node()->op == Op::IntConst) return Ex(int_const(-a.node()->ival));
  if (a.node()->op == Op::FloatConst) return Ex(float_const(-a.node()->fval));
  return make(Op::Neg, {a});
}
Ex operator&(const Ex &a, const Ex &b) { return make(Op::BitAnd, {a, b}); }
Ex operator|(const Ex &a, const Ex &b) { return make(Op::BitOr, {a, b}); }
Ex operator^(const Ex &a, const Ex &b) { return make(Op::BitXor, {a, b}); }
Ex operator<<(const Ex &a, const Ex &b) { return make(Op::Shl, {a, b}); }
Ex operator>>(const Ex &a, const Ex &b) { return make(Op::Shr, {a, b}); }
Ex operator==(const Ex &a, const Ex &b) { return make(Op::Eq, {a, b}); }
Ex operator!=(const Ex &a, const Ex &b) { return make(Op::Ne, {a, b}); }
Ex operator<(const Ex &a, const Ex &b) { return make(Op::Lt, {a, b}); }
Ex operator<=(const Ex &a, const Ex &b) { return make(Op::Le, {a, b}); }
Ex operator>(const Ex &a, const Ex &b) { return make(Op::Gt, {a, b}); }
Ex operator>=(const Ex &a, const Ex &b) { return make(Op::Ge, {a, b}); }
Ex operator&&(const Ex &a, const Ex &b) { return make(Op::And, {a, b}); }
Ex operator||(const Ex &a, const Ex &b) { return make(Op::Or, {a, b}); }
Ex operator!(const Ex &a) { return make(Op::Not, {a}); }
Ex min(const Ex &a, const Ex &b) { return make(Op::Min, {a, b}); }
Ex max(const Ex &a, const Ex &b) { return make(Op::Max, {a, b}); }
Ex abs(const Ex &a) { return make(Op::Abs, {a}); }
Ex sqrt(const Ex &a) { return make(Op::Sqrt, {a}); }
Ex round_even(const Ex &a) { return make(Op::RoundEven, {a}); }
Ex floor(const Ex &a) { return make(Op::Floor, {a}); }
Ex select(const Ex &condition, const Ex &then, const Ex &otherwise) {
  return make(Op::Select, {condition, then, otherwise});
}
Ex bits_f32(const Ex &a) { return make(Op::BitsToF32, {a}); }
Ex bits_i32(const Ex &a) { return make(Op::BitsToI32, {a}); }
Ex i32(const Ex &a) { return make(Op::Cast, {a}, Type::I32); }
Ex f32(const Ex &a) { return make(Op::Cast, {a}, Type::F32); }
Ex i8(const Ex &a) { return make(Op::Cast, {a}, Type::I8); }
Ex f16(const Ex &a) { return make(Op::Cast, {a}, Type::F16); }
Ex bf16(const Ex &a) { return make(Op::Cast, {a}, Type::BF16); }
Ex sum(const Ex &index, const Ex &body) { return reduce(Op::Sum, index, body); }
Ex max_of(const Ex &index, const Ex &body) { return reduce(Op::MaxOf, index, body); }
Ex min_of(const Ex &index, const Ex &body) { return reduce(Op::MinOf, index, body); }

// --- tensors ---

namespace {

ExprPtr load(const KernelSpec &spec, const std::string &tensor, const std::vector<Ex> &indices) {
  const Tensor *t = spec.find(tensor);
  std::vector<ExprPtr> args;
  for (const Ex &i : indices) args.push_back(i.node());
  // A local that is about to be defined has no type yet; whoever reads it before then is told by the verifier.
  return node(Op::Load, t ? t->type : Type::F32, std::move(args), tensor);
}

}  // namespace

Access::Access(Kernel &kernel, std::string tensor, std::vector<Ex> indices)
    : Ex(load(kernel.spec_, tensor, indices)),
      kernel_(&kernel),
      tensor_(std::move(tensor)),
      indices_(std::move(indices)) {}

void Access::operator=(const Ex &value) { kernel_->define(tensor_, indices_, value); }

TensorRef TensorRef::pad(int64_t elements) const {
  for (Tensor &t : kernel_->spec_.tensors)
    if (t.name == name_) t.pad = elements;
  return *this;
}

TensorRef TensorRef::range(const Ex &low, const Ex &high) const {
  for (Tensor &t : kernel_->spec_.tensors)
    if (t.name == name_) t.range = {low.node(), high.node()};
  return *this;
}

// --- functions ---

Ex FunctionScope::param(const std::string &name) const {
  for (const auto &[param, type] : function_.params)
    if (param == name) return Ex(named(Op::Let, type, name));
  throw Error(fmt::format("function '{}' has no parameter '{}'", function_.name, name));
}

Ex FunctionScope::let(const std::string &name, const Ex &value) {
  function_.lets.emplace_back(name, value.node());
  return Ex(named(Op::Let, value.node()->type, name));
}

// --- kernels ---

Kernel::Kernel(std::string name) { spec_.name = std::move(name); }

Ex Kernel::size(const std::string &name) {
  spec_.sizes.push_back(name);
  return Ex(named(Op::Size, Type::I32, name));
}

Ex Kernel::scalar(const std::string &name) {
  spec_.scalars.push_back(name);
  return Ex(named(Op::Scalar, Type::F32, name));
}

void Kernel::tokens(const std::string &size) { spec_.tokens = size; }
void Kernel::require(const Ex &condition) { spec_.requires_.push_back(condition.node()); }

TensorRef Kernel::declare(Role role, const std::string &name, Type type, const std::vector<Ex> &shape) {
  Tensor t;
  t.name = name;
  t.role = role;
  t.type = type;
  for (const Ex &extent : shape) t.shape.push_back(extent.node());
  spec_.tensors.push_back(std::move(t));
  return TensorRef(*this, name);
}

TensorRef Kernel::in(const std::string &name, Type type, const std::vector<Ex> &shape) {
  return declare(Role::In, name, type, shape);
}
TensorRef Kernel::given(const std::string &name, Type type, const std::vector<Ex> &shape) {
  return declare(Role::Given, name, type, shape);
}
TensorRef Kernel::out(const std::string &name, Type type, const std::vector<Ex> &shape) {
  return declare(Role::Out, name, type, shape);
}
TensorRef Kernel::local(const std::string &name) { return TensorRef(*this, name); }

void Kernel::define(const std::string &tensor, const std::vector<Ex> &indices, const Ex &value) {
  Definition d;
  d.tensor = tensor;
  for (const Ex &i : indices) {
    if (!i.extent()) throw Error(fmt::format("'{}' is defined at something that is not an index variable", tensor));
    d.vars.push_back({i.node()->name, i.extent()});
  }
  d.value = value.node();
  if (!spec_.find(tensor)) {
    Tensor local;
    local.name = tensor;
    local.role = Role::Local;
    local.type = d.value->type;
    for (const IndexVar &v : d.vars) local.shape.push_back(v.extent);
    spec_.tensors.push_back(std::move(local));
  }
  spec_.definitions.push_back(std::move(d));
}

void Kernel::use(const std::string &library) {
  const std::optional<std::vector<Function>> functions = library_functions(library);
  if (!functions) throw Error(fmt::format("there is no library '{}'", library));
  spec_.functions.insert(spec_.functions.end(), functions->begin(), functions->end());
}

void Kernel::function(const std::string &name, const std::vector<std::pair<std::string, Type>> &params,
                      const std::function<Ex(FunctionScope &)> &body) {
  Function f;
  f.name = name;
  f.params = params;
  FunctionScope scope(f);
  f.result = body(scope).node();
  spec_.functions.push_back(std::move(f));
}

Ex Kernel::call(const std::string &function, const std::vector<Ex> &args) const {
  for (const Function &f : spec_.functions) {
    if (f.name != function) continue;
    std::vector<ExprPtr> nodes;
    for (const Ex &arg : args) nodes.push_back(arg.node());
    return Ex(node(Op::Call, f.result->type, std::move(nodes), function));
  }
  throw Error(fmt::format("unknown function '{}'", function));
}

KernelSpec Kernel::finish() const {
  KernelSpec spec = spec_;
  keep_used_functions(spec);
  verify(spec);
  return spec;
}

}  // namespace bittern::compiler::build
