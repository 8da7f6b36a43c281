// A kernel's text under other names: every size, scalar, tensor and index, and the kernel itself, in the opposite
// alphabetical order, so that whoever goes by a name or by the order of names is found out.
#pragma once
#include <fmt/format.h>

#include <map>
#include <set>
#include <string>

#include "compiler/expr.h"
#include "compiler/lexer.h"
#include "compiler/parser.h"
#include "compiler/printer.h"

namespace bittern::test {

struct RenamedKernel {
  compiler::KernelSpec spec;
  std::map<std::string, std::string> names;  // old to new

  // Values under the new names.
  compiler::Sizes sizes(const compiler::Sizes &old) const {
    compiler::Sizes all;
    for (const auto &[name, value] : old) all[names.at(name)] = value;
    return all;
  }
};

inline std::set<std::string> names_in(const compiler::KernelSpec &spec) {
  std::set<std::string> names(spec.sizes.begin(), spec.sizes.end());
  names.insert(spec.name);
  names.insert(spec.scalars.begin(), spec.scalars.end());
  for (const compiler::Tensor &tensor : spec.tensors) names.insert(tensor.name);
  for (const compiler::Definition &definition : spec.definitions) {
    for (const compiler::IndexVar &var : definition.vars) names.insert(var.name);
    compiler::walk(definition.value, [&](const compiler::ExprPtr &e) {
      if (compiler::is_reduction(e->op)) names.insert(e->name);
    });
  }
  return names;
}

inline RenamedKernel renamed(const compiler::KernelSpec &spec) {
  RenamedKernel result;
  int number = 999;
  for (const std::string &name : names_in(spec)) result.names[name] = fmt::format("n{}", number--);
  const compiler::Source source{spec.name, compiler::print_kernel(spec)};
  std::string text;
  for (const compiler::Token &token : compiler::tokenize(source)) {
    const auto found =
        token.kind == compiler::Token::Name ? result.names.find(std::string(token.text)) : result.names.end();
    text += (found == result.names.end() ? std::string(token.text) : found->second) + " ";
  }
  result.spec = compiler::parse_kernel(text, "renamed " + spec.name);
  return result;
}

}  // namespace bittern::test
