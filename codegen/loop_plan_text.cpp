// A plan of loops as text, for people who want to see what llvm.loops does with a kernel.
#include <fmt/format.h>

#include "codegen/loop_plan.h"
#include "compiler/printer.h"

namespace bittern::codegen {
namespace {

class PlanText {
 public:
  explicit PlanText(const LoopPlan &plan) : plan_(plan) {}

  std::string text(const compiler::KernelSpec &spec) {
    for (const Node &node : plan_.nest) print(node, 1);
    for (const auto &stage : plan_.stages) {
      const auto kept = plan_.buffers.find(stage.tensor->name);
      if (kept == plan_.buffers.end()) continue;
      text_ += fmt::format("  {} is kept in scratch memory, {} elements\n", stage.tensor->name,
                           linear(kept->second.elements));
    }
    for (const compiler::Definition &definition : spec.definitions)
      if (!computed(definition.tensor)) text_ += fmt::format("  {}\n", without_loops(spec, definition.tensor));
    return text_;
  }

 private:
  static std::string linear(const Linear &form) {
    std::string text = form.constant != 0 || form.sizes.empty() ? fmt::format("{}", form.constant) : "";
    for (const auto &[size, coefficient] : form.sizes)
      text += fmt::format("{}{} * {}", text.empty() ? "" : " + ", coefficient, size);
    return text;
  }

  bool computed(const std::string &tensor) const {
    for (const Stage &stage : plan_.stages)
      if (stage.tensor->name == tensor) return true;
    return false;
  }

  static std::string without_loops(const compiler::KernelSpec &spec, const std::string &tensor) {
    const bool given = spec.find(tensor)->role == compiler::Role::Given;
    return tensor + (given ? " is given and read" : " is computed where it is read");
  }

  void line(int depth, const std::string &what) {
    text_ += std::string(static_cast<size_t>(2 * depth), ' ') + what + "\n";
  }

  void loop(int depth, const compiler::IndexVar &var, bool tiled) {
    line(depth,
         fmt::format("for {} below {}{}", var.name, compiler::print_expr(var.extent), tiled ? ", of the tile" : ""));
  }

  void print(const Node &node, int depth) {
    if (!node.stage) {
      loop(depth, node.var, node.tiled);
      for (const Node &child : node.children) print(child, depth + 1);
      return;
    }
    const Stage &stage = plan_.stages[*node.stage];
    for (size_t i = stage.shared; i < stage.order.size(); ++i)
      loop(depth++, stage.vars[stage.order[i]], static_cast<int>(stage.order[i]) == stage.tiled);
    std::string indices;
    for (const compiler::IndexVar &var : stage.vars) indices += (indices.empty() ? "" : ", ") + var.name;
    line(depth, fmt::format("{}[{}] = {}", stage.tensor->name, indices, compiler::print_expr(stage.value)));
  }

  const LoopPlan &plan_;
  std::string text_;
};

}  // namespace

std::string print_loop_plan(const LoopPlan &plan, const compiler::KernelSpec &spec) {
  return PlanText(plan).text(spec);
}

}  // namespace bittern::codegen
