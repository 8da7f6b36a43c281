// Keys and values of every layer in pages of 32 positions, [pages, kv_heads, 32, head_dim] for each layer as
// attention.bk reads them. A page holds all layers, one after the other, so that memory is touched as a sequence grows
// and not all at once. Sequences take pages and give them back.
#pragma once
#include <cstdint>
#include <vector>

#include "runtime/engine/problems.h"
#include "runtime/memory/huge_buffer.h"

namespace bittern::runtime {

class KvCache {
 public:
  static constexpr int64_t kPage = 32;
  static int64_t pages_for(int64_t positions) { return (positions + kPage - 1) / kPage; }

  KvCache(int64_t layers, int64_t kv_heads, int64_t head_dim, int64_t pages, KvType type);

  int64_t pages() const { return pages_; }
  int64_t free_pages() const { return static_cast<int64_t>(free_.size()); }
  int64_t element_bytes() const { return element_bytes_; }
  int64_t bytes() const { return buffer_.size(); }

  // First element of a layer's keys or values in page 0.
  uint8_t *keys(int64_t layer) const { return buffer_.data() + 2 * layer * layer_elements_ * element_bytes_; }
  uint8_t *values(int64_t layer) const { return keys(layer) + layer_elements_ * element_bytes_; }

  // Elements from one page, head or position to the next.
  int64_t page_stride() const { return 2 * layers_ * layer_elements_; }
  int64_t head_stride() const { return kPage * head_dim_; }
  int64_t position_stride() const { return head_dim_; }

  // A page of every layer; throws Error when none is left.
  int32_t take();
  void give_back(int32_t page);

 private:
  int64_t layers_, head_dim_, pages_, element_bytes_;
  int64_t layer_elements_;  // keys (or values) of one layer in one page
  HugeBuffer buffer_;
  std::vector<int32_t> free_;  // a stack; the lowest page on top at first
};

// The pages of one sequence, in order of position.
class Sequence {
 public:
  Sequence(KvCache &cache, int64_t capacity);
  ~Sequence() { clear(); }
  Sequence(const Sequence &) = delete;
  Sequence &operator=(const Sequence &) = delete;

  int64_t length() const { return length_; }
  int64_t capacity() const { return capacity_; }
  const int32_t *pages() const { return pages_.data(); }
  int64_t page_count() const { return static_cast<int64_t>(pages_.size()); }
  // Makes room for `count` more positions. Throws Error when the capacity or the cache is exhausted.
  void reserve(int64_t count);
  void advance(int64_t count) { length_ += count; }
  // Keeps the first `length` positions (at most length()) and gives back the pages behind them.
  void truncate(int64_t length);
  void clear() { truncate(0); }

 private:
  KvCache &cache_;
  int64_t capacity_, length_ = 0, used_ = 0;  // used_: pages held
  std::vector<int32_t> pages_;                // pages_for(capacity) entries, those past used_ are 0
};

}  // namespace bittern::runtime
