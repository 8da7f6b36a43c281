// Facts and figures come from the tables that the tuner goes by; nothing is worked out here.
#include "tuning_db/commands/lower_plan.h"

#include <fmt/format.h>

#include "compiler/printer.h"
#include "compiler/token_size.h"
#include "schedules/contraction_plan.h"
#include "schedules/layout.h"
#include "schedules/space.h"
#include "schedules/template.h"
#include "tuning_db/proof/cost.h"
#include "tuning_db/proof/problem.h"

namespace bittern::tuning {
namespace {

std::string sizes_text(const LoweredKernel &kernel) {
  std::string text;
  for (const std::string &name : kernel.spec.sizes)
    text += fmt::format("{}{}={}", text.empty() ? "" : ", ", name, kernel.sizes.at(name));
  return text;
}

std::string tokens_text(const compiler::KernelSpec &spec) {
  const std::string size = compiler::token_size(spec);
  return fmt::format("{}{}", size.empty() ? "no size counts tokens" : size + " counts tokens",
                     spec.tokens ? ", as the text declares" : ", by the shapes");
}

// The template's parameters with the schedule's values and what they mean, its cost and its count of operations.
std::string template_text(const LoweredKernel &kernel) {
  std::string text;
  for (const schedules::Template &row : schedules::templates()) {
    if (row.backend != kernel.schedule.backend || row.name != kernel.schedule.template_name) continue;
    text += fmt::format("template   {}\n", row.summary);
    for (const schedules::Param &param : row.params(kernel.spec, *kernel.target))
      text += fmt::format("           {}={}{}: {}\n", param.name, kernel.schedule.get(param.name, param.fallback),
                          kernel.schedule.params.count(param.name) ? "" : " (not named)", param.meaning);
    text += fmt::format("predicted  {:.3f} of the roof's time, lower is tried first\n",
                        row.prior(kernel.spec, kernel.sizes, kernel.schedule, *kernel.target));
  }
  const double operations = schedules::operations(kernel.spec, kernel.sizes, kernel.schedule, *kernel.target);
  if (operations > 0)
    text += fmt::format("           {:.4f} vector operations per weight for all tokens\n", operations);
  return text;
}

std::string layout_text(const std::string &name) {
  if (name.empty()) return "layout     none: no operand is ternary\n";
  const schedules::Layout &layout = schedules::find_layout(name);
  return fmt::format("layout     {}: {:.2f} bits per weight, units of {} bytes, tiles of {} rows by {} columns\n", name,
                     layout.bits_per_weight(), layout.unit_bytes, layout.row_tile, layout.k_tile);
}

std::string code_text(const LoweredKernel &kernel, const codegen::Descriptor &d) {
  const auto tiled = static_cast<size_t>(d.tile_size_index);
  std::string text = fmt::format("tiles      of {} along {}\n", d.tile, kernel.spec.sizes.at(tiled));
  std::string scratch = fmt::format("{}", d.scratch_base);
  for (size_t i = 0; i < kernel.spec.sizes.size(); ++i)
    if (d.scratch_per[i] != 0) scratch += fmt::format(" + {} * {}", d.scratch_per[i], kernel.spec.sizes[i]);
  text += fmt::format("scratch    {} bytes a call\n", scratch);
  if (d.instructions > 0) text += fmt::format("hot loop   {:.4f} instructions per product\n", d.instructions);
  return text;
}

std::string contractions_text(const compiler::KernelSpec &spec) {
  std::string why;
  const auto plan = schedules::plan_contractions(spec, &why);
  if (!plan) return fmt::format("products   no plan of ternary sums: {}\n", why);
  std::string text =
      fmt::format("products   over {}{}{}{}\n", plan->n, plan->m.empty() ? "" : " and " + plan->m,
                  plan->grouped ? ", sums of groups" : "", plan->gathered ? ", rows picked one by one" : "");
  for (size_t i = 0; i < plan->sums.size(); ++i) {
    const schedules::Contraction &sum = plan->sums[i];
    text +=
        fmt::format("           S{} = {}; {}\n", i, compiler::print_expr(sum.sum),
                    sum.activation_sum ? "what codes 0 .. 2 add too much is " + compiler::print_expr(sum.activation_sum)
                                       : std::string("no given holds its activations' sum"));
  }
  for (const schedules::PlannedOutput &output : plan->outputs)
    text += fmt::format("           {} = {}\n", output.tensor, compiler::print_expr(output.value));
  return text;
}

}  // namespace

std::string plan_text(const LoweredKernel &kernel, const codegen::Descriptor &descriptor) {
  std::string text =
      fmt::format("kernel     {}, {}; {}\n", kernel.spec.name, sizes_text(kernel), tokens_text(kernel.spec));
  text += fmt::format("hash       {}\n", compiler::spec_hash(kernel.spec));
  text += fmt::format("target     {}: vectors of {} bytes, {} registers\n", kernel.target->name,
                      kernel.target->vector_bytes, kernel.target->vector_registers);
  text += fmt::format("schedule   {}{}\n", schedules::print_schedule(kernel.schedule),
                      kernel.chosen_by_default ? ", the default" : "");
  text += fmt::format("legality   {}\n",
                      kernel.illegal.empty() ? "legal" : "a default that the tuner does not try: " + kernel.illegal);
  text += template_text(kernel) + layout_text(kernel.schedule.layout);
  text += fmt::format("work       {:.0f} multiply-adds, {:.0f} bytes touched\n",
                      multiply_adds(kernel.spec, kernel.sizes), touched_bytes(kernel.spec, kernel.sizes));
  return text + code_text(kernel, descriptor) + contractions_text(kernel.spec);
}

}  // namespace bittern::tuning
