// What every contraction template does before its loops: its plan, its parameters, memory for its sums.
#include <fmt/format.h>

#include <algorithm>

#include "codegen/llvm/contraction.h"
#include "compiler/error.h"

namespace bittern::codegen {

using llvm::Value;

namespace {

std::string template_of(KernelBuilder &kb) { return fmt::format("llvm.{}", kb.request.schedule.template_name); }

}  // namespace

schedules::ContractionPlan contraction_plan(KernelBuilder &kb) {
  std::string why;
  auto plan = schedules::plan_contractions(kb.spec, &why);
  if (!plan) throw Error(fmt::format("{} cannot lower kernel {}: {}", template_of(kb), kb.spec.name, why));
  return std::move(*plan);
}

int64_t schedule_parameter(KernelBuilder &kb, const std::string &name) {
  const auto found = kb.request.schedule.params.find(name);
  if (found == kb.request.schedule.params.end())
    throw Error(fmt::format("{}: parameter {} is missing", template_of(kb), name));
  return found->second;
}

int size_index(KernelBuilder &kb, const compiler::ExprPtr &size) {
  const auto found = std::find(kb.spec.sizes.begin(), kb.spec.sizes.end(), size->name);
  return static_cast<int>(found - kb.spec.sizes.begin());
}

Value *take_sums(KernelBuilder &kb, const schedules::Contraction &c, int64_t elements) {
  if (!c.group) return kb.local_array(kb.b.getInt32Ty(), static_cast<uint64_t>(elements));
  // Groups are at least 64 long, so depth / 64 bounds their number.
  return take_scratch(kb, 0, {{size_index(kb, c.depth), elements * 4 / 64}});
}

}  // namespace bittern::codegen
