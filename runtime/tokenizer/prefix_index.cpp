#include "runtime/tokenizer/prefix_index.h"

#include <algorithm>

namespace bittern::runtime {

PrefixIndex::PrefixIndex(std::vector<std::pair<std::string, int32_t>> entries) : entries_(std::move(entries)) {
  // std::string compares bytes as unsigned, as narrow() does.
  const auto less = [](const auto &a, const auto &b) { return a.first < b.first; };
  std::stable_sort(entries_.begin(), entries_.end(), less);
  const auto equal = [](const auto &a, const auto &b) { return a.first == b.first; };
  entries_.erase(std::unique(entries_.begin(), entries_.end(), equal), entries_.end());
  if (!entries_.empty() && entries_[0].first.empty()) entries_.erase(entries_.begin());
  entries_.shrink_to_fit();
  size_t at = 0;
  for (size_t byte = 0; byte < 257; ++byte) {
    while (at < entries_.size() && static_cast<uint8_t>(entries_[at].first[0]) < byte) ++at;
    first_[byte] = at;
  }
}

void PrefixIndex::narrow(size_t &low, size_t &high, size_t at, char byte) const {
  const auto value = [&](size_t i) { return static_cast<uint8_t>(entries_[i].first[at]); };
  const auto boundary = [&](size_t begin, size_t end, auto before) {
    while (begin < end) {
      const size_t middle = begin + (end - begin) / 2;
      if (before(value(middle)))
        begin = middle + 1;
      else
        end = middle;
    }
    return begin;
  };
  const uint8_t wanted = static_cast<uint8_t>(byte);
  low = boundary(low, high, [&](uint8_t v) { return v < wanted; });
  high = boundary(low, high, [&](uint8_t v) { return v <= wanted; });
}

}  // namespace bittern::runtime
