// A schedule template: which kernels it applies to, its parameters with their legal values, why a combination is
// illegal, what it should cost, and the defaults of untuned machines. One row a template; space.cpp walks the table.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "compiler/ir.h"
#include "schedules/schedule.h"
#include "schedules/space.h"
#include "schedules/target.h"

namespace bittern::schedules {

struct Param {
  std::string name;
  std::vector<int64_t> values;  // every legal value
  int64_t fallback;             // what a schedule that does not name it means
  std::string meaning;          // one line, shown by --help and docs
};

struct Template {
  std::string backend, name;  // printed as backend.name
  std::string summary;
  // Whether the template can lower this kernel for this target at all (reads the IR, never the kernel's name).
  std::function<bool(const compiler::KernelSpec &, const Target &)> applies;
  std::function<std::vector<Param>(const compiler::KernelSpec &, const Target &)> params;
  // Names of the weight layouts it can read; empty for kernels without ternary inputs.
  std::function<std::vector<std::string>(const compiler::KernelSpec &, const Target &)> layouts;
  // Reason the schedule is illegal for these sizes, or nothing; what `overflow` says is another. `sizes` may be empty:
  // then only what holds for every size is checked.
  std::function<std::optional<std::string>(const compiler::KernelSpec &, const compiler::Sizes &, const Schedule &,
                                           const Target &)>
      illegal;
  // Heuristic cost, lower is tried first; comparable between templates of one kernel.
  std::function<double(const compiler::KernelSpec &, const compiler::Sizes &, const Schedule &, const Target &)> prior;
  // What untuned machines use; empty when another template's defaults are better.
  std::function<std::vector<Default>(const compiler::KernelSpec &, const Target &)> defaults;
  // Vector instructions of the inner loops, a weight and all tokens; left out where nobody has counted.
  std::function<double(const compiler::KernelSpec &, const compiler::Sizes &, const Schedule &, const Target &)>
      operations = {};
  // Why integer sums of the schedule could overflow, or nothing. Legality asks, and code generation once more; left out
  // where sums are as wide as the kernel text says.
  std::function<std::optional<std::string>(const compiler::KernelSpec &, const compiler::Sizes &, const Schedule &,
                                           const Target &)>
      overflow = {};
};

// The registry: rows come from templates_llvm_contraction.cpp, templates_llvm_lut.cpp, templates_llvm_loops.cpp,
// templates_halide.cpp.
const std::vector<Template> &templates();

std::vector<Template> llvm_contraction_templates();
std::vector<Template> llvm_lut_templates();
std::vector<Template> llvm_loops_templates();
std::vector<Template> halide_templates();

}  // namespace bittern::schedules
