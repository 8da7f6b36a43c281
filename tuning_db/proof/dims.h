// Sizes as users type them.
#pragma once
#include <string>

#include "compiler/ir.h"

namespace bittern::tuning {

// "M=1,N=256,K=512". Throws Error that quotes what cannot be read.
compiler::Sizes parse_dims(const std::string &text);

}  // namespace bittern::tuning
