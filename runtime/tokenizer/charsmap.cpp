#include "runtime/tokenizer/charsmap.h"

#include <fmt/format.h>

#include "runtime/error.h"

namespace bittern::runtime {
namespace {

uint32_t read_u32(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 4; i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
  return value;
}

// The fields of a unit of darts-clone.
bool has_leaf(uint32_t unit) { return (unit >> 8 & 1) != 0; }
uint32_t leaf_value(uint32_t unit) { return unit & 0x7fffffff; }
uint32_t label(uint32_t unit) { return unit & 0x800000ff; }
size_t offset(uint32_t unit) { return static_cast<size_t>(unit >> 10) << ((unit & 0x200) >> 6); }

constexpr int kMostMatches = 32;  // how many SentencePiece looks at

}  // namespace

Charsmap::Charsmap(std::string bytes) : bytes_(std::move(bytes)) {
  const auto refuse = [](const std::string &what) { throw Error("character map: " + what); };
  if (bytes_.size() < 4) refuse(fmt::format("{} bytes are too few", bytes_.size()));
  const uint32_t trie = read_u32(bytes_, 0);
  if (trie == 0 || trie % 4 != 0 || trie > bytes_.size() - 4) {
    refuse(fmt::format("a trie of {} bytes does not fit into {}", trie, bytes_.size()));
  }
  units_ = trie / 4;
  if (bytes_.size() == 4 + size_t{trie} || bytes_.back() != '\0')
    refuse("the replacements do not end with a zero byte");
}

uint32_t Charsmap::unit(size_t node) const {
  if (node >= units_) throw Error(fmt::format("character map: node {} of a trie of {}", node, units_));
  return read_u32(bytes_, 4 + node * 4);
}

Charsmap::Match Charsmap::find(std::string_view rest, bool first) const {
  Match best;
  const std::string_view replacements = std::string_view(bytes_).substr(4 + units_ * 4);
  size_t node = offset(unit(0));
  for (size_t i = 0, found = 0; i < rest.size(); ++i) {
    const uint32_t byte = static_cast<uint8_t>(rest[i]);
    node ^= byte;
    const uint32_t here = unit(node);
    if (label(here) != byte) break;
    node ^= offset(here);
    if (!has_leaf(here)) continue;
    const uint32_t at = leaf_value(unit(node));
    if (at >= replacements.size()) {
      throw Error(fmt::format("character map: replacement at {} of {} bytes", at, replacements.size()));
    }
    best = {i + 1, replacements.substr(at, replacements.find('\0', at) - at)};
    if (first || ++found == kMostMatches) break;
  }
  return best;
}

}  // namespace bittern::runtime
