#include "runtime/model/gguf_tiles.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <span>
#include <string_view>

#include "runtime/error.h"
#include "runtime/io/float_formats.h"
#include "runtime/io/mapped_file.h"

namespace bittern::runtime {
namespace {

constexpr uint64_t kMaxTileSizes = 1 << 20;
constexpr int64_t kTl2Rows = 32;                      // a block of TL2 has 32 rows: the converter can write no other
constexpr int64_t kTl2Columns = 24;                   // columns that share a word of signs; a block of codes has 6
constexpr int64_t kPairColumns = 32, kPairBlock = 4;  // tile and block of the columns that TL2 packs in pairs

// rows, columns, BM, BK, bm: the arguments of codegen_tl1.py and codegen_tl2.py in bitnet.cpp's setup_env.py, for
// bitnet_b1_58-large, bitnet_b1_58-3B and Llama3-8B-1.58. (Its preset_kernels hold other sizes for the last, which
// setup_env.py replaces before it converts.)
constexpr std::array<TernaryTile, 10> kTl1Tiles{{{1536, 4096, 256, 128, 32},
                                                 {1536, 1536, 128, 64, 64},
                                                 {4096, 1536, 256, 128, 32},
                                                 {3200, 8640, 160, 64, 32},
                                                 {3200, 3200, 320, 128, 64},
                                                 {8640, 3200, 320, 64, 32},
                                                 {14336, 4096, 256, 128, 32},
                                                 {4096, 14336, 128, 64, 64},
                                                 {1024, 4096, 256, 128, 32},
                                                 {4096, 4096, 128, 64, 64}}};
constexpr std::array<TernaryTile, 10> kTl2Tiles{{{1536, 4096, 256, 96, 32},
                                                 {1536, 1536, 128, 192, 32},
                                                 {4096, 1536, 256, 96, 32},
                                                 {3200, 8640, 160, 96, 32},
                                                 {3200, 3200, 320, 96, 32},
                                                 {8640, 3200, 320, 96, 32},
                                                 {14336, 4096, 256, 96, 32},
                                                 {4096, 14336, 128, 96, 32},
                                                 {1024, 4096, 256, 96, 32},
                                                 {4096, 4096, 128, 96, 32}}};

TernaryTile find_tile(const GgufTensor &tensor, std::string_view type, int64_t rows, int64_t cols,
                      const std::vector<TernaryTile> &configured, std::span<const TernaryTile> published) {
  const std::span<const TernaryTile> known = configured.empty() ? published : std::span(configured);
  const auto found = std::find_if(known.begin(), known.end(),
                                  [&](const TernaryTile &tile) { return tile.rows == rows && tile.cols == cols; });
  if (found != known.end()) return *found;
  tensor.fail(
      fmt::format("{}: no tile sizes are known for {} rows of {} columns; --tl-config FILE names the "
                  "kernel_config.ini that bitnet.cpp wrote it with",
                  type, rows, cols));
}

[[noreturn]] void refuse_tile(const GgufTensor &tensor, std::string_view type, const TernaryTile &tile) {
  tensor.fail(fmt::format("{}: tiles of bm {}, bk {}, bmm {} do not fit {} rows of {} columns", type, tile.tile_rows,
                          tile.tile_cols, tile.block_rows, tile.rows, tile.cols));
}

// The two trits of code 0..8, the three of code 0..13 (negated when its sign bit is set).
struct Pair {
  int8_t first, second;
};
constexpr Pair pair_of(unsigned code) {
  return {static_cast<int8_t>(static_cast<int>(code / 3) - 1), static_cast<int8_t>(static_cast<int>(code % 3) - 1)};
}
std::array<int8_t, 3> triple_of(unsigned code, bool negative) {
  // Balanced base three: code + 13 in digits 0..2.
  const int sign = negative ? -1 : 1, shifted = static_cast<int>(code) + 13;
  return {static_cast<int8_t>(sign * (shifted / 9 - 1)), static_cast<int8_t>(sign * (shifted / 3 % 3 - 1)),
          static_cast<int8_t>(sign * (shifted % 3 - 1))};
}

[[noreturn]] void refuse_code(const TernaryPlace &place, int64_t row, int64_t column, unsigned code, uint64_t at) {
  place.tensor->fail(fmt::format("row {}, column {}: code {} holds no trits", row, column, code), at);
}

// Where a row lies within the blocks of TL2: the middle two of its four groups of eight rows are exchanged.
int64_t tl2_stored_row(int64_t row) {
  constexpr std::array<int64_t, 4> kGroups{0, 2, 1, 3};
  return kGroups[static_cast<size_t>(row / 8)] * 8 + row % 8;
}

// Columns [0, width) as codes of three, nibbles first and all signs after them.
void unpack_triples(const TernaryPlace &place, int64_t row, int64_t width, int8_t *out) {
  const TernaryTile &tile = place.tile;
  const int64_t tile_row = row / tile.tile_rows, in_tile = row % tile.tile_rows, in_block = row % kTl2Rows;
  const int64_t tiles = width / tile.tile_cols, row_blocks = tile.tile_rows / kTl2Rows;
  const uint64_t signs = static_cast<uint64_t>(place.rows * width / 6);
  const uint8_t *data = place.tensor->data();
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t block_row = (tile_row * tiles + t) * row_blocks + in_tile / kTl2Rows;
    for (int64_t triple = 0; triple < tile.tile_cols / 3; ++triple) {
      const uint64_t at =
          static_cast<uint64_t>((block_row * (tile.tile_cols / 6) + triple / 2) * kTl2Rows + tl2_stored_row(in_block));
      const unsigned code = triple % 2 ? data[at] & 15u : data[at] >> 4u;
      const int64_t column = t * tile.tile_cols + triple * 3;
      if (code > 13) refuse_code(place, row, column, code, at);
      const int64_t word = (block_row * (tile.tile_cols / kTl2Columns) + triple / 8) * (kTl2Rows / 2) + in_block % 16;
      const unsigned bits = load_le<uint16_t>(data + signs + 2 * static_cast<uint64_t>(word));
      const bool negative = bits >> (15 - 2 * (triple % 8) - in_block / 16) & 1u;
      const std::array<int8_t, 3> trits = triple_of(code, negative);
      std::copy(trits.begin(), trits.end(), out + column);
    }
  }
}

// The columns from `first` on as codes of two.
void unpack_pairs(const TernaryPlace &place, int64_t row, int64_t first, int8_t *out) {
  const TernaryTile &tile = place.tile;
  const int64_t tile_row = row / tile.tile_rows, in_tile = row % tile.tile_rows;
  const int64_t tiles = (place.cols - first) / kPairColumns, row_blocks = tile.tile_rows / kTl2Rows;
  const uint64_t begin = static_cast<uint64_t>(place.rows * first / 24 * 5);
  const uint8_t *data = place.tensor->data();
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t block_row = (tile_row * tiles + t) * row_blocks + in_tile / kTl2Rows;
    for (int64_t pair = 0; pair < kPairColumns / 2; ++pair) {
      const int64_t block = block_row * (kPairColumns / kPairBlock) + pair / 2;
      const uint64_t at = begin + static_cast<uint64_t>(block * kTl2Rows + tl2_stored_row(row % kTl2Rows));
      const unsigned code = pair % 2 ? data[at] & 15u : data[at] >> 4u;
      const int64_t column = first + t * kPairColumns + pair * 2;
      if (code > 8) refuse_code(place, row, column, code, at);
      out[column] = pair_of(code).first;
      out[column + 1] = pair_of(code).second;
    }
  }
}

std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace

std::vector<TernaryTile> read_tile_config(const std::string &path) {
  struct Key {
    std::string_view name;
    int64_t TernaryTile::*value;
  };
  constexpr std::array<Key, 5> kKeys{{{"m", &TernaryTile::rows},
                                      {"k", &TernaryTile::cols},
                                      {"bm", &TernaryTile::tile_rows},
                                      {"bk", &TernaryTile::tile_cols},
                                      {"bmm", &TernaryTile::block_rows}}};
  const MappedFile file(path, kMaxTileSizes);
  std::vector<TernaryTile> tiles;
  int line_number = 0;
  const auto fail = [&](const std::string &what) {
    throw Error(fmt::format("{}: line {}: {}", path, line_number, what));
  };
  const auto check_complete = [&] {
    for (const Key &key : kKeys) {
      if (!tiles.empty() && tiles.back().*key.value == 0) fail(fmt::format("the section before has no '{}'", key.name));
    }
  };
  for (std::string_view rest = file.text(); !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = trimmed(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    ++line_number;
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    if (line[0] == '[') {
      check_complete();
      tiles.emplace_back();
      continue;
    }
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos || tiles.empty()) fail("expected a [section] or 'key = number' within one");
    std::string name(trimmed(line.substr(0, equals)));
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    const auto key = std::find_if(kKeys.begin(), kKeys.end(), [&](const Key &k) { return k.name == name; });
    if (key == kKeys.end()) fail("unknown key (known: m, k, bm, bk, bmm)");
    const std::string_view number = trimmed(line.substr(equals + 1));
    int64_t &value = tiles.back().*key->value;
    const auto [stop, error] = std::from_chars(number.data(), number.data() + number.size(), value);
    if (error != std::errc() || stop != number.data() + number.size() || value < 1 || value > 1 << 30) {
      fail(fmt::format("{}: expected a number from 1 to {}", name, 1 << 30));
    }
  }
  ++line_number;
  check_complete();
  if (tiles.empty()) fail("no section");
  return tiles;
}

TernaryTile tl1_tile(const GgufTensor &tensor, int64_t rows, int64_t cols, const std::vector<TernaryTile> &configured) {
  const TernaryTile tile = find_tile(tensor, "TL1", rows, cols, configured, kTl1Tiles);
  const bool known_block = tile.block_rows == 32 || tile.block_rows == 64;
  if (!known_block || rows % tile.tile_rows != 0 || tile.tile_rows % tile.block_rows != 0 ||
      cols % tile.tile_cols != 0 || tile.tile_cols % (256 / tile.block_rows) != 0) {
    refuse_tile(tensor, "TL1", tile);
  }
  return tile;
}

TernaryTile tl2_tile(const GgufTensor &tensor, int64_t rows, int64_t cols, const std::vector<TernaryTile> &configured) {
  const TernaryTile tile = find_tile(tensor, "TL2", rows, cols, configured, kTl2Tiles);
  if (tile.block_rows != kTl2Rows || rows % tile.tile_rows != 0 || tile.tile_rows % kTl2Rows != 0 ||
      tile.tile_cols % kTl2Columns != 0 || cols % tile.tile_cols % kPairColumns != 0 || cols % tile.tile_cols > 256 ||
      cols < 256) {
    refuse_tile(tensor, "TL2", tile);
  }
  return tile;
}

uint64_t tl1_packed_bytes(int64_t rows, int64_t cols) { return static_cast<uint64_t>(rows * cols / 4); }

// What the converter pads to: as if the last 256 columns were packed in pairs.
uint64_t tl2_packed_bytes(int64_t rows, int64_t cols) {
  return static_cast<uint64_t>((cols - 256) * rows / 3 * 5 / 8 + 256 * rows / 2 * 4 / 8);
}

// Bytes hold two pairs of neighbouring columns, the first in the high nibble. Within a tile of BM rows and BK columns:
// blocks of bm rows and 256 / bm columns, in them 16 rows next to one another.
void unpack_tl1(const TernaryPlace &place, int64_t row, int8_t *out) {
  const TernaryTile &tile = place.tile;
  const int64_t block_cols = 256 / tile.block_rows;
  const int64_t tile_row = row / tile.tile_rows, in_tile = row % tile.tile_rows, in_block = row % tile.block_rows;
  const int64_t tiles = place.cols / tile.tile_cols, row_blocks = tile.tile_rows / tile.block_rows;
  const uint8_t *data = place.tensor->data();
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t block_row = (tile_row * tiles + t) * row_blocks + in_tile / tile.block_rows;
    for (int64_t pair = 0; pair < tile.tile_cols / 2; ++pair) {
      const int64_t block = block_row * (tile.tile_cols / block_cols) + pair * 2 / block_cols;
      const int64_t sixteen = block * (tile.block_rows / 16) + in_block / 16;
      const int64_t quad = sixteen * (block_cols / 4) + pair * 2 % block_cols / 4;
      const uint64_t at = static_cast<uint64_t>(quad * 16 + in_block % 16);
      const unsigned code = pair % 2 ? data[at] & 15u : data[at] >> 4u;
      const int64_t column = t * tile.tile_cols + pair * 2;
      if (code > 8) refuse_code(place, row, column, code, at);
      out[column] = pair_of(code).first;
      out[column + 1] = pair_of(code).second;
    }
  }
}

void unpack_tl2(const TernaryPlace &place, int64_t row, int8_t *out) {
  const int64_t triples = place.cols - place.cols % place.tile.tile_cols;
  unpack_triples(place, row, triples, out);
  unpack_pairs(place, row, triples, out);
}

}  // namespace bittern::runtime
