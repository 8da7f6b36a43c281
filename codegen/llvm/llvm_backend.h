// The LLVM backend's row for the registry in codegen/backend.cpp. No LLVM header is needed to use it.
#pragma once
#include "codegen/backend.h"

namespace bittern::codegen {

// Compiles "llvm.*" schedules by the emitter that llvm/templates.cpp names. Throws Error with the reason when the
// schedule or the kernel is out of its reach.
const Backend &llvm_backend();

}  // namespace bittern::codegen
