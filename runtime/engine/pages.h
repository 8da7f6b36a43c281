// Who holds which page of the KV cache: sequences take pages as they grow and give them back. A page may belong to
// several sequences that begin alike; whoever writes to it first takes a copy. Only numbers are kept here, the memory
// is the device's.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/threads/pool.h"

namespace bittern::runtime {

class PagePool {
 public:
  explicit PagePool(int64_t pages);

  int64_t pages() const { return static_cast<int64_t>(owners_.size()); }
  int64_t free_pages() const { return static_cast<int64_t>(free_.size()); }
  // A page with one owner; throws Error when none is left.
  int32_t take();
  void share(int32_t page) { ++owners_[static_cast<size_t>(page)]; }
  bool shared(int32_t page) const { return owners_[static_cast<size_t>(page)] > 1; }
  void give_back(int32_t page);  // by one owner

 private:
  std::vector<int32_t> owners_;  // of each page
  std::vector<int32_t> free_;    // a stack; the lowest page on top at first
};

// The pages of one sequence, in order of position.
class Sequence {
 public:
  Sequence(PagePool &pool, int64_t capacity);
  ~Sequence() { clear(); }
  Sequence(const Sequence &) = delete;
  Sequence &operator=(const Sequence &) = delete;

  int64_t length() const { return length_; }
  int64_t capacity() const { return capacity_; }
  // An entry for every page of a full sequence; those not held are 0.
  std::span<const int32_t> pages() const { return pages_; }
  // Pages that reserve(count) takes from the pool.
  int64_t pages_to_take(int64_t count) const;
  // Makes room for `count` more positions that only this sequence holds: copy(from, to) is called for a page that
  // others hold too. Throws Error when the capacity or the pool is exhausted.
  void reserve(int64_t count, FunctionRef<void(int32_t from, int32_t to)> copy);
  void advance(int64_t count) { length_ += count; }
  // Becomes the first `length` positions of another sequence of the same pool, whose pages both hold from then on.
  void begin_as(const Sequence &other, int64_t length);
  // Keeps the first `length` positions (at most length()) and gives back the pages behind them.
  void truncate(int64_t length);
  void clear() { truncate(0); }

 private:
  PagePool &pool_;
  int64_t capacity_, length_ = 0, used_ = 0;  // used_: pages held
  std::vector<int32_t> pages_;
};

}  // namespace bittern::runtime
