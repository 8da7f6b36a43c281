// Concrete sizes against a kernel's requirements.
#include <fmt/format.h>

#include <algorithm>

#include "compiler/error.h"
#include "compiler/printer.h"
#include "compiler/verifier.h"

namespace bittern::compiler {

void check_sizes(const KernelSpec &spec, const Sizes &sizes) {
  constexpr int64_t kMaxElements = int64_t{1} << 40;
  for (const std::string &name : spec.sizes) {
    const auto found = sizes.find(name);
    if (found == sizes.end()) throw Error(fmt::format("kernel {}: size {} has no value", spec.name, name));
    if (found->second < 1 || found->second > INT32_MAX)
      throw Error(fmt::format("kernel {}: size {} is {}, outside 1 .. {}", spec.name, name, found->second, INT32_MAX));
  }
  for (const auto &[name, value] : sizes)
    if (std::find(spec.sizes.begin(), spec.sizes.end(), name) == spec.sizes.end())
      throw Error(fmt::format("kernel {} has no size {}", spec.name, name));
  for (const ExprPtr &condition : spec.requires_)
    if (!evaluate(condition, sizes))
      throw Error(
          fmt::format("kernel {} requires {}, which these sizes do not satisfy", spec.name, print_expr(condition)));
  for (const Tensor *t : spec.arguments()) {
    int64_t elements = 1;
    for (size_t i = 0; i < t->shape.size(); ++i) {
      const int64_t extent = evaluate(t->shape[i], sizes);
      if (extent < 0 || extent > INT32_MAX)
        throw Error(fmt::format("kernel {}: dimension {} of {} is {}, outside 0 .. {}", spec.name, i, t->name, extent,
                                INT32_MAX));
      if (__builtin_mul_overflow(elements, extent, &elements) || elements > kMaxElements)
        throw Error(fmt::format("kernel {}: {} would have more than {} elements", spec.name, t->name, kMaxElements));
    }
  }
}

}  // namespace bittern::compiler
