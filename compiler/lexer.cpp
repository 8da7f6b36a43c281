// One pass over the bytes. A number is a float when it has a point followed by a digit, or an exponent.
#include "compiler/lexer.h"

#include <fmt/format.h>

#include <array>

namespace bittern::compiler {

namespace {

bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool digit(char c) { return c >= '0' && c <= '9'; }
bool hex_digit(char c) { return digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

// Longest first, so that "<<" is not two "<".
constexpr std::array kSymbols = {"->", "==", "!=", "<=", ">=", "<<", ">>", "..", "(", ")", "[", "]", "{", "}",
                                 ",",  ":",  "=",  "<",  ">",  "+",  "-",  "*",  "/", "%", "&", "|", "^"};

}  // namespace

std::vector<Token> tokenize(const Source &source) {
  const std::string_view text = source.text;
  if (text.size() > kMaxTextBytes)
    fail_at(source, {}, fmt::format("kernel text has {} bytes, the limit is {}", text.size(), kMaxTextBytes));
  std::vector<Token> tokens;
  size_t at = 0, line_start = 0;
  int line = 1;
  const auto here = [&](size_t p) { return Location{line, static_cast<int>(p - line_start) + 1}; };
  const auto peek = [&](size_t p) { return p < text.size() ? text[p] : '\0'; };
  while (at < text.size()) {
    const char c = text[at];
    if (c == '\n') {
      ++line;
      line_start = ++at;
      continue;
    }
    if (c == ' ' || c == '\t' || c == '\r') {
      ++at;
      continue;
    }
    if (c == '#') {
      while (at < text.size() && text[at] != '\n') ++at;
      continue;
    }
    const size_t begin = at;
    Token::Kind kind = Token::Symbol;
    if (letter(c)) {
      kind = Token::Name;
      while (letter(peek(at)) || digit(peek(at))) ++at;
      if (at - begin > 64) fail_at(source, here(begin), "a name has at most 64 characters");
    } else if (c == '0' && (peek(at + 1) == 'x' || peek(at + 1) == 'X')) {
      kind = Token::Int;
      at += 2;
      while (hex_digit(peek(at))) ++at;
      if (at == begin + 2) fail_at(source, here(begin), "a hexadecimal number needs digits after 0x");
    } else if (digit(c)) {
      kind = Token::Int;
      while (digit(peek(at))) ++at;
      if (peek(at) == '.' && digit(peek(at + 1))) {
        kind = Token::Float;
        ++at;
        while (digit(peek(at))) ++at;
      }
      if (peek(at) == 'e' || peek(at) == 'E') {
        const size_t sign = peek(at + 1) == '+' || peek(at + 1) == '-' ? 1 : 0;
        if (!digit(peek(at + 1 + sign))) fail_at(source, here(begin), "the exponent of a number needs digits");
        kind = Token::Float;
        at += 1 + sign;
        while (digit(peek(at))) ++at;
      }
      if (letter(peek(at))) fail_at(source, here(begin), "a name cannot start with a digit");
    } else {
      for (const std::string_view symbol : kSymbols)
        if (text.substr(at, symbol.size()) == symbol) {
          at += symbol.size();
          break;
        }
      if (at == begin) {
        const auto byte = static_cast<unsigned char>(c);
        fail_at(source, here(begin),
                byte > 32 && byte < 127 ? fmt::format("unexpected character '{}'", c)
                                        : fmt::format("unexpected byte 0x{:02x}", byte));
      }
    }
    tokens.push_back({kind, text.substr(begin, at - begin), here(begin)});
  }
  tokens.push_back({Token::End, {}, here(at)});
  return tokens;
}

}  // namespace bittern::compiler
