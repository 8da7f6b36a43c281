// The space of schedules for a kernel: which templates apply on a target, the values their parameters may take, and
// why a point is illegal. The tuner enumerates it without knowing what any parameter means.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "compiler/ir.h"
#include "schedules/schedule.h"
#include "schedules/target.h"

namespace bittern::schedules {

struct Point {
  Schedule schedule;
  double prior = 0;     // heuristic cost, predicted time relative to the roof's; lower is tried first
  std::string illegal;  // reason, empty when the point is legal
};

// Every point of every template that applies to (spec, sizes, target), legal or not, best prior first.
// `layouts` restricts ternary kernels to those layouts when not empty. `sizes` fixes every size parameter.
std::vector<Point> enumerate(const compiler::KernelSpec &spec, const compiler::Sizes &sizes, const Target &target,
                             const std::vector<std::string> &layouts = {});

// A schedule that is good without tuning for M in [m_min, m_max], whatever the other sizes. Those built in are in
// every program; the others go into a tuned pack beside the kernels of their layout, so that no M is without a kernel.
struct Default {
  Schedule schedule;
  int64_t m_min, m_max;
  bool built_in = true;
};
std::vector<Default> defaults(const compiler::KernelSpec &spec, const Target &target);

// Checks a schedule against the spec: known template, parameter domains, layout, accumulator bounds proven.
// Returns the reason it is illegal, or nothing.
std::optional<std::string> illegal(const compiler::KernelSpec &spec, const compiler::Sizes &sizes,
                                   const Schedule &schedule, const Target &target);

// The schedule with every parameter of its template: what it does not name means the template's fallback. Throws Error
// for templates, parameters and values that do not exist.
Schedule complete(const compiler::KernelSpec &spec, const Schedule &schedule, const Target &target);

// The accumulator bounds alone: why integer sums of the schedule could overflow at these sizes, or nothing.
std::optional<std::string> sums_overflow(const compiler::KernelSpec &spec, const compiler::Sizes &sizes,
                                         const Schedule &schedule, const Target &target);

// Vector instructions a weight that the schedule's inner loop takes for all tokens, by the template's own count; 0
// where it has none.
double operations(const compiler::KernelSpec &spec, const compiler::Sizes &sizes, const Schedule &schedule,
                  const Target &target);

}  // namespace bittern::schedules
