// The Halide backend: a kernel's definitions become Halide Funcs, its schedule their loops, and a small generated thunk
// gives the result Bittern's C ABI.
#include "codegen/halide/halide_backend.h"

#include <fmt/format.h>

#include <algorithm>

#include "codegen/descriptor.h"
#include "codegen/halide/halide_target.h"
#include "codegen/halide/object_file.h"
#include "codegen/halide/pipeline.h"
#include "codegen/halide/structure.h"
#include "codegen/halide/thunk.h"
#include "compiler/error.h"
#include "schedules/template.h"

namespace bittern::codegen {
namespace {

constexpr int64_t kOneTile = int64_t{1} << 40;  // larger than any size

// How many values of the parallel index a tile has. Rows of weights and long rows are cut coarsely enough that a tile
// is worth a thread's while; heads and tokens one by one.
int64_t tile_of(const Request &request, const halide::Structure &structure) {
  if (structure.parallel < 0) return kOneTile;
  if (structure.prefix > 0) return 1;
  bool innermost = false;
  for (const compiler::Definition *definition : structure.definitions)
    if (request.spec.find(definition->tensor)->role == compiler::Role::Out)
      innermost = structure.parallel + 1 == static_cast<int>(definition->vars.size());
  if (!innermost) return 1;
  return request.schedule.template_name == "gemm" ? request.schedule.get("nb", 1) : 64;
}

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

// The schedule with every parameter of its template: what it does not name means the template's fallback. Throws Error
// for templates, parameters and values that do not exist.
schedules::Schedule complete(const Request &request) {
  schedules::Schedule schedule = request.schedule;
  for (const schedules::Template &row : schedules::templates()) {
    if (row.backend != schedule.backend || row.name != schedule.template_name) continue;
    const std::vector<schedules::Param> params = row.params(request.spec, request.target);
    for (const auto &[name, value] : schedule.params) {
      const auto param = std::find_if(params.begin(), params.end(), [&](const auto &p) { return p.name == name; });
      if (param == params.end()) throw Error(fmt::format("halide.{} has no parameter {} here", row.name, name));
      if (std::find(param->values.begin(), param->values.end(), value) == param->values.end())
        throw Error(fmt::format("halide.{}: {}={} is not one of its values", row.name, name, value));
    }
    for (const schedules::Param &param : params) schedule.params.emplace(param.name, param.fallback);
    return schedule;
  }
  throw Error(fmt::format("the Halide backend has no template {}", schedule.template_name));
}

class HalideBackend final : public Backend {
 public:
  const char *name() const override { return "halide"; }

  Compiled compile(const Request &asked) const override {
    const schedules::Schedule schedule = complete(asked);
    // Halide has no instructions of ours to give meanings to: the same schedule, in code for the machine that runs it.
    const schedules::Target &target = asked.meanings_on ? *asked.meanings_on : asked.target;
    Request request{asked.spec,  schedule,    target,       asked.fixed,
                    asked.m_min, asked.m_max, asked.symbol, asked.want_assembly || asked.want_listings};
    request.want_listings = asked.want_listings;
    if (halide::halide_target(request.target).empty())
      throw Error(fmt::format("Halide cannot compile for target {}", request.target.name));
    const halide::Structure structure = halide::analyse(request.spec, request.schedule.template_name != "loops");
    Compiled compiled;
    Descriptor &descriptor = compiled.descriptor;
    descriptor = describe(asked);
    descriptor.tile_size_index = structure.tile_size_index;
    descriptor.tile = tile_of(request, structure);
    const std::string function = request.symbol + "_halide";
    halide::HalideCode code = halide::lower(request, structure, descriptor.tile, function);
    bool allocates = false;
    seal(code.object, request.symbol, function, allocates);
    if (allocates) {
      if (code.scratch.base == 0) throw Error("Halide allocates memory that was not foreseen");
      descriptor.scratch_base = code.scratch.base;
      std::copy(code.scratch.per.begin(), code.scratch.per.end(), descriptor.scratch_per);
    }
    const halide::ThunkCode thunk = halide::make_thunk(request, structure, descriptor, function, allocates);
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
