// Memory between two pages that nobody may touch, filled with a sentinel: what a kernel reads or writes too much
// faults.
#pragma once
#include <doctest/doctest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

namespace bittern::test {

// Bytes that end right before the guard behind them, or begin right behind the one before. Their number is rounded up
// to a multiple of `alignment`.
class Guarded {
 public:
  static constexpr uint8_t kSentinel = 0xA5;
  Guarded(size_t bytes, bool at_end, size_t alignment = 1) {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    bytes = (bytes + alignment - 1) / alignment * alignment;
    length_ = (bytes + page - 1) / page * page + 2 * page;
    base_ = static_cast<uint8_t *>(mmap(nullptr, length_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    REQUIRE(base_ != MAP_FAILED);
    REQUIRE(mprotect(base_ + page, length_ - 2 * page, PROT_READ | PROT_WRITE) == 0);
    data_ = at_end ? base_ + length_ - page - bytes : base_ + page;
    std::memset(base_ + page, kSentinel, length_ - 2 * page);
  }
  ~Guarded() { munmap(base_, length_); }
  Guarded(const Guarded &) = delete;
  Guarded &operator=(const Guarded &) = delete;
  uint8_t *data() { return data_; }

 private:
  size_t length_;
  uint8_t *base_, *data_;
};

}  // namespace bittern::test
