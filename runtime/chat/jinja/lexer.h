// A template cut into text and the tokens of its tags, with Jinja's white space control: trim_blocks and lstrip_blocks
// on, as transformers sets them, "-" and "+" beside the braces, the final newline dropped.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/chat/jinja/source.h"

namespace bittern::runtime::jinja {

enum class TokenKind {
  Text,        // text between tags
  BlockBegin,  // {%
  BlockEnd,
  PrintBegin,  // {{
  PrintEnd,
  Name,
  Integer,
  Float,
  String,  // text: the unescaped string
  Symbol,  // text: the operator
  End
};
struct Token {
  TokenKind kind;
  size_t at;  // byte in the template
  std::string text;
};

constexpr size_t kMaxTemplate = 1 << 20;

// The template with every line end as "\n" and the last one dropped: what tokens and messages point into. Throws Error
// when it is longer than kMaxTemplate or not UTF-8.
Source prepare(std::string name, std::string_view text);

// Throws Error at what is no token of a template.
std::vector<Token> tokenize(const Source &source);

}  // namespace bittern::runtime::jinja
