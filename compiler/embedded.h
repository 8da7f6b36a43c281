// The table that embed_kernels.cmake generates from kernels/*.bk.
#pragma once
#include <span>

namespace bittern::compiler {

struct EmbeddedText {
  const char *name;  // file name without ".bk"
  const char *text;
};
std::span<const EmbeddedText> embedded_texts();

}  // namespace bittern::compiler
