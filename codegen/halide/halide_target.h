// What Halide calls a target.
#pragma once
#include <string>

#include "schedules/target.h"

namespace bittern::codegen::halide {

// Halide's target string without features of ours; empty for a target that Halide cannot compile for.
std::string halide_target(const schedules::Target &target);

}  // namespace bittern::codegen::halide
