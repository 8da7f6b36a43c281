// Byte-pair merging: which pairs of tokens merge, in which order, and doing so in O(n log n), since a "word" may be a
// megabyte of letters.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace bittern::runtime {

class Merges {
 public:
  // `expected`: how many will be added. Pairs are ranked in the order they are added; a pair added again takes the
  // later rank, as Hugging Face's map does.
  explicit Merges(size_t expected);
  void add(int32_t left, int32_t right, int32_t merged);

  // Merges neighbours in `ids`, lowest rank first and leftmost among equals, until no pair can be merged.
  void apply(std::vector<int32_t> &ids) const;

 private:
  struct Slot {
    uint64_t pair = UINT64_MAX;
    uint32_t rank = 0;
    int32_t merged = 0;
  };
  const Slot *find(int32_t left, int32_t right) const;
  size_t slot_of(uint64_t pair) const;

  std::vector<Slot> slots_;  // open addressing, at most half full
  uint32_t count_ = 0;
};

}  // namespace bittern::runtime
