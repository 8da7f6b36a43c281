// The shared part of a kernel's descriptor.
#include "codegen/descriptor.h"

#include <fmt/format.h>

#include <algorithm>

#include "compiler/printer.h"

namespace bittern::codegen {

Descriptor describe(const Request &request) {
  Descriptor descriptor;
  descriptor.symbol = request.symbol;
  descriptor.spec = request.spec.name;
  descriptor.spec_hash = compiler::spec_hash(request.spec);
  descriptor.schedule = schedules::print_schedule(request.schedule);
  descriptor.backend = request.schedule.backend;
  descriptor.target = request.target.name;
  descriptor.layout = request.schedule.layout;
  descriptor.isa_needs = request.target.isa_needs;
  if (request.meanings_on) {
    descriptor.from_meanings = true;
    descriptor.target += fmt::format(" by its instructions' meanings on {}", request.meanings_on->name);
    descriptor.isa_needs = request.meanings_on->isa_needs;
  }
  std::fill(std::begin(descriptor.fixed), std::end(descriptor.fixed), -1);
  for (size_t i = 0; i < request.spec.sizes.size() && i < BT_MAX_SIZES; ++i) {
    const auto fixed = request.fixed.find(request.spec.sizes[i]);
    if (fixed != request.fixed.end()) descriptor.fixed[i] = fixed->second;
  }
  descriptor.m_min = request.m_min;
  descriptor.m_max = request.m_max;
  descriptor.size_count = static_cast<int32_t>(request.spec.sizes.size());
  descriptor.tensor_count = static_cast<int32_t>(request.spec.arguments().size());
  descriptor.scalar_count = static_cast<int32_t>(request.spec.scalars.size());
  return descriptor;
}

}  // namespace bittern::codegen
