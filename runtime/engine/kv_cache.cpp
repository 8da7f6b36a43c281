// See kv_cache.h.
#include "runtime/engine/kv_cache.h"

#include <string>
#include <utility>

#include "runtime/error.h"

namespace bittern::runtime {

KvCache::KvCache(int64_t layers, int64_t kv_heads, int64_t head_dim, int64_t pages, KvType type)
    : layers_(layers),
      head_dim_(head_dim),
      pages_(pages),
      element_bytes_(type == KvType::F16 ? 2 : 4),
      layer_elements_(kv_heads * kPage * head_dim),
      buffer_(pages * 2 * layers * layer_elements_ * element_bytes_, "the KV cache") {
  free_.reserve(static_cast<size_t>(pages));
  for (int64_t page = pages - 1; page >= 0; --page) free_.push_back(static_cast<int32_t>(page));
}

int32_t KvCache::take() {
  if (free_.empty()) throw Error("the KV cache is full: all " + std::to_string(pages_) + " pages are taken");
  const int32_t page = free_.back();
  free_.pop_back();
  return page;
}

void KvCache::give_back(int32_t page) { free_.push_back(page); }

Sequence::Sequence(KvCache &cache, int64_t capacity)
    : cache_(cache), capacity_(capacity), pages_(static_cast<size_t>(KvCache::pages_for(capacity))) {}

void Sequence::reserve(int64_t count) {
  if (count > capacity_ - length_)
    throw Error("the context is full: " + std::to_string(length_) + " tokens and " + std::to_string(count) +
                " more do not fit in " + std::to_string(capacity_));
  for (const int64_t needed = KvCache::pages_for(length_ + count); used_ < needed; ++used_)
    pages_[static_cast<size_t>(used_)] = cache_.take();
}

void Sequence::truncate(int64_t length) {
  while (used_ > KvCache::pages_for(length)) cache_.give_back(std::exchange(pages_[static_cast<size_t>(--used_)], 0));
  length_ = length;
}

}  // namespace bittern::runtime
