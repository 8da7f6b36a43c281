#include "runtime/tokenizer/byte_level.h"

#include <array>
#include <cstdint>

#include "runtime/io/utf8.h"

namespace bittern::runtime {
namespace {

struct Alphabet {
  std::array<char32_t, 256> character{};  // of a byte
  std::array<int16_t, 0x144> byte{};      // of a character, -1 for none
};

// Visible Latin-1 characters stand for themselves; the other bytes, in order, for the characters from U+0100.
constexpr Alphabet make_alphabet() {
  Alphabet alphabet;
  alphabet.byte.fill(-1);
  char32_t next = 0x100;
  for (char32_t b = 0; b < 256; ++b) {
    const bool visible = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
    alphabet.character[b] = visible ? b : next++;
    alphabet.byte[alphabet.character[b]] = static_cast<int16_t>(b);
  }
  return alphabet;
}
constexpr Alphabet kAlphabet = make_alphabet();

}  // namespace

std::optional<std::string> byte_level_decode(std::string_view token) {
  std::string out;
  out.reserve(token.size());
  for (size_t i = 0; i < token.size();) {
    const size_t length = utf8_step(token.substr(i)).length;
    const char32_t c = utf8_code_point(token.substr(i, length));
    if (c >= kAlphabet.byte.size() || kAlphabet.byte[c] < 0) return std::nullopt;
    out += static_cast<char>(static_cast<uint8_t>(kAlphabet.byte[c]));
    i += length;
  }
  return out;
}

std::string byte_level_encode(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char byte : bytes) utf8_append(out, kAlphabet.character[static_cast<uint8_t>(byte)]);
  return out;
}

}  // namespace bittern::runtime
