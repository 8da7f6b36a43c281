// From ModelConfig to the program: the only place that knows what a layer does. A family that needs a step of its own
// adds it here.
#pragma once
#include "runtime/program/program.h"

namespace bittern::runtime {

// The zeros among the options are settled in the program's own.
Program build_program(const ModelConfig &config, ProgramOptions options);

// The options that follow from what the model's file holds; the rest as given.
ProgramOptions with_formats_of(const ModelSource &source, ProgramOptions options);

}  // namespace bittern::runtime
