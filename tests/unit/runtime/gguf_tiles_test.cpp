// TL1 and TL2 there and back. The encoder here does what bitnet.cpp's converter is described to do, one reshape and
// transposition of the whole matrix after another; the reader under test computes where each byte lies instead.
#include "runtime/model/gguf_tiles.h"

#include <doctest/doctest.h>

#include <numeric>

#include "runtime/model/gguf_ternary.h"
#include "tests/error_message.h"
#include "tests/gguf_builder.h"

using namespace bittern::runtime;
using namespace bittern::test;

namespace {

// A row-major array of any rank.
struct Array {
  std::vector<int64_t> shape;
  std::vector<int> data;

  Array reshape(std::vector<int64_t> to) const { return {std::move(to), data}; }
  Array transpose(const std::vector<size_t> &axes) const {
    Array out{{}, std::vector<int>(data.size())};
    for (const size_t axis : axes) out.shape.push_back(shape[axis]);
    std::vector<int64_t> index(shape.size(), 0);
    for (int &value : out.data) {
      int64_t from = 0;
      for (size_t axis = 0; axis < shape.size(); ++axis) {
        const size_t place = static_cast<size_t>(std::find(axes.begin(), axes.end(), axis) - axes.begin());
        from = from * shape[axis] + index[place];
      }
      value = data[static_cast<size_t>(from)];
      for (size_t axis = shape.size(); axis-- > 0;) {
        if (++index[axis] < out.shape[axis]) break;
        index[axis] = 0;
      }
    }
    return out;
  }
};

// Codes of `width` neighbouring trits of columns [first, last), base three.
Array grouped(const std::vector<int8_t> &trits, int64_t rows, int64_t cols, int64_t first, int64_t last, int width) {
  Array out{{rows, (last - first) / width}, {}};
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = first; c < last; c += width) {
      int code = 0;
      for (int i = 0; i < width; ++i) code = code * 3 + trits[static_cast<size_t>(r * cols + c + i)];
      out.data.push_back(code);
    }
  }
  return out;
}

// [M, K / w] to [M / BM, K / BK, BM / bm, BK / by, by / w, bm]: tiles, in them blocks, columns before rows.
Array tiled(const Array &codes, const TernaryTile &t, int64_t bk, int64_t by, int64_t w) {
  const int64_t m = codes.shape[0], k = codes.shape[1] * w;
  return codes.reshape({m / t.tile_rows, t.tile_rows, k / w})
      .transpose({0, 2, 1})
      .reshape({m / t.tile_rows, k / bk, bk / w, t.tile_rows})
      .transpose({0, 1, 3, 2})
      .reshape({m / t.tile_rows, k / bk, t.tile_rows / t.block_rows, t.block_rows, bk / w})
      .transpose({0, 1, 2, 4, 3})
      .reshape({m / t.tile_rows, k / bk, t.tile_rows / t.block_rows, bk / by, by / w, t.block_rows});
}

std::string with_scale(std::string packed, size_t size, float scale) {
  packed.resize(size);
  packed.resize((size + 31) / 32 * 32);
  packed += le(scale);
  packed.resize(packed.size() + 28);
  return packed;
}

std::string tl1_bytes(const std::vector<int8_t> &trits, const TernaryTile &t, float scale) {
  const int64_t by = 256 / t.block_rows, m = t.rows, k = t.cols;
  Array codes = grouped(trits, m, k, 0, k, 2);
  for (int &code : codes.data) code += 4;
  const Array out = tiled(codes, t, t.tile_cols, by, 2)
                        .transpose({0, 1, 2, 3, 5, 4})
                        .reshape({m * k / (t.block_rows * by), t.block_rows / 16, 16, by / 2})
                        .transpose({0, 1, 3, 2})
                        .reshape({m * k / (t.block_rows * by), t.block_rows / 16, by / 4, 2, 16})
                        .transpose({0, 1, 2, 4, 3});
  std::string packed;
  for (size_t i = 0; i < out.data.size(); i += 2) packed += static_cast<char>(out.data[i] << 4 | out.data[i + 1]);
  return with_scale(packed, packed.size(), scale);
}

// Nibbles of neighbouring codes, rows 8..15 and 16..23 of each block of 32 exchanged.
std::string nibbles(const Array &blocks) {
  const Array out = blocks.transpose({0, 1, 2, 3, 5, 4}).reshape({-1, 4, 8, 2});
  std::string packed;
  for (size_t block = 0; block < out.data.size() / 64; ++block) {
    for (const size_t eight : {0, 2, 1, 3}) {
      for (size_t row = 0; row < 8; ++row) {
        const int *pair = out.data.data() + block * 64 + (eight * 8 + row) * 2;
        packed += static_cast<char>(pair[0] << 4 | pair[1]);
      }
    }
  }
  return packed;
}

std::string tl2_bytes(const std::vector<int8_t> &trits, const TernaryTile &t, float scale) {
  const int64_t three = t.cols - t.cols % t.tile_cols;
  Array codes = grouped(trits, t.rows, t.cols, 0, three, 3), signs = codes;
  for (int &code : signs.data) code = code < 0;
  for (int &code : codes.data) code = std::abs(code);
  std::string packed = nibbles(tiled(codes, t, t.tile_cols, 6, 3));
  // Eight codes of 32 rows as 16 half-rows of 16, the first in the top bit of 16 words.
  const Array words = tiled(signs, t, t.tile_cols, 24, 3).reshape({t.rows * three / (24 * 32), 16, 16});
  for (int64_t block = 0; block < words.shape[0]; ++block) {
    for (int64_t column = 0; column < 16; ++column) {
      unsigned word = 0;
      for (int64_t i = 0; i < 16; ++i) {
        word |= static_cast<unsigned>(words.data[static_cast<size_t>((block * 16 + i) * 16 + column)]) << (15 - i);
      }
      packed += le(static_cast<uint16_t>(word));
    }
  }
  if (three < t.cols) {
    Array pairs = grouped(trits, t.rows, t.cols, three, t.cols, 2);
    for (int &code : pairs.data) code += 4;
    packed += nibbles(tiled(pairs, t, 32, 4, 2));
  }
  const int64_t size = (t.cols - 256) * t.rows / 3 * 5 / 8 + 256 * t.rows / 2 * 4 / 8;
  return with_scale(packed, static_cast<size_t>(size), scale);
}

void round_trip(uint32_t type, const std::string &name, const TernaryTile &tile,
                const std::vector<TernaryTile> &config) {
  const std::vector<int8_t> trits = random_trits(tile.rows * tile.cols, static_cast<unsigned>(tile.cols));
  GgufBuilder b;
  b.add("w", {static_cast<uint64_t>(tile.cols), static_cast<uint64_t>(tile.rows)}, type,
        name == "TL1" ? tl1_bytes(trits, tile, 0.3f) : tl2_bytes(trits, tile, 0.3f));
  b.add("x", {1}, GgmlType::F32, f32_bytes({0}));
  const ScratchFolder folder;
  folder.write("a.gguf", b.bytes());
  const GgufFile file(folder.path("a.gguf"));
  const GgufTernary matrix(file.get_tensor("w"), tile.rows, tile.cols, {"128", config});
  CHECK(matrix.type_name() == name);
  CHECK(matrix.common_scale() == 0.3f);
  std::vector<int8_t> got(trits.size());
  matrix.decode(0, tile.rows, got.data(), tile.cols);
  CHECK(got == trits);
}

}  // namespace

TEST_CASE("TL1 and TL2 in the tile sizes that bitnet.cpp publishes") {
  round_trip(GgmlType::TL1, "TL1", {1536, 1536, 128, 64, 64}, {});
  round_trip(GgmlType::TL1, "TL1", {1024, 4096, 256, 128, 32}, {});
  round_trip(GgmlType::TL2, "TL2", {1536, 1536, 128, 192, 32}, {});
  round_trip(GgmlType::TL2, "TL2", {1024, 4096, 256, 96, 32}, {});  // 64 columns in pairs
  round_trip(GgmlType::TL2, "TL2", {3200, 3200, 320, 96, 32}, {});  // 32
  round_trip(GgmlType::TL2_2026, "TL2", {1024, 4096, 256, 96, 32}, {});
}

TEST_CASE("tile sizes of a kernel_config.ini, for shapes that nothing else knows") {
  const ScratchFolder folder;
  folder.write("kernel_config.ini",
               "[Kernels_0]\nM = 128\nK = 256\nBM = 64\nBK = 64\nbmm = 32\n\n# more\n[Kernels_1]\nm=64\nk=384\r\n"
               "bm=64\nbk=96\nbmm=32\n[Kernels_2]\nm = 96\nk = 416\nbm = 32\nbk = 96\nbmm = 32");
  const std::vector<TernaryTile> config = read_tile_config(folder.path("kernel_config.ini"));
  REQUIRE(config.size() == 3);
  CHECK(config[1].cols == 384);
  round_trip(GgmlType::TL1, "TL1", config[0], config);
  round_trip(GgmlType::TL2, "TL2", config[1], config);
  round_trip(GgmlType::TL2, "TL2", config[2], config);
}

TEST_CASE("tile sizes that are wrong or missing") {
  const ScratchFolder folder;
  const auto read = [&](const std::string &text) {
    folder.write("c.ini", text);
    return message([&] { read_tile_config(folder.path("c.ini")); });
  };
  const std::pair<const char *, const char *> rows[] = {
      {"", "c.ini: line 1: no section"},
      {"m = 1", "c.ini: line 1: expected a [section]"},
      {"[a]\nm", "c.ini: line 2: expected a [section] or 'key = number'"},
      {"[a]\nx = 1", "c.ini: line 2: unknown key (known: m, k, bm, bk, bmm)"},
      {"[a]\nm = 0", "c.ini: line 2: m: expected a number from 1"},
      {"[a]\nm = 99999999999999999999", "c.ini: line 2: m: expected a number from 1"},
      {"[a]\nm = 1x", "c.ini: line 2: m: expected a number from 1"},
      {"[a]\nm = 1\n[b]\n", "c.ini: line 3: the section before has no 'k'"},
      {"[a]\nm=1\nk=1\nbm=1\nbk=1\n", "c.ini: line 6: the section before has no 'bmm'"}};
  for (const auto &[text, expected] : rows) {
    const std::string what = read(text);
    CHECK_MESSAGE(what.find(expected) != std::string::npos, what);
  }
  GgufBuilder b;
  b.add("w", {256, 128}, GgmlType::TL1, std::string(256 * 128 / 4 + 32, '\0'));
  folder.write("a.gguf", b.bytes());
  const GgufFile file(folder.path("a.gguf"));
  const auto open = [&](const std::vector<TernaryTile> &config) {
    return message([&] { GgufTernary(file.get_tensor("w"), 128, 256, {"128", config}); });
  };
  CHECK(open({}).find("tensor 'w': TL1: no tile sizes are known for 128 rows of 256 columns; --tl-config") !=
        std::string::npos);
  for (const TernaryTile &tile :
       {TernaryTile{128, 256, 96, 64, 32}, TernaryTile{128, 256, 64, 96, 32}, TernaryTile{128, 256, 64, 64, 16},
        TernaryTile{128, 256, 64, 64, 48}, TernaryTile{128, 256, 16, 64, 32}, TernaryTile{128, 256, 64, 2, 32}}) {
    const std::string what = open({tile});
    CHECK_MESSAGE(what.find("do not fit 128 rows of 256 columns") != std::string::npos, what);
  }
}
