// Walks the template table: every combination of parameter values, checked and ranked. Knows no template by name.
#include "schedules/space.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "compiler/error.h"
#include "schedules/template.h"

namespace bittern::schedules {
namespace {

const Template *find_template(const Schedule &schedule) {
  for (const Template &row : templates())
    if (row.backend == schedule.backend && row.name == schedule.template_name) return &row;
  return nullptr;
}

// Every combination of the parameters' values.
std::vector<std::map<std::string, int64_t>> combinations(const std::vector<Param> &params) {
  std::vector<std::map<std::string, int64_t>> all = {{}};
  for (const Param &param : params) {
    std::vector<std::map<std::string, int64_t>> next;
    next.reserve(all.size() * param.values.size());
    for (const auto &partial : all) {
      for (const int64_t value : param.values) {
        next.push_back(partial);
        next.back()[param.name] = value;
      }
    }
    all = std::move(next);
  }
  return all;
}

bool contains(const std::vector<std::string> &names, const std::string &name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// What a template says against a point whose layout and parameters it knows.
std::optional<std::string> refusal(const Template &row, const compiler::KernelSpec &spec, const compiler::Sizes &sizes,
                                   const Schedule &schedule, const Target &target) {
  if (auto reason = row.illegal(spec, sizes, schedule, target)) return reason;
  return row.overflow ? row.overflow(spec, sizes, schedule, target) : std::nullopt;
}

// A parameter that the template does not have here, or a value that is none of its.
std::optional<std::string> unknown_parameter(const Template &row, const std::vector<Param> &params,
                                             const Schedule &schedule) {
  for (const auto &[name, value] : schedule.params) {
    const auto param = std::find_if(params.begin(), params.end(), [&](const Param &p) { return p.name == name; });
    if (param == params.end()) return fmt::format("{}.{} has no parameter {}", row.backend, row.name, name);
    if (std::find(param->values.begin(), param->values.end(), value) == param->values.end())
      return fmt::format("{}={} is not one of {}", name, value, fmt::join(param->values, ", "));
  }
  return std::nullopt;
}

}  // namespace

const std::vector<Template> &templates() {
  static const std::vector<Template> table = [] {
    std::vector<Template> all;
    for (const auto &source :
         {llvm_contraction_templates, llvm_lut_templates, llvm_loops_templates, halide_templates}) {
      std::vector<Template> rows = source();
      std::move(rows.begin(), rows.end(), std::back_inserter(all));
    }
    return all;
  }();
  return table;
}

std::vector<Point> enumerate(const compiler::KernelSpec &spec, const compiler::Sizes &sizes, const Target &target,
                             const std::vector<std::string> &layouts) {
  std::vector<Point> points;
  for (const Template &row : templates()) {
    if (!row.applies(spec, target)) continue;
    std::vector<std::string> readable = row.layouts(spec, target);
    if (readable.empty()) {
      readable.push_back("");
    } else if (!layouts.empty()) {
      std::erase_if(readable, [&](const std::string &name) { return !contains(layouts, name); });
    }
    const auto parameter_sets = combinations(row.params(spec, target));
    for (const std::string &layout : readable) {
      for (const auto &parameters : parameter_sets) {
        Point point{{row.backend, row.name, parameters, layout}, 0, ""};
        point.illegal = refusal(row, spec, sizes, point.schedule, target).value_or("");
        point.prior = row.prior(spec, sizes, point.schedule, target);
        points.push_back(std::move(point));
      }
    }
  }
  std::stable_sort(points.begin(), points.end(), [](const Point &a, const Point &b) { return a.prior < b.prior; });
  return points;
}

std::vector<Default> defaults(const compiler::KernelSpec &spec, const Target &target) {
  std::vector<Default> all;
  for (const Template &row : templates()) {
    if (!row.applies(spec, target)) continue;
    std::vector<Default> rows = row.defaults(spec, target);
    std::move(rows.begin(), rows.end(), std::back_inserter(all));
  }
  return all;
}

std::optional<std::string> illegal(const compiler::KernelSpec &spec, const compiler::Sizes &sizes,
                                   const Schedule &schedule, const Target &target) {
  const Template *row = find_template(schedule);
  if (!row) return fmt::format("no template {}.{}", schedule.backend, schedule.template_name);
  if (!row->applies(spec, target))
    return fmt::format("{}.{} does not apply to kernel {} on {}", row->backend, row->name, spec.name, target.name);
  const std::vector<std::string> readable = row->layouts(spec, target);
  if (readable.empty() ? !schedule.layout.empty() : !contains(readable, schedule.layout))
    return fmt::format("{}.{} cannot use layout \"{}\" here; it can use: {}", row->backend, row->name, schedule.layout,
                       readable.empty() ? "none" : fmt::format("{}", fmt::join(readable, ", ")));
  if (auto reason = unknown_parameter(*row, row->params(spec, target), schedule)) return reason;
  return refusal(*row, spec, sizes, schedule, target);
}

Schedule complete(const compiler::KernelSpec &spec, const Schedule &schedule, const Target &target) {
  const Template *row = find_template(schedule);
  if (!row) throw Error(fmt::format("no template {}.{}", schedule.backend, schedule.template_name));
  const std::vector<Param> params = row->params(spec, target);
  if (const auto reason = unknown_parameter(*row, params, schedule))
    throw Error(fmt::format("{}.{}: {}", row->backend, row->name, *reason));
  Schedule all = schedule;
  for (const Param &param : params) all.params.emplace(param.name, param.fallback);
  return all;
}

std::optional<std::string> sums_overflow(const compiler::KernelSpec &spec, const compiler::Sizes &sizes,
                                         const Schedule &schedule, const Target &target) {
  const Template *row = find_template(schedule);
  return row && row->overflow ? row->overflow(spec, sizes, schedule, target) : std::nullopt;
}

double operations(const compiler::KernelSpec &spec, const compiler::Sizes &sizes, const Schedule &schedule,
                  const Target &target) {
  const Template *row = find_template(schedule);
  return row && row->operations ? row->operations(spec, sizes, schedule, target) : 0;
}

}  // namespace bittern::schedules
