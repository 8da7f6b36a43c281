// The table of LLVM emitters: a schedule template's name and the function that fills a kernel's body for it.
#pragma once
#include <vector>

#include "codegen/llvm/kernel_builder.h"

namespace bittern::codegen {

struct TemplateEmitter {
  const char *name;
  // Emits the kernel's body at builder.b and sets the descriptor's tile_size_index, tile and scratch. Throws Error
  // with the reason when the schedule cannot lower this kernel.
  void (*emit)(KernelBuilder &builder);
};

const std::vector<TemplateEmitter> &template_emitters();

}  // namespace bittern::codegen
