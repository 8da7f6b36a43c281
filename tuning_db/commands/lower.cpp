// What a stage shows comes from whoever does its work: the printer, the planners, the backends' listings.
#include "tuning_db/commands/lower.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "codegen/backend.h"
#include "compiler/error.h"
#include "compiler/library.h"
#include "compiler/parser.h"
#include "compiler/printer.h"
#include "compiler/token_size.h"
#include "compiler/verifier.h"
#include "runtime/io/shapes.h"
#include "runtime/machine/machine.h"
#include "schedules/space.h"
#include "tuning_db/commands/commands.h"
#include "tuning_db/commands/lower_plan.h"
#include "tuning_db/proof/dims.h"
#include "tuning_db/proof/problem.h"

namespace bittern::tuning {
namespace {

struct LowerStage {
  const char *name, *title;
};
constexpr LowerStage kStages[] = {{"spec", "the kernel's canonical text"},
                                  {"plan", "what is computed how"},
                                  {"halide", "Halide's lowered statement"},
                                  {"ir", "LLVM IR"},
                                  {"asm", "assembly"}};

compiler::KernelSpec read_spec(const LowerCommand &command, compiler::Sizes &sizes) {
  if (!command.dims.empty()) sizes = parse_dims(command.dims);
  if (!command.kernel_file.empty())
    return compiler::parse_kernel(read_kernel_text(command.kernel_file), command.kernel_file);
  const std::vector<runtime::Shape> shapes = runtime::parse_shapes(command.shape, "--shapes");
  if (shapes.size() != 1) throw Error(fmt::format("lower takes one shape, not '{}'", command.shape));
  const compiler::KernelSpec &spec = compiler::builtin_kernel("w2a8_matmul");
  sizes[spec.sizes[1]] = shapes.front().n;
  sizes[spec.sizes[2]] = shapes.front().k;
  return spec;
}

bool is_default(const LoweredKernel &kernel, const schedules::Schedule &schedule) {
  const auto all = schedules::defaults(kernel.spec, *kernel.target);
  return std::any_of(all.begin(), all.end(), [&](const schedules::Default &d) { return d.schedule == schedule; });
}

// The first default for this number of tokens: its layout is the one that an untuned machine stores weights in.
schedules::Schedule default_schedule(const LoweredKernel &kernel) {
  for (const schedules::Default &d : schedules::defaults(kernel.spec, *kernel.target))
    if (d.m_min <= kernel.tokens && kernel.tokens <= d.m_max) return d.schedule;
  throw Error(fmt::format("kernel {} has no default schedule for {}: give one with --schedule", kernel.spec.name,
                          kernel.target->name));
}

LoweredKernel choose(const LowerCommand &command) {
  LoweredKernel kernel;
  kernel.spec = read_spec(command, kernel.sizes);
  const std::string tokens = compiler::token_size(kernel.spec);
  if (!tokens.empty()) {
    kernel.sizes.emplace(tokens, 1);
    kernel.tokens = kernel.sizes.at(tokens);
  }
  compiler::check_sizes(kernel.spec, kernel.sizes);
  kernel.target = command.target.empty() ? &schedules::host_target(runtime::machine_isa())
                                         : &schedules::find_target(command.target);
  kernel.chosen_by_default = command.schedule.empty();
  kernel.schedule = kernel.chosen_by_default ? default_schedule(kernel) : schedules::parse_schedule(command.schedule);
  if (const auto reason = schedules::illegal(kernel.spec, kernel.sizes, kernel.schedule, *kernel.target)) {
    kernel.illegal = *reason;
    // Defaults may have values that the tuner does not try.
    if (!is_default(kernel, kernel.schedule))
      throw Error(fmt::format("schedule {} is illegal for kernel {} on {}: {}",
                              schedules::print_schedule(kernel.schedule), kernel.spec.name, kernel.target->name,
                              *reason));
  }
  return kernel;
}

codegen::Compiled compile(const LoweredKernel &kernel) {
  codegen::Request request{kernel.spec, kernel.schedule, *kernel.target, kernel.sizes, 1, INT64_MAX, kernel.spec.name};
  request.fixed.erase(compiler::token_size(kernel.spec));  // as tuned kernels have it
  request.want_listings = true;
  return codegen::compile(request);
}

// All that the stage has to show; empty when the schedule's backend has no such stage.
std::string text_of(const LowerStage &stage, const LoweredKernel &kernel, const codegen::Compiled &compiled) {
  const std::string name = stage.name;
  std::string text;
  if (name == "spec") text = compiler::print_kernel(kernel.spec);
  if (name == "plan") text = plan_text(kernel, compiled.descriptor);
  for (const codegen::Listing &listing : compiled.listings)
    if (listing.stage == name) text += fmt::format("{}{}\n{}", text.empty() ? "" : "\n", listing.title, listing.text);
  return text;
}

void put(const std::string &text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) throw Error("cannot write to standard output");
}

}  // namespace

std::vector<std::string> lower_stages() {
  std::vector<std::string> names;
  for (const LowerStage &stage : kStages) names.emplace_back(stage.name);
  return names;
}

int run_lower(const LowerCommand &command) {
  const LoweredKernel kernel = choose(command);
  // The text needs no schedule, so it is shown of kernels that cannot be compiled, too.
  const codegen::Compiled compiled = command.emit == "spec" ? codegen::Compiled{} : compile(kernel);
  bool shown = false;
  for (const LowerStage &stage : kStages) {
    if (!command.emit.empty() && command.emit != stage.name) continue;
    const std::string text = text_of(stage, kernel, compiled);
    if (text.empty()) continue;
    if (command.emit.empty()) put(fmt::format("{}======== {}: {}\n", shown ? "\n" : "", stage.name, stage.title));
    put(text + (text.back() == '\n' ? "" : "\n"));
    shown = true;
  }
  if (!shown)
    throw Error(fmt::format("schedule {} is backend {}'s, which has no stage {}",
                            schedules::print_schedule(kernel.schedule), kernel.schedule.backend, command.emit));
  if (std::fflush(stdout) != 0) throw Error("cannot write to standard output");
  return 0;
}

}  // namespace bittern::tuning
