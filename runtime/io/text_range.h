// A part of a text: what a person wrote in a prompt, as the interpreter of chat templates follows it and the tokenizer
// reads it.
#pragma once
#include <cstddef>

namespace bittern::runtime {

// Bytes [begin, end) of a text.
struct TextRange {
  size_t begin = 0, end = 0;
  friend bool operator==(const TextRange &, const TextRange &) = default;
};

}  // namespace bittern::runtime
