// The choice of the dimension that threads divide.
#include "schedules/parallel.h"

#include <algorithm>

#include "compiler/expr.h"

namespace bittern::schedules {
namespace {

using compiler::Definition;
using compiler::ExprPtr;
using compiler::KernelSpec;
using compiler::Op;
using compiler::Role;

constexpr int kRepeatedWork = 1000;

// Heuristic cost, lower comes first. Work that would be repeated by every tile (a local's reduction without this index)
// weighs most; then the innermost index of a matrix, which is long even for one token; of a tensor of higher rank the
// one before.
int rank(const KernelSpec &spec, const std::string &size) {
  int penalty = 0;
  for (const Definition &definition : spec.definitions) {
    const compiler::Tensor *tensor = spec.find(definition.tensor);
    const int position = index_over_size(definition, size);
    const int last = static_cast<int>(definition.vars.size()) - 1;
    if (tensor->role == Role::Local && position < 0 && compiler::has_reduction(definition.value))
      penalty += kRepeatedWork;
    if (tensor->role != Role::Out) continue;
    if (position == last && tensor->pad > 1) penalty += 500;
    penalty += last >= 2 && position == last ? 50 : last - position;
  }
  return penalty;
}

}  // namespace

int index_over_size(const Definition &definition, const std::string &size) {
  for (size_t i = 0; i < definition.vars.size(); ++i) {
    const ExprPtr &extent = definition.vars[i].extent;
    if (extent->op == Op::Size && extent->name == size) return static_cast<int>(i);
  }
  return -1;
}

std::vector<int> parallel_sizes(const KernelSpec &spec) {
  std::vector<std::pair<int, int>> ranked;
  for (size_t i = 0; i < spec.sizes.size(); ++i) {
    bool divides_all = true;
    for (const Definition &definition : spec.definitions)
      if (spec.find(definition.tensor)->role == Role::Out && index_over_size(definition, spec.sizes[i]) < 0)
        divides_all = false;
    if (divides_all) ranked.emplace_back(rank(spec, spec.sizes[i]), static_cast<int>(i));
  }
  std::sort(ranked.begin(), ranked.end());
  std::vector<int> sizes;
  for (const auto &[penalty, index] : ranked) {
    // Where one size repeats nothing, those that would are not worth a candidate: attention cut along the head would
    // take the softmax again for every element.
    if (penalty >= kRepeatedWork && ranked.front().first < kRepeatedWork) continue;
    sizes.push_back(index);
  }
  return sizes;
}

}  // namespace bittern::schedules
