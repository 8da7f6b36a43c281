// Ternary GGUF tensors, trit for trit: against files that other programs' quantisers wrote, against the gguf package's
// dequantiser, and against encoders that follow the formats' descriptions.
#include "runtime/model/gguf_ternary.h"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include "runtime/io/npy.h"
#include "runtime/model/gguf_float.h"
#include "runtime/model/safetensors.h"
#include "runtime/model/ternary_tensor.h"
#include "tests/error_message.h"
#include "tests/gguf_builder.h"

using namespace bittern::runtime;
using namespace bittern::test;

namespace {

const std::string kData = BITTERN_TEST_DATA;

std::vector<int8_t> decoded(const GgufTernary &matrix, int64_t rows, int64_t cols) {
  std::vector<int8_t> out(static_cast<size_t>(rows * cols));
  matrix.decode(0, rows, out.data(), cols);
  return out;
}

// One tensor in a file of its own, open as long as this lives. A second tensor follows, so that the first one's size is
// known.
struct OneTensor {
  ScratchFolder folder;
  std::unique_ptr<GgufFile> file;
  OneTensor(uint64_t rows, uint64_t cols, uint32_t type, const std::string &data, bool last = false) {
    GgufBuilder b;
    b.add("w", {cols, rows}, type, data);
    if (!last) b.add("x", {1}, GgmlType::F32, f32_bytes({0}));
    folder.write("a.gguf", b.bytes());
    file = std::make_unique<GgufFile>(folder.path("a.gguf"));
  }
  const GgufTensor &tensor() const { return file->get_tensor("w"); }
  GgufTernary open(const TernaryOptions &options = {}) const {
    return GgufTernary(tensor(), tensor().dims[1], tensor().dims[0], options);
  }
};

// 2-bit fields: where(i) is the byte and the shift of element i.
std::string fields(const std::vector<int8_t> &trits, size_t bytes,
                   const std::function<std::pair<size_t, int>(size_t)> &where) {
  std::string out(bytes, '\0');
  for (size_t i = 0; i < trits.size(); ++i) {
    const auto [at, shift] = where(i);
    out[at] |= static_cast<char>((trits[i] + 1) << shift);
  }
  return out;
}

std::string q2_0(const std::vector<int8_t> &trits, size_t group, const std::vector<float> &scales) {
  std::string out;
  for (size_t g = 0; g < trits.size() / group; ++g) {
    out += le(f16_of(scales[g % scales.size()]));
    const std::vector<int8_t> part(trits.begin() + static_cast<int64_t>(g * group),
                                   trits.begin() + static_cast<int64_t>((g + 1) * group));
    out += fields(part, group / 4, [](size_t i) { return std::pair(i / 4, static_cast<int>(2 * (i % 4))); });
  }
  return out;
}

// A row: f32 scale, blocks of 64 in 16 bytes.
std::string iq2_bn(const std::vector<int8_t> &trits, size_t cols, const std::vector<float> &row_scales) {
  std::string out;
  for (size_t r = 0; r < trits.size() / cols; ++r) {
    out += le(row_scales[r]);
    const std::vector<int8_t> row(trits.begin() + static_cast<int64_t>(r * cols),
                                  trits.begin() + static_cast<int64_t>((r + 1) * cols));
    out += fields(row, cols / 4,
                  [](size_t i) { return std::pair(i / 64 * 16 + i % 16, static_cast<int>(i % 64 / 16 * 2)); });
  }
  return out;
}

constexpr std::array<const char *, kLinearCount> kHfNames{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                                          "self_attn.o_proj", "mlp.gate_proj",    "mlp.up_proj",
                                                          "mlp.down_proj"};

}  // namespace

TEST_CASE("files of bitnet.cpp's and ik_llama.cpp's quantisers: trits and scales of the golden") {
  struct Row {
    const char *file, *type;
    int64_t layers;
  };
  const Row rows[] = {{"a-I2_S", "I2_S", 4},         {"a-TQ1_0", "TQ1_0", 4},
                      {"layer-TQ2_0", "TQ2_0", 1},   {"layer-IQ1_BN", "IQ1_BN", 1},
                      {"layer-IQ2_BN", "IQ2_BN", 1}, {"layer-IQ2_BN_R4", "IQ2_BN_R4", 1}};
  const SafetensorsFile golden(kData + "/goldens/bitnet_a_packed/model.safetensors");
  for (const Row &row : rows) {
    CAPTURE(row.file);
    const GgufFile file(kData + "/gguf/" + row.file + ".gguf");
    int64_t wrong = 0, total = 0;
    for (int64_t layer = 0; layer < row.layers; ++layer) {
      for (size_t i = 0; i < kLinearCount; ++i) {
        const GgufTensor &tensor = file.get_tensor(gguf_name(layer, static_cast<Linear>(i)));
        const int64_t n = tensor.dims[1], k = tensor.dims[0];
        const GgufTernary matrix(tensor, n, k, {});
        CHECK(matrix.type_name() == row.type);
        const std::string hf = "model.layers." + std::to_string(layer) + "." + kHfNames[i];
        const Tensor &weight = golden.tensors().at(hf + ".weight");
        std::vector<int8_t> expected(static_cast<size_t>(n * k));
        decode_packed(weight, n, k, 0, n, expected.data(), k);
        const std::vector<int8_t> got = decoded(matrix, n, k);
        for (size_t j = 0; j < got.size(); ++j) wrong += got[j] != expected[j];
        total += n * k;
        CHECK(matrix.common_scale() ==
              packed_scale(golden.tensors().at(hf + ".weight_scale"), WeightMeaning::PackedMultiply));
        // A range of rows is those rows, whatever the stride.
        std::vector<int8_t> part(static_cast<size_t>(5 * (k + 3)), 7);
        matrix.decode(n - 5, 5, part.data(), k + 3);
        for (int64_t r = 0; r < 5; ++r) {
          CHECK(std::equal(part.begin() + r * (k + 3), part.begin() + r * (k + 3) + k,
                           expected.begin() + (n - 5 + r) * k));
          CHECK((r == 4 || part[static_cast<size_t>(r * (k + 3) + k)] == 7));
        }
      }
    }
    CHECK(wrong == 0);
    CHECK(total == row.layers * 753664);
  }
}

TEST_CASE("the gguf package's dequantiser agrees, with a scale of its own for each block") {
  const GgufFile file(kData + "/gguf/ternary.gguf");
  const std::vector<float> expected = read_npy(kData + "/gguf/ternary.npy").data;
  size_t at = 0;
  for (const char *name : {"TQ1_0", "TQ2_0"}) {
    const GgufTernary matrix(file.get_tensor(name), 2, 512, {});
    CHECK(matrix.scale_cols() == 256);
    CHECK(matrix.common_scale() == 0);
    std::vector<float> scales(8);
    matrix.group_scales(0, 2, 128, scales.data());
    CHECK(scales == std::vector<float>{0.5, 0.5, 0.25, 0.25, 2, 2, 0.125, 0.125});
    const std::vector<int8_t> trits = decoded(matrix, 2, 512);
    for (size_t i = 0; i < trits.size(); ++i, ++at) {
      REQUIRE(static_cast<float>(trits[i]) * scales[i / 128] == expected[at]);
    }
  }
  CHECK(at == expected.size());
}

TEST_CASE("embedding types widen to what the gguf package makes of them") {
  const GgufFile file(kData + "/gguf/floats.gguf");
  const std::vector<float> expected = read_npy(kData + "/gguf/floats.npy").data;
  size_t at = 0;
  for (const char *name : {"F32", "F16", "BF16", "Q8_0", "Q4_0", "Q6_K"}) {
    CAPTURE(name);
    const FloatMatrix matrix = gguf_float_matrix(file.get_tensor(name), 2, 512);
    CHECK((matrix.data == nullptr) == (name[0] == 'Q'));
    const size_t size = matrix.dtype == DType::F32 ? 4 : 2;
    for (int64_t row = 0; row < 2; ++row) {
      std::vector<uint8_t> bytes(512 * size);
      matrix.fill(row, 1, bytes.data());
      if (matrix.data)
        CHECK(std::memcmp(matrix.data + static_cast<size_t>(row) * bytes.size(), bytes.data(), bytes.size()) == 0);
      for (size_t i = 0; i < 512; ++i, ++at) {
        const uint8_t *from = bytes.data() + i * size;
        const float value = matrix.dtype == DType::F32   ? load_le<float>(from)
                            : matrix.dtype == DType::F16 ? f16_to_f32(load_le<uint16_t>(from))
                                                         : bf16_to_f32(load_le<uint16_t>(from));
        REQUIRE(value == expected[at]);
      }
    }
  }
  CHECK(at == expected.size());
}

TEST_CASE("I2_S: three layouts under one number") {
  const int64_t rows = 8, cols = 192;  // blocks of 128 begin within rows
  const std::vector<int8_t> trits = random_trits(rows * cols, 3);
  const auto tail = [](std::string packed) {
    packed += le(0.75f);
    packed.resize(packed.size() + 28);
    return packed;
  };
  const std::string in_64 = tail(fields(trits, trits.size() / 4, [](size_t i) {
    return std::pair(i / 64 * 16 + i % 16, static_cast<int>(6 - 2 * (i % 64 / 16)));
  }));
  const std::string in_rows = tail(fields(trits, trits.size() / 4, [&](size_t i) {
    const size_t row = i / cols, col = i % cols;
    return std::pair(row / 4 * cols + col, static_cast<int>(6 - 2 * (row % 4)));
  }));
  const std::pair<const char *, std::string> layouts[] = {
      {"128", i2s_bytes(trits, 0.75f)}, {"64", in_64}, {"rows4", in_rows}};
  for (const auto &[layout, data] : layouts) {
    const OneTensor one(rows, cols, GgmlType::I2_S, data);
    const GgufTernary matrix = one.open({layout, {}});
    CHECK(matrix.scale_cols() == 0);
    CHECK(matrix.common_scale() == 0.75f);
    CHECK(decoded(matrix, rows, cols) == trits);
    for (const auto &[other, unused] : layouts) {
      if (other != layout) CHECK(decoded(one.open({other, {}}), rows, cols) != trits);
    }
  }
}

TEST_CASE("Q2_0: groups of 64 and of 128, told apart by the tensor's size") {
  const int64_t rows = 16, cols = 256;
  const std::vector<int8_t> trits = random_trits(rows * cols, 4);
  const std::vector<float> scales{0.5f, 0.25f, 3.0f};
  for (const size_t group : {64, 128}) {
    for (const bool last : {false, true}) {
      CAPTURE(group);
      CAPTURE(last);
      const OneTensor one(rows, cols, GgmlType::Q2_0, q2_0(trits, group, scales), last);
      const GgufTernary matrix = one.open();
      CHECK(matrix.type_name() == "Q2_0");
      CHECK(matrix.scale_cols() == static_cast<int64_t>(group));
      CHECK(matrix.common_scale() == 0);
      CHECK(decoded(matrix, rows, cols) == trits);
      std::vector<float> got(static_cast<size_t>(rows * cols / 64));
      matrix.group_scales(0, rows, 64, got.data());
      for (size_t i = 0; i < got.size(); ++i) CHECK(got[i] == scales[i * 64 / group % 3]);
    }
  }
  const OneTensor prism(rows, cols, GgmlType::PQ2_0, q2_0(trits, 128, {0.5f}));
  CHECK(decoded(prism.open(), rows, cols) == trits);
  CHECK(prism.open().common_scale() == 0.5f);
  // Too small a matrix for its size to tell.
  const OneTensor tiny(1, 128, GgmlType::Q2_0, q2_0(random_trits(128, 5), 64, {1.0f}));
  CHECK(contains(message([&] { tiny.open(); }), "64 bytes, which may be Q2_0 in blocks of 64 or Q2_0 of 128"));
}

TEST_CASE("rows with scales of their own, and parts whose scale is 0") {
  const int64_t rows = 4, cols = 128;
  std::vector<int8_t> trits = random_trits(rows * cols, 6);
  const OneTensor differ(rows, cols, GgmlType::IQ2_BN, iq2_bn(trits, cols, {1, 2, 3, 4}));
  CHECK(differ.open().common_scale() == 0);
  CHECK(differ.open().scale_cols() == cols);
  std::vector<float> scales(8);
  differ.open().group_scales(0, 4, 64, scales.data());
  CHECK(scales == std::vector<float>{1, 1, 2, 2, 3, 3, 4, 4});
  // ik_llama.cpp writes scale 0 and code 2 for a row of zeros.
  std::fill_n(trits.begin() + cols, cols, int8_t{1});
  const OneTensor zero(rows, cols, GgmlType::IQ2_BN, iq2_bn(trits, cols, {0.5f, 0, 0.5f, 0.5f}));
  std::fill_n(trits.begin() + cols, cols, int8_t{0});
  CHECK(zero.open().common_scale() == 0.5f);
  CHECK(decoded(zero.open(), rows, cols) == trits);
  std::vector<int8_t> blocks = random_trits(16 * 256, 7);
  const OneTensor zero_block(16, 256, GgmlType::Q2_0, q2_0(blocks, 64, {0.5f, 0.0f, 0.5f, 0.5f}));
  for (size_t i = 0; i < blocks.size(); ++i) blocks[i] = i % 256 / 64 == 1 ? int8_t{0} : blocks[i];
  CHECK(zero_block.open().common_scale() == 0.5f);
  CHECK(decoded(zero_block.open(), 16, 256) == blocks);
}
