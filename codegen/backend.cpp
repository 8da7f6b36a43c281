// The registry of code generators: one row a backend.
#include "codegen/backend.h"

#include <fmt/format.h>

#include "codegen/halide/halide_backend.h"
#include "codegen/llvm/llvm_backend.h"
#include "compiler/bounds.h"
#include "compiler/error.h"
#include "compiler/source.h"
#include "schedules/space.h"

namespace bittern::codegen {

const std::vector<const Backend *> &backends() {
  static const std::vector<const Backend *> table = {&llvm_backend(), &halide_backend()};
  return table;
}

const Backend &find_backend(const std::string &name) {
  std::string known;
  for (const Backend *backend : backends()) {
    if (name == backend->name()) return *backend;
    known += (known.empty() ? "" : ", ") + std::string(backend->name());
  }
  throw Error(fmt::format("unknown backend \"{}\"; known: {}", name, known));
}

std::optional<std::string> sums_overflow(const Request &request) {
  if (request.unchecked) return std::nullopt;
  auto overflow = schedules::sums_overflow(request.spec, request.fixed, request.schedule, request.target);
  if (overflow)
    *overflow = fmt::format("{}.{}: {}", request.schedule.backend, request.schedule.template_name, *overflow);
  return overflow;
}

Compiled compile(const Request &request) {
  const Backend &backend = find_backend(request.schedule.backend);
  if (const auto fault = compiler::value_fault(request.spec, request.fixed); fault && !request.unchecked)
    compiler::fail_at({request.spec.name, {}}, fault->at, fault->text);
  // What legality has promised, held once more to the code that is about to be made.
  if (const auto overflow = sums_overflow(request)) throw Error(*overflow);
  return backend.compile(request);
}

}  // namespace bittern::codegen
