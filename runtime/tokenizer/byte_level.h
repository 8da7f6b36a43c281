// GPT-2's printable alphabet: tokenizer.json writes each byte of a token as one visible character ("Ġ" is a space).
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace bittern::runtime {

// The bytes that `token` stands for, or nothing when a character is not of the alphabet. `token` must be valid UTF-8.
std::optional<std::string> byte_level_decode(std::string_view token);

// The characters for `bytes`.
std::string byte_level_encode(std::string_view bytes);

}  // namespace bittern::runtime
