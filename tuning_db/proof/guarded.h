// Memory for proofs: a buffer between two pages that nobody may touch, filled with a sentinel that must survive
// everywhere the kernel has no business. A read or write past either end is a fault at once, not a wrong token later.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>

namespace bittern::tuning {

// Where the bytes lie between the guards. Flush with a guard, the first byte too many faults; Shifted is at an odd
// address, misaligned for every vector, with sentinels on both sides.
enum class Placement { FlushEnd, FlushStart, Shifted };
inline constexpr int kPlacements = 3;

class Guarded {
 public:
  static constexpr uint8_t kSentinel = 0xA5;  // outputs
  static constexpr uint8_t kPoison = 0xFF;    // around inputs and in scratch: NaN as a float

  // `alignment` (a power of two) is kept by FlushEnd and FlushStart only where it is asked for (scratch).
  Guarded(size_t bytes, Placement placement, uint8_t fill, size_t alignment = 1);
  ~Guarded();
  Guarded(Guarded &&other) noexcept;
  Guarded &operator=(Guarded &&) = delete;

  uint8_t *data() const { return data_; }
  size_t size() const { return bytes_; }
  size_t resident() const { return region_bytes_; }  // whole pages
  void read_only();
  // Offset (relative to data(), possibly negative) of the first byte outside the data that lost its fill.
  std::optional<ptrdiff_t> damaged_outside() const;

 private:
  uint8_t *mapping_ = nullptr, *region_ = nullptr, *data_ = nullptr;
  size_t mapped_ = 0, region_bytes_ = 0, bytes_ = 0;
  uint8_t fill_ = 0;
};

}  // namespace bittern::tuning
