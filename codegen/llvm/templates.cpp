// One row a template.
#include "codegen/llvm/templates.h"

namespace bittern::codegen {

const std::vector<TemplateEmitter> &template_emitters() {
  static const std::vector<TemplateEmitter> table = {};
  return table;
}

}  // namespace bittern::codegen
