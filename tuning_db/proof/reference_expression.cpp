#include "tuning_db/proof/reference_expression.h"

#include <fmt/format.h>

#include <algorithm>

#include "compiler/error.h"

namespace bittern::tuning::reference {

using compiler::Expr;
using compiler::Op;

Builder::Builder(const compiler::KernelSpec &spec, const compiler::Sizes &sizes, const std::vector<float> &scalars,
                 Arrays &arrays)
    : spec_(spec), sizes_(sizes), scalars_(scalars), arrays_(arrays) {
  for (const compiler::Function &f : spec.functions) {
    auto routine = std::make_unique<Routine>();
    std::map<std::string, int> names;
    routine->params = f.params.size();
    for (const auto &param : f.params) names.emplace(param.first, static_cast<int>(names.size()));
    for (const auto &[name, value] : f.lets) {
      routine->lets.push_back(build(*value, {}, names));
      names[name] = static_cast<int>(routine->params + routine->lets.size()) - 1;
    }
    routine->result = build(*f.result, {}, names);
    routines_[f.name] = std::move(routine);
  }
  first_slot_ = next_slot_;
}

Node Builder::build(const Expr &e, const std::map<std::string, int> &vars, const std::map<std::string, int> &lets) {
  Node node;
  node.op = e.op;
  node.type = e.type;
  node.uses.resize(kVariables);
  switch (e.op) {
    case Op::IntConst:
      node.constant = static_cast<uint32_t>(e.ival);
      break;
    case Op::FloatConst:
      node.constant = bits_of(e.fval);
      break;
    case Op::Size:
      node.constant = static_cast<uint32_t>(sizes_.at(e.name));
      break;
    case Op::Scalar:
      node.constant = bits_of(scalars_.at(
          static_cast<size_t>(std::find(spec_.scalars.begin(), spec_.scalars.end(), e.name) - spec_.scalars.begin())));
      break;
    case Op::Var:
      node.slot = vars.at(e.name);
      node.uses[static_cast<size_t>(node.slot)] = true;
      break;
    case Op::Let:
      node.slot = lets.at(e.name);
      node.uses_frame = true;
      break;
    case Op::Load: {
      node.tensor = &arrays_.at(e.name);
      node.strides.assign(node.tensor->shape.size(), 1);
      for (size_t d = node.strides.size(); d-- > 1;) node.strides[d - 1] = node.strides[d] * node.tensor->shape[d];
      break;
    }
    case Op::Call:
      node.routine = routines_.at(e.name).get();
      break;
    default:
      break;
  }
  const bool reduction = e.op == Op::Sum || e.op == Op::MaxOf || e.op == Op::MinOf;
  std::map<std::string, int> inner = vars;
  if (reduction) {
    node.slot = new_variable();
    inner[e.name] = node.slot;
  }
  for (size_t i = 0; i < e.args.size(); ++i)
    node.args.push_back(build(*e.args[i], reduction && i == 1 ? inner : vars, lets));
  for (const Node &arg : node.args) {
    for (size_t v = 0; v < kVariables; ++v) node.uses[v] = node.uses[v] || arg.uses[v];
    node.uses_frame = node.uses_frame || arg.uses_frame;
  }
  if (reduction) node.uses[static_cast<size_t>(node.slot)] = false;
  return node;
}

int Builder::new_variable() {
  if (next_slot_ >= kVariables - 1) throw Error(fmt::format("reference: kernel {} has too many variables", spec_.name));
  return next_slot_++;
}

}  // namespace bittern::tuning::reference
