// What Python's str knows of Unicode: white space, case, which characters repr() shows, and code points as the unit of
// length and index.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bittern::runtime::jinja {

// str.isspace of one character.
bool is_space(char32_t c);
bool is_printable(char32_t c);
bool is_alphabetic(char32_t c);
bool is_decimal(char32_t c);
bool is_upper(char32_t c);
bool is_lower(char32_t c);

// Full mappings: one character may become up to three ("ß" to "SS").
void append_upper(std::string &out, char32_t c);
void append_lower(std::string &out, char32_t c);
void append_title(std::string &out, char32_t c);

// Number of characters of valid UTF-8.
int64_t length(std::string_view text);
// Byte at which character `index` begins, or the text's size.
size_t byte_of(std::string_view text, int64_t index);
// The characters one by one: calls visit(code point, begin, end) with bytes.
template <typename Visit>
void for_each_character(std::string_view text, Visit visit);
// First byte that is not white space, and the byte behind the last one that is not.
size_t space_end(std::string_view text);
size_t space_begin(std::string_view text);

}  // namespace bittern::runtime::jinja

#include "runtime/io/utf8.h"

namespace bittern::runtime::jinja {

template <typename Visit>
void for_each_character(std::string_view text, Visit visit) {
  for (size_t at = 0; at < text.size();) {
    const size_t length = utf8_step(text.substr(at)).length;
    visit(utf8_code_point(text.substr(at, length)), at, at + length);
    at += length;
  }
}

}  // namespace bittern::runtime::jinja
