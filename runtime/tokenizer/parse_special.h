// Where special tokens that are written out in a text ("<|eot_id|>") become their ids. A chat prompt is one text, since
// tokens may merge across the border of a message, but what a person wrote in it must not end a turn or begin another:
// such ranges are literal.
#pragma once
#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "runtime/io/text_range.h"

namespace bittern::runtime {

class ParseSpecial {
 public:
  // Everywhere or nowhere; implicit, since most callers mean just that.
  ParseSpecial(bool everywhere) : enabled_(everywhere) {}  // NOLINT(google-explicit-constructor)
  // Everywhere but where a token would take in a byte of `literal`: ranges sorted and apart, of text that is valid
  // UTF-8. They must outlive this object.
  static ParseSpecial except(std::span<const TextRange> literal) {
    ParseSpecial result(true);
    result.literal_ = literal;
    return result;
  }

  bool enabled() const { return enabled_; }
  // The literal parts of bytes [begin, end).
  std::vector<TextRange> literal_within(size_t begin, size_t end) const {
    std::vector<TextRange> out;
    for (const TextRange &range : literal_)
      if (range.begin < end && begin < range.end)
        out.push_back({std::max(begin, range.begin), std::min(end, range.end)});
    return out;
  }

  // Whether a special token at bytes [begin, end) of the text counts.
  bool at(size_t begin, size_t end) const {
    if (!enabled_) return false;
    const auto after = std::upper_bound(literal_.begin(), literal_.end(), begin,
                                        [](size_t place, const TextRange &range) { return place < range.end; });
    return after == literal_.end() || after->begin >= end;
  }

 private:
  bool enabled_;
  std::span<const TextRange> literal_;
};

}  // namespace bittern::runtime
