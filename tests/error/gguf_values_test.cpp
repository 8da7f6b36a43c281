// GGUF tensors whose bytes cannot be what they should: scales that are none, codes that are no trits, values that are
// not finite, in every type.
#include <doctest/doctest.h>

#include <limits>
#include <tuple>

#include "runtime/model/gguf_float.h"
#include "runtime/model/gguf_ternary.h"
#include "tests/gguf_errors.h"

using namespace bittern::runtime;
using namespace bittern::test;

TEST_CASE("values: scales that are none, codes that are no trits, norms that are not finite") {
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  for (const float scale : {nan, infinity, -infinity, 0.0f, -0.5f}) {
    CAPTURE(scale);
    const std::string what =
        refused([&](GgufBuilder &b) { overwrite(b.tensor("blk.1.ffn_up.weight").data, 256 * 128 / 4, scale); });
    CHECK_MESSAGE(contains(what, "tensor 'blk.1.ffn_up.weight': "), what);
    CHECK_MESSAGE(contains(what, " is not a usable scale: it must be positive and finite at byte"), what);
  }
  std::string what = refused([](GgufBuilder &b) { b.tensor("blk.1.ffn_up.weight").data[32 + 5] = '\x55' | '\x30'; });
  // Byte 37 of blocks of 32: block 1, the second lane of byte 5.
  CHECK_MESSAGE(contains(what, "tensor 'blk.1.ffn_up.weight': row 1, column 37: code 3 is not a trit at byte"), what);
  for (const float value : {nan, infinity}) {
    what = refused([&](GgufBuilder &b) { overwrite(b.tensor("blk.0.attn_norm.weight").data, 8, value); });
    CHECK_MESSAGE(contains(what, "tensor 'blk.0.attn_norm.weight': element 2 is "), what);
    what = refused([&](GgufBuilder &b) {
      std::vector<float> masters(128 * 128, 0.25f);
      masters[7] = value;
      b.add("blk.0.attn_q.weight", {128, 128}, GgmlType::F32, f32_bytes(masters));
    });
    CHECK_MESSAGE(contains(what, "tensor 'blk.0.attn_q.weight': element 7 is "), what);
  }
  what = refused([](GgufBuilder &b) { b.add("blk.0.attn_q.weight", {128, 128}, 0, std::string(4 * 128 * 128, '\0')); });
  CHECK_MESSAGE(contains(what, "tensor 'blk.0.attn_q.weight': every element is 0"), what);
}

TEST_CASE("values of the other types") {
  const auto opened = [](uint64_t rows, uint64_t cols, uint32_t type, const std::string &data,
                         const TernaryOptions &options = {}) {
    GgufBuilder b;
    b.add("a", {cols, rows}, type, data);
    b.add("b", {1}, 0, std::string(4, 'b'));
    const ScratchFolder folder;
    folder.write("a.gguf", b.bytes());
    const GgufFile file(folder.path("a.gguf"));
    const int64_t n = static_cast<int64_t>(rows), k = static_cast<int64_t>(cols);
    return message([&] {
      if (!GgufTernary::is_ternary(type)) {
        std::vector<float> out(rows * cols);
        gguf_float_matrix(file.get_tensor("a"), n, k).fill(0, n, out.data());
        return;
      }
      const GgufTernary matrix(file.get_tensor("a"), n, k, options);
      matrix.common_scale();
      std::vector<int8_t> out(rows * cols);
      matrix.decode(0, n, out.data(), k);
    });
  };
  struct Row {
    uint32_t type;
    uint64_t cols;
    size_t bytes, scale_at, code_at;
    bool half;
  };
  // 16 rows; the scale and a code of row 3.
  const Row rows[] = {{GgmlType::TQ2_0, 256, 66, 3 * 66 + 64, 3 * 66 + 40, true},
                      {GgmlType::Q2_0, 256, 68, 3 * 68 + 34, 3 * 68 + 40, true},
                      {GgmlType::Q2_0, 256, 72, 3 * 72 + 18, 3 * 72 + 40, true},
                      {GgmlType::PQ2_0, 256, 68, 3 * 68, 3 * 68 + 30, true},
                      {GgmlType::IQ2_BN, 256, 68, 3 * 68, 3 * 68 + 40, false},
                      {GgmlType::IQ2_BN_R4, 256, 68, 3 * 4, 16 + 12, false},
                      {GgmlType::TQ1_0, 256, 54, 3 * 54 + 52, 0, true},
                      {GgmlType::IQ1_BN, 256, 54, 3 * 54, 0, true}};
  const float infinity = std::numeric_limits<float>::infinity();
  for (const Row &row : rows) {
    CAPTURE(row.type);
    CAPTURE(row.bytes);
    // Every byte 0x15: codes 1, and scales that are small and positive in f16 and f32.
    const std::string good(16 * row.bytes, '\x15');
    CHECK(opened(16, row.cols, row.type, good) == "(no error)");
    for (const float scale : {std::numeric_limits<float>::quiet_NaN(), infinity, -infinity, -1.0f}) {
      std::string bad = good;
      if (row.half) {
        const uint16_t half = scale == -1.0f       ? 0xbc00
                              : scale == infinity  ? 0x7c00
                              : scale == -infinity ? 0xfc00
                                                   : 0x7e00;
        overwrite(bad, row.scale_at, half);
      } else {
        overwrite(bad, row.scale_at, scale);
      }
      const std::string what = opened(16, row.cols, row.type, bad);
      CHECK_MESSAGE(contains(what, "a.gguf: tensor 'a': "), what);
      CHECK_MESSAGE(contains(what, " is not a usable scale"), what);
      CHECK_MESSAGE(contains(what, "at byte"), what);
    }
    CHECK(contains(opened(16, row.cols, row.type, std::string(16 * row.bytes, '\0')), "every scale is 0"));
    if (row.code_at == 0) continue;
    std::string bad = good;
    bad[row.code_at] = '\x1d';  // its second field is 3
    const std::string what = opened(16, row.cols, row.type, bad);
    CHECK_MESSAGE(contains(what, "tensor 'a': row 3, column "), what);
    CHECK_MESSAGE(contains(what, "code 3 is not a trit at byte"), what);
  }
  // Nibbles beyond those that hold trits.
  const std::vector<TernaryTile> tiles{{64, 288, 64, 96, 32}};
  std::string data(288 * 64 / 4 + 32, '\x44');
  overwrite(data, data.size() - 32, 0.5f);
  CHECK(opened(64, 288, GgmlType::TL1, data, {"128", tiles}) == "(no error)");
  data[9] = '\x49';
  CHECK(contains(opened(64, 288, GgmlType::TL1, data, {"128", tiles}), "code 9 holds no trits at byte"));
  // 32 * 64 / 3 * 5 / 8 + 256 * 64 / 4, to a multiple of 32, and the scale.
  data = std::string(4544 + 32, '\x44');
  overwrite(data, 4544, 0.5f);
  CHECK(opened(64, 288, GgmlType::TL2, data, {"128", tiles}) == "(no error)");
  data[9] = '\x4e';
  CHECK(contains(opened(64, 288, GgmlType::TL2, data, {"128", tiles}), "code 14 holds no trits at byte"));
  for (const auto &[type, bytes, at] :
       {std::tuple(GgmlType::Q8_0, size_t{272}, size_t{34}), {GgmlType::Q4_0, 144, 18}, {GgmlType::Q6_K, 210, 208}}) {
    std::string floats(2 * bytes, '\x11');
    CHECK(opened(2, 256, type, floats) == "(no error)");
    overwrite(floats, at, uint16_t{0x7c00});
    const std::string what = opened(2, 256, type, floats);
    CHECK_MESSAGE(contains(what, "inf is not a usable scale: it must be finite at byte"), what);
  }
}
