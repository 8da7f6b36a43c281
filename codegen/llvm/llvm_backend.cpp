// Request to object code by LLVM IR: builds the kernel's function, lets the template's emitter fill it, optimises and
// emits it.
#include "codegen/llvm/llvm_backend.h"

#include <fmt/format.h>
#include <llvm/IR/LLVMContext.h>
#include <llvm/Target/TargetMachine.h>
#include <llvm/Transforms/Utils/Cloning.h>

#include "codegen/descriptor.h"
#include "codegen/llvm/hot_loop.h"
#include "codegen/llvm/object.h"
#include "codegen/llvm/templates.h"
#include "codegen/loop_plan.h"
#include "compiler/error.h"

namespace bittern::codegen {
namespace {

const TemplateEmitter &find_emitter(const std::string &name) {
  std::string known;
  for (const TemplateEmitter &row : template_emitters()) {
    if (name == row.name) return row;
    known += (known.empty() ? "" : ", ") + std::string(row.name);
  }
  throw Error(fmt::format("backend llvm has no template \"{}\"; known: {}", name, known));
}

class LlvmBackend final : public Backend {
 public:
  const char *name() const override { return "llvm"; }

  Compiled compile(const Request &request) const override {
    const TemplateEmitter &emitter = find_emitter(request.schedule.template_name);
    Compiled compiled;
    compiled.descriptor = describe(request);
    llvm::LLVMContext context;
    const std::unique_ptr<llvm::TargetMachine> machine =
        target_machine(request.meanings_on ? *request.meanings_on : request.target);
    const std::unique_ptr<llvm::Module> module = make_module(context, request.symbol, *machine);
    KernelBuilder builder(request, *module, compiled.descriptor);
    emitter.emit(builder);
    builder.b.CreateRetVoid();
    const auto list = [&](const char *stage, const std::string &title, const std::string &text) {
      if (request.want_listings) compiled.listings.push_back({stage, title, text});
    };
    if (request.schedule.template_name == "loops" && request.want_listings)
      list("plan", "loops", print_loop_plan(plan_loops(request.spec, request.fixed, request.schedule), request.spec));
    if (request.want_listings) list("ir", "; LLVM IR as generated, before its passes", print_module(*module));
    optimize(*module, *machine, builder.passes);
    if (request.want_listings) list("ir", "; LLVM IR after its passes", print_module(*module));
    if (request.want_assembly || request.want_listings)
      compiled.assembly = emit_assembly(*llvm::CloneModule(*module), *machine);
    list("asm", "# assembly for " + request.target.name, compiled.assembly);
    compiled.objects.push_back(emit_object(*module, *machine));
    check_undefined(compiled.objects.back(), {});
    if (builder.hot_products > 0 && !request.meanings_on)
      compiled.descriptor.instructions = hot_loop(compiled.objects.back(), request.symbol, *machine).instructions /
                                         static_cast<double>(builder.hot_products);
    return compiled;
  }
};

}  // namespace

const Backend &llvm_backend() {
  static const LlvmBackend backend;
  return backend;
}

}  // namespace bittern::codegen
