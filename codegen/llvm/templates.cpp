// One row a template.
#include "codegen/llvm/templates.h"

#include "codegen/llvm/contraction.h"
#include "codegen/llvm/loops.h"

namespace bittern::codegen {

const std::vector<TemplateEmitter> &template_emitters() {
  static const std::vector<TemplateEmitter> table = {
      {"loops", emit_loops}, {"gemv", emit_gemv}, {"base3", emit_base3}, {"lut", emit_lut}, {"gemm", emit_gemm}};
  return table;
}

}  // namespace bittern::codegen
