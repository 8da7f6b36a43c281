// UTF-8 one character at a time, with the rule for invalid bytes that Python, browsers and the Unicode standard (3.9,
// "maximal subpart") share: the longest start of a well-formed character that is cut short counts as one error.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace bittern::runtime {

inline constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

struct Utf8Step {
  size_t length;    // bytes of the character, or of the invalid part; at least 1
  bool valid;       // a whole well-formed character
  bool incomplete;  // not valid, but more bytes could make it so
};

// The first character of `rest`, which must not be empty.
Utf8Step utf8_step(std::string_view rest);

bool utf8_valid(std::string_view text);

// `text` with every invalid part replaced by U+FFFD.
std::string utf8_sanitize(std::string_view text);

// The code point of a valid character.
char32_t utf8_code_point(std::string_view character);
void utf8_append(std::string &out, char32_t code_point);

// Unicode property White_Space.
bool is_white_space(char32_t code_point);

}  // namespace bittern::runtime
