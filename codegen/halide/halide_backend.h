// The Halide backend's row for the registry in codegen/backend.cpp.
#pragma once
#include "codegen/backend.h"

namespace bittern::codegen {

// Compiles "halide.*" schedules. Throws Error with the reason when a schedule or a kernel is out of its reach.
const Backend &halide_backend();

}  // namespace bittern::codegen
