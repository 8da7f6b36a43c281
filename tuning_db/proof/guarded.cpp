#include "tuning_db/proof/guarded.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "compiler/error.h"

namespace bittern::tuning {

Guarded::Guarded(size_t bytes, Placement placement, uint8_t fill, size_t alignment) : bytes_(bytes), fill_(fill) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  constexpr size_t kShift = 67;  // odd, and not a multiple of any vector
  const size_t wanted = bytes + (placement == Placement::Shifted ? 2 * kShift : 0) + alignment - 1;
  region_bytes_ = (wanted + page - 1) / page * page;
  if (region_bytes_ == 0) region_bytes_ = page;
  mapped_ = region_bytes_ + 2 * page;
  void *mapping = mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) throw Error(fmt::format("proof: no memory for a buffer of {} bytes", bytes));
  mapping_ = static_cast<uint8_t *>(mapping);
  region_ = mapping_ + page;
  if (mprotect(region_, region_bytes_, PROT_READ | PROT_WRITE) != 0) {
    munmap(mapping_, mapped_);
    throw Error(fmt::format("proof: no memory for a buffer of {} bytes", bytes));
  }
  size_t offset = 0;
  if (placement == Placement::FlushEnd) offset = (region_bytes_ - bytes) / alignment * alignment;
  if (placement == Placement::Shifted)
    offset = alignment > 1 ? (kShift + alignment - 1) / alignment * alignment : kShift;
  data_ = region_ + offset;
  std::memset(region_, fill, region_bytes_);
}

Guarded::~Guarded() {
  if (mapping_) munmap(mapping_, mapped_);
}

Guarded::Guarded(Guarded &&other) noexcept
    : mapping_(std::exchange(other.mapping_, nullptr)),
      region_(other.region_),
      data_(other.data_),
      mapped_(other.mapped_),
      region_bytes_(other.region_bytes_),
      bytes_(other.bytes_),
      fill_(other.fill_) {}

void Guarded::read_only() { mprotect(region_, region_bytes_, PROT_READ); }

std::optional<ptrdiff_t> Guarded::damaged_outside() const {
  for (const uint8_t *at = region_; at < data_; ++at)
    if (*at != fill_) return at - data_;
  for (const uint8_t *at = data_ + bytes_; at < region_ + region_bytes_; ++at)
    if (*at != fill_) return at - data_;
  return std::nullopt;
}

}  // namespace bittern::tuning
