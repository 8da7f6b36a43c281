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

Value *SumBlocks::place(size_t index, Value *row, Value *token, Value *group) {
  llvm::IRBuilder<> &b = kb_.b;
  Value *slot = group ? b.CreateAdd(b.CreateMul(group, kb_.i64(tokens_)), token) : token;
  return b.CreateGEP(b.getInt32Ty(), blocks_[index], b.CreateAdd(b.CreateMul(slot, kb_.i64(rows_)), row));
}

void SumBlocks::emit_outputs(ContractionEpilogue &epilogue, Value *first, Value *last, Value *m0, Value *count) {
  llvm::IRBuilder<> &b = kb_.b;
  kb_.loop(kb_.i64(0), count, 1, [&](Value *token) {
    epilogue.emit(first, last, b.CreateAdd(m0, token), token,
                  [&](size_t index, Value *n, Value *slot, Value *group, unsigned lanes) -> Value * {
                    llvm::Type *type = lanes == 1 ? b.getInt32Ty() : kb_.vector(b.getInt32Ty(), lanes);
                    return b.CreateAlignedLoad(type, place(index, b.CreateSub(n, first), slot, group), llvm::Align(4));
                  });
  });
}

TokenRows token_rows(KernelBuilder &kb, const ContractionEpilogue &epilogue, const schedules::Contraction &c, Value *m0,
                     int64_t count) {
  TokenRows rows;
  Value *last = kb.b.CreateSub(epilogue.tokens(), kb.i64(1));
  for (int64_t t = 0; t < count; ++t) {
    Value *m = count == 1 ? m0 : kb.minimum(kb.b.CreateAdd(m0, kb.i64(t)), last);
    rows.tokens.push_back(m);
    rows.activations.push_back(
        kb.address(c.activations, c.lead.empty() ? std::vector{kb.i64(0)} : std::vector{m, kb.i64(0)}));
  }
  return rows;
}

}  // namespace bittern::codegen
