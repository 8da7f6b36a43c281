// Which of many strings a text begins with: a sorted list that is narrowed a byte at a time. Thousands of strings with
// the same beginning (Gemma's 6000 added tokens all begin with '<') cost a few binary searches.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bittern::runtime {

class PrefixIndex {
 public:
  PrefixIndex() { first_.fill(0); }
  // Strings with a value each. Empty strings are left out; of equal strings the first counts.
  explicit PrefixIndex(std::vector<std::pair<std::string, int32_t>> entries);
  bool empty() const { return entries_.empty(); }

  // Calls found(length, value) for every string that `rest` begins with, the shortest first.
  template <typename Found>
  void for_each_prefix(std::string_view rest, Found found) const {
    if (rest.empty()) return;
    const size_t byte = static_cast<uint8_t>(rest[0]);
    size_t low = first_[byte], high = first_[byte + 1];
    for (size_t length = 1; low < high; ++length) {
      if (entries_[low].first.size() == length) found(length, entries_[low++].second);
      if (length == rest.size()) return;
      narrow(low, high, length, rest[length]);
    }
  }

 private:
  // Keeps of entries [low, high), which agree up to `at` and are longer, those with `byte` there.
  void narrow(size_t &low, size_t &high, size_t at, char byte) const;

  std::vector<std::pair<std::string, int32_t>> entries_;
  std::array<size_t, 257> first_;  // where the strings that begin with a byte begin
};

}  // namespace bittern::runtime
