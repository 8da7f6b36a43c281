// See pages.h.
#include "runtime/engine/pages.h"

#include <string>
#include <utility>

#include "runtime/error.h"
#include "runtime/program/program.h"

namespace bittern::runtime {

PagePool::PagePool(int64_t pages) : owners_(static_cast<size_t>(pages)) {
  free_.reserve(static_cast<size_t>(pages));
  for (int64_t page = pages - 1; page >= 0; --page) free_.push_back(static_cast<int32_t>(page));
}

int32_t PagePool::take() {
  if (free_.empty()) throw Error("the KV cache is full: all " + std::to_string(pages()) + " pages are taken");
  const int32_t page = free_.back();
  free_.pop_back();
  owners_[static_cast<size_t>(page)] = 1;
  return page;
}

void PagePool::give_back(int32_t page) {
  if (--owners_[static_cast<size_t>(page)] == 0) free_.push_back(page);
}

Sequence::Sequence(PagePool &pool, int64_t capacity)
    : pool_(pool), capacity_(capacity), pages_(static_cast<size_t>(pages_for(capacity))) {}

int64_t Sequence::pages_to_take(int64_t count) const {
  const bool copied =
      count > 0 && length_ % kPagePositions != 0 && pool_.shared(pages_[static_cast<size_t>(length_ / kPagePositions)]);
  return pages_for(length_ + count) - used_ + (copied ? 1 : 0);
}

void Sequence::reserve(int64_t count, FunctionRef<void(int32_t from, int32_t to)> copy) {
  if (count > capacity_ - length_)
    throw Error("the context is full: " + std::to_string(length_) + " tokens and " + std::to_string(count) +
                " more do not fit in " + std::to_string(capacity_));
  // A page that is only partly ours to read is never written to while another sequence holds it.
  if (count > 0 && length_ % kPagePositions != 0) {
    int32_t &page = pages_[static_cast<size_t>(length_ / kPagePositions)];
    if (pool_.shared(page)) {
      const int32_t own = pool_.take();
      copy(page, own);
      pool_.give_back(std::exchange(page, own));
    }
  }
  for (const int64_t needed = pages_for(length_ + count); used_ < needed; ++used_)
    pages_[static_cast<size_t>(used_)] = pool_.take();
}

void Sequence::begin_as(const Sequence &other, int64_t length) {
  for (int64_t i = 0; i < pages_for(length); ++i) pool_.share(other.pages_[static_cast<size_t>(i)]);
  clear();
  used_ = pages_for(length);
  for (int64_t i = 0; i < used_; ++i) pages_[static_cast<size_t>(i)] = other.pages_[static_cast<size_t>(i)];
  length_ = length;
}

void Sequence::truncate(int64_t length) {
  while (used_ > pages_for(length)) pool_.give_back(std::exchange(pages_[static_cast<size_t>(--used_)], 0));
  length_ = length;
}

}  // namespace bittern::runtime
