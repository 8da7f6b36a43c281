// The Halide backend: a kernel's definitions become Halide Funcs, its schedule their loops, and a small generated thunk
// gives the result Bittern's C ABI.
#include "codegen/halide/halide_backend.h"

#include <fmt/format.h>

#include <algorithm>

#include "codegen/descriptor.h"
#include "codegen/halide/halide_target.h"
#include "codegen/halide/object_file.h"
#include "codegen/halide/pipeline.h"
#include "compiler/error.h"
#include "schedules/space.h"

namespace bittern::codegen {
namespace {

// Gives Halide's allocator this kernel's name and hides what is no business of other objects. Throws Error when the
// code needs anything that is not there where kernels run.
void seal(std::string &object, const std::string &symbol, const std::string &function, bool &allocates) {
  std::vector<std::pair<std::string, std::string>> rename;
  for (const std::string &name : halide::undefined_symbols(object)) {
    if (name == "halide_malloc" || name == "halide_free") {
      rename.emplace_back(name, symbol + name.substr(name.find('_')));
    } else if (name != "memcpy" && name != "memset" && name != "_GLOBAL_OFFSET_TABLE_") {
      throw Error(fmt::format("Halide's code calls {}, which is not there where kernels run", name));
    }
  }
  allocates = !rename.empty();
  object = halide::rewrite_symbols(object, rename, {function});
}

class HalideBackend final : public Backend {
 public:
  const char *name() const override { return "halide"; }

  Compiled compile(const Request &asked) const override {
    const schedules::Schedule schedule = schedules::complete(asked.spec, asked.schedule, asked.target);
    // Halide has no instructions of ours to give meanings to: the same schedule, in code for the machine that runs it.
    const schedules::Target &target = asked.meanings_on ? *asked.meanings_on : asked.target;
    Request request{asked.spec,  schedule,    target,       asked.fixed,
                    asked.m_min, asked.m_max, asked.symbol, asked.want_assembly || asked.want_listings};
    request.want_listings = asked.want_listings;
    if (halide::halide_target(target).empty())
      throw Error(fmt::format("Halide cannot compile for target {}", target.name));
    const halide::Plan plan = halide::make_plan(request);
    Compiled compiled;
    Descriptor &descriptor = compiled.descriptor;
    descriptor = describe(asked);
    descriptor.tile_size_index = std::max(plan.loops.parallel, 0);
    descriptor.tile = plan.tile;
    const std::string function = request.symbol + "_halide";
    halide::Code code = halide::lower(request, plan, function, descriptor);
    bool allocates = false;
    seal(code.object, request.symbol, function, allocates);
    if (allocates && descriptor.scratch_base == 0) throw Error("Halide allocates memory that was not foreseen");
    if (!allocates) {
      descriptor.scratch_base = 0;
      std::fill(std::begin(descriptor.scratch_per), std::end(descriptor.scratch_per), 0);
    }
    const halide::Code thunk = halide::make_thunk(request, plan, descriptor, function, allocates);
    compiled.objects = {std::move(code.object), thunk.object};
    compiled.assembly = code.assembly + thunk.assembly;
    if (request.want_listings)
      compiled.listings = {{"halide", "// the statement that Halide makes of the schedule", code.statement},
                           {"ir", "; LLVM IR of Halide's code after its passes", code.ir},
                           {"asm", "# assembly for " + target.name, compiled.assembly}};
    return compiled;
  }
};

}  // namespace

const Backend &halide_backend() {
  static const HalideBackend backend;
  return backend;
}

}  // namespace bittern::codegen
