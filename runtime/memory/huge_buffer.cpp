// See huge_buffer.h.
#include "runtime/memory/huge_buffer.h"

#include <sys/mman.h>

#include <string>
#include <utility>

#include "runtime/error.h"

namespace bittern::runtime {
namespace {
constexpr size_t kHuge = size_t{2} << 20;
}

HugeBuffer::HugeBuffer(int64_t bytes, const char *what) {
  if (bytes <= 0) return;
  // Small buffers would waste most of a huge page.
  const bool huge = static_cast<size_t>(bytes) >= kHuge / 2;
  const size_t align = huge ? kHuge : 4096;
  const size_t rounded = (static_cast<size_t>(bytes) + align - 1) / align * align;
  mapped_ = huge ? rounded + kHuge : rounded;
  mapping_ = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping_ == MAP_FAILED) {
    mapping_ = nullptr;
    throw Error(std::string("no memory for ") + what + " (" + std::to_string(bytes >> 20) + " MiB)");
  }
  const uintptr_t start = (reinterpret_cast<uintptr_t>(mapping_) + align - 1) / align * align;
  data_ = reinterpret_cast<uint8_t *>(start);
  size_ = bytes;
  if (huge) madvise(data_, rounded, MADV_HUGEPAGE);  // refusal leaves ordinary pages, which work too
}

HugeBuffer::~HugeBuffer() {
  if (mapping_) munmap(mapping_, mapped_);
}

HugeBuffer::HugeBuffer(HugeBuffer &&other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      mapping_(std::exchange(other.mapping_, nullptr)),
      mapped_(std::exchange(other.mapped_, 0)) {}

HugeBuffer &HugeBuffer::operator=(HugeBuffer &&other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(mapping_, other.mapping_);
  std::swap(mapped_, other.mapped_);
  return *this;
}

}  // namespace bittern::runtime
