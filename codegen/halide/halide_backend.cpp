// The Halide backend: a kernel's definitions become Halide Funcs, its schedule their loops, and a small generated thunk
// gives the result Bittern's C ABI.
#include "codegen/halide/halide_backend.h"

#include <fmt/format.h>

#include "compiler/error.h"

namespace bittern::codegen {
namespace {

class HalideBackend final : public Backend {
 public:
  const char *name() const override { return "halide"; }
  Compiled compile(const Request &request) const override {
    throw Error(fmt::format("the Halide backend has no template {}", request.schedule.template_name));
  }
};

}  // namespace

const Backend &halide_backend() {
  static const HalideBackend backend;
  return backend;
}

}  // namespace bittern::codegen
