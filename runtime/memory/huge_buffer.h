// Anonymous memory on huge pages where the system gives them: weights are read once a token and ordinary 4 KiB pages
// cost a tenth of the bandwidth in TLB misses. Zero-filled, aligned to 2 MiB, returned to the system on destruction.
#pragma once
#include <cstddef>
#include <cstdint>

namespace bittern::runtime {

class HugeBuffer {
 public:
  HugeBuffer() = default;
  // Throws Error naming `what` and the size when the system has no such memory.
  HugeBuffer(int64_t bytes, const char *what);
  ~HugeBuffer();
  HugeBuffer(HugeBuffer &&other) noexcept;
  HugeBuffer &operator=(HugeBuffer &&other) noexcept;

  uint8_t *data() const { return data_; }
  int64_t size() const { return size_; }
  template <typename T>
  T *as() const {
    return reinterpret_cast<T *>(data_);
  }

 private:
  uint8_t *data_ = nullptr;  // 2 MiB aligned, inside the mapping
  int64_t size_ = 0;
  void *mapping_ = nullptr;
  size_t mapped_ = 0;
};

}  // namespace bittern::runtime
