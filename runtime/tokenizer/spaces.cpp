#include "runtime/tokenizer/spaces.h"

#include <cstdint>

#include "runtime/io/utf8.h"

namespace bittern::runtime {

size_t last_character(std::string_view text) {
  size_t start = text.size() - 1;
  while (start > 0 && (static_cast<uint8_t>(text[start]) & 0xC0) == 0x80) --start;
  return start;
}

std::string_view without_space_before(std::string_view text) {
  while (!text.empty()) {
    const size_t length = utf8_step(text).length;
    if (!is_white_space(utf8_code_point(text.substr(0, length)))) break;
    text.remove_prefix(length);
  }
  return text;
}

std::string_view without_space_after(std::string_view text) {
  while (!text.empty()) {
    const size_t start = last_character(text);
    if (!is_white_space(utf8_code_point(text.substr(start)))) break;
    text = text.substr(0, start);
  }
  return text;
}

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  for (;;) {
    const size_t at = text.find(from);
    out.append(text.substr(0, at));
    if (at == std::string_view::npos) return out;
    out.append(to);
    text.remove_prefix(at + from.size());
  }
}

}  // namespace bittern::runtime
