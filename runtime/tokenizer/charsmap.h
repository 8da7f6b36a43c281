// SentencePiece's precompiled character map: which beginnings of a text its normaliser replaces by what. The bytes are
// a 32-bit length, a double-array trie (darts-clone: https://github.com/s-yata/darts-clone) of that length, and the
// replacements, each ended by a zero byte; a leaf of the trie is the place of its replacement.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bittern::runtime {

class Charsmap {
 public:
  // Throws Error "character map: ..." for bytes that cannot be one.
  explicit Charsmap(std::string bytes);

  struct Match {
    size_t length = 0;  // bytes of the text; 0: none
    std::string_view replacement;
  };
  // The longest and the shortest beginning of `rest` that is replaced. Throws Error when the trie leads out of itself.
  Match longest(std::string_view rest) const { return find(rest, false); }
  Match shortest(std::string_view rest) const { return find(rest, true); }

 private:
  Match find(std::string_view rest, bool first) const;
  uint32_t unit(size_t node) const;
  std::string bytes_;
  size_t units_ = 0;
};

}  // namespace bittern::runtime
