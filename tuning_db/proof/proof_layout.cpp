// Proof of a weight layout's generated functions: whatever they pack, they must give back.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "schedules/layout.h"
#include "tuning_db/proof/proof.h"

namespace bittern::tuning {
namespace {

struct LayoutShape {
  int64_t n, k;
};

// Trits in a pattern without period, so that no two positions can be swapped unseen.
std::vector<int8_t> pattern(int64_t n, int64_t k) {
  std::vector<int8_t> trits(static_cast<size_t>(n * k));
  uint32_t state = static_cast<uint32_t>(n * 7919 + k);
  for (int8_t &trit : trits) {
    state = state * 1664525 + 1013904223;
    trit = static_cast<int8_t>((state >> 16) % 3) - 1;
  }
  return trits;
}

std::string check_shape(const bt_layout &layout, const schedules::Layout *reference, LayoutShape shape,
                        Placement placement) {
  const auto [n, k] = shape;
  const std::string where = fmt::format("layout {} of {}x{}", layout.name, n, k);
  const std::vector<int8_t> trits = pattern(n, k);
  Guarded source(trits.size(), placement, Guarded::kPoison);
  std::memcpy(source.data(), trits.data(), trits.size());
  source.read_only();
  const int64_t bytes = layout.packed_bytes(n, k);
  if (bytes < n * k / 5 || bytes > 8 * (n + 256) * (k + 1024)) return fmt::format("{}: {} packed bytes", where, bytes);

  // At once and in pieces of whole row tiles must be the same bytes, every one of them written.
  Guarded whole(static_cast<size_t>(bytes), placement, Guarded::kSentinel);
  Guarded pieces(static_cast<size_t>(bytes), placement, 0x5A);
  const auto *rows = reinterpret_cast<const int8_t *>(source.data());
  layout.pack(rows, k, 0, n, n, k, whole.data());
  for (int64_t row = 0; row < n; row += layout.row_tile)
    layout.pack(rows + row * k, k, row, std::min(layout.row_tile, n - row), n, k, pieces.data());
  if (whole.damaged_outside() || pieces.damaged_outside()) return where + ": pack writes outside its matrix";
  if (std::memcmp(whole.data(), pieces.data(), whole.size()) != 0)
    return where + ": packing in pieces gives other bytes than packing at once";

  std::vector<int8_t> back(trits.size(), 9);
  whole.read_only();
  layout.unpack(whole.data(), 0, n, n, k, back.data(), k);
  if (back != trits) return where + ": unpack does not give back what was packed";

  if (reference) {
    if (reference->packed_bytes(n, k) != bytes) return where + ": packed_bytes differs from the layout table";
    std::vector<uint8_t> want(static_cast<size_t>(bytes), 0);
    reference->pack(rows, k, 0, n, n, k, want.data());
    if (std::memcmp(want.data(), whole.data(), want.size()) != 0)
      return where + ": bytes differ from the layout table's";
  }
  return {};
}

}  // namespace

std::string prove_layout(const bt_layout &layout) {
  if (layout.row_tile < 1) return fmt::format("layout {}: row tile {}", layout.name, layout.row_tile);
  const schedules::Layout *reference = nullptr;
  for (const schedules::Layout &known : schedules::layouts())
    if (known.name == layout.name) reference = &known;
  const int64_t tile = layout.row_tile;
  const LayoutShape shapes[] = {{1, 1}, {3, 5}, {tile, 64}, {2 * tile + 1, 130}, {33, 257}, {tile, 128}, {64, 520}};
  int turn = 0;
  for (const LayoutShape &shape : shapes)
    if (auto wrong = check_shape(layout, reference, shape, static_cast<Placement>(turn++ % kPlacements));
        !wrong.empty())
      return wrong;
  return {};
}

}  // namespace bittern::tuning
