// Kernel text to tokens. Newlines are white space; '#' starts a comment that ends with its line.
#pragma once
#include <string_view>
#include <vector>

#include "compiler/source.h"

namespace bittern::compiler {

struct Token {
  enum Kind { Name, Int, Float, Symbol, End } kind;
  std::string_view text;  // into the source
  Location loc;
};

// Ends with an End token. Throws Error (see fail_at) on characters that are no part of the language and on text above
// kMaxTextBytes.
std::vector<Token> tokenize(const Source &source);

}  // namespace bittern::compiler
