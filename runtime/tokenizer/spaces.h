// White space and SentencePiece's mark for it, as normalisers and added tokens deal with them.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace bittern::runtime {

inline constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581

// `text` (valid UTF-8) without Unicode's White_Space at its beginning or end.
std::string_view without_space_before(std::string_view text);
std::string_view without_space_after(std::string_view text);

// Where the last character of `text`, which is not empty, begins.
size_t last_character(std::string_view text);

// `text` with every `from`, which is not empty, replaced by `to`, leftmost first.
std::string replace_all(std::string_view text, std::string_view from, std::string_view to);

}  // namespace bittern::runtime
