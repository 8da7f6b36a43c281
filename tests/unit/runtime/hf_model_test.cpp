// Hugging Face folders and presets as sources of weights, against numpy's trits and scales of the golden models
// (data/weights/make_weights.py) and by hand.
#include <doctest/doctest.h>
#include <sodium.h>

#include <cmath>
#include <set>
#include <thread>

#include "runtime/error.h"
#include "runtime/io/float_formats.h"
#include "runtime/io/mapped_file.h"
#include "runtime/model/model_source.h"
#include "tests/model_folder.h"

using namespace bittern::runtime;
using namespace bittern::test;

namespace {

const std::string kData = BITTERN_TEST_DATA;

struct Name {
  Linear which;
  const char *name;
};
constexpr Name kNames[] = {{Linear::Q, "self_attn.q_proj"}, {Linear::K, "self_attn.k_proj"},
                           {Linear::V, "self_attn.v_proj"}, {Linear::O, "self_attn.o_proj"},
                           {Linear::Gate, "mlp.gate_proj"}, {Linear::Up, "mlp.up_proj"},
                           {Linear::Down, "mlp.down_proj"}};

std::vector<int8_t> trits_of(const TernaryMatrix &matrix) {
  std::vector<int8_t> out(static_cast<size_t>(matrix.rows * matrix.cols));
  matrix.decode(0, matrix.rows, out.data(), matrix.cols);
  return out;
}

std::string sha256(const std::vector<int8_t> &bytes) {
  std::array<unsigned char, crypto_hash_sha256_BYTES> hash;
  crypto_hash_sha256(hash.data(), reinterpret_cast<const unsigned char *>(bytes.data()), bytes.size());
  std::string out;
  for (const unsigned char byte : hash) {
    out += "0123456789abcdef"[byte >> 4];
    out += "0123456789abcdef"[byte & 15];
  }
  return out;
}

// The first bytes of [rows, cols] float32 masters, as bf16.
std::string bf16_of(const std::vector<float> &values) {
  std::vector<uint16_t> bits;
  for (const float value : values) bits.push_back(f32_to_bf16(value));
  return bf16_bytes(bits);
}

}  // namespace

TEST_CASE("trits and scales of the golden models are numpy's") {
  for (const char *model : {"bitnet_a_packed", "bitnet_a_bf16"}) {
    std::ifstream in(kData + "/weights/" + model + ".json");
    const json expected = json::parse(in);
    const auto source = open_model(kData + "/goldens/" + model);
    size_t seen = 0;
    for (int64_t layer = 0; layer < source->config().layers; ++layer) {
      for (const auto &[which, name] : kNames) {
        const json &row = expected["model.layers." + std::to_string(layer) + "." + name + ".weight"];
        const TernaryMatrix matrix = source->linear(layer, which);
        CHECK(row["shape"] == json{matrix.rows, matrix.cols});
        CHECK(matrix.scale == row["scale"].get<float>());
        const std::vector<int8_t> trits = trits_of(matrix);
        CHECK(sha256(trits) == row["trits_sha256"].get<std::string>());
        double sum = 0;
        for (const int8_t trit : trits) sum += std::pow(static_cast<double>(matrix.scale) * trit, 2);
        CHECK(std::sqrt(sum) == doctest::Approx(row["dequantised_norm"].get<double>()).epsilon(1e-9));
        ++seen;
      }
    }
    CHECK(seen == expected.size());
  }
}

TEST_CASE("packed weights: four rows a byte a quarter apart; both meanings of the scale") {
  SmallModel model;
  TestTensor &down = model.tensors["model.layers.1.mlp.down_proj.weight"];
  down.bytes = std::string(24, '\x55');  // all zero
  down.bytes[0] = '\x64';                // rows 0, 2, 4, 6 of column 0: codes 0, 1, 2, 1
  down.bytes[12 + 5] = '\x18';           // rows 1, 3, 5, 7 of column 5: codes 0, 2, 1, 0
  model.tensors["model.layers.1.mlp.down_proj.weight_scale"].bytes = bf16_bytes({0x3e80});  // 0.25
  {
    const auto source = open_model(model.write());
    const TernaryMatrix matrix = source->linear(1, Linear::Down);
    CHECK(matrix.scale == 0.25f);
    const std::vector<int8_t> trits = trits_of(matrix);
    const auto at = [&](size_t row, size_t col) { return static_cast<int>(trits[row * 12 + col]); };
    CHECK(at(0, 0) == -1);
    CHECK(at(2, 0) == 0);
    CHECK(at(4, 0) == 1);
    CHECK(at(6, 0) == 0);
    CHECK(at(1, 5) == -1);
    CHECK(at(3, 5) == 1);
    CHECK(at(5, 5) == 0);
    CHECK(at(7, 5) == -1);
    int nonzero = 0;
    for (const int8_t trit : trits) nonzero += trit != 0;
    CHECK(nonzero == 5);
  }
  model.config["quantization_config"].erase("linear_class");
  CHECK(open_model(model.write())->linear(1, Linear::Down).scale == 4.0f);
}

TEST_CASE("rows can be decoded in any part, with any stride") {
  const auto source = open_model(kData + "/goldens/bitnet_b_packed");
  const TernaryMatrix matrix = source->linear(1, Linear::Down);
  const std::vector<int8_t> whole = trits_of(matrix);
  for (const int64_t row0 : {int64_t{0}, int64_t{1}, int64_t{159}, matrix.rows - 3}) {
    const int64_t stride = matrix.cols + 13;
    std::vector<int8_t> part(static_cast<size_t>(3 * stride), 99);
    matrix.decode(row0, 3, part.data(), stride);
    for (int64_t i = 0; i < 3; ++i) {
      const auto *from = whole.data() + (row0 + i) * matrix.cols;
      CHECK(std::equal(from, from + matrix.cols, part.data() + i * stride));
      CHECK(static_cast<int>(part[static_cast<size_t>(i * stride + matrix.cols)]) == 99);
    }
  }
}

TEST_CASE("masters: absmean, half to even, clamped; bf16, f16 and f32 alike") {
  SmallModel model;
  model.config["quantization_config"]["quantization_mode"] = "online";
  for (auto &[name, tensor] : model.tensors) {
    if (tensor.dtype == "U8")
      tensor = {"BF16", {tensor.shape[0] * 4, tensor.shape[1]}, std::string(tensor.bytes.size() * 8, '\0')};
  }
  // Mean 1: the inverse scale is 1, so values are compared as they are. 0.5 rounds to even, which is 0.
  std::vector<float> weights(32, 0.0f);
  const std::vector<float> start{0.5f, -0.5f, 0.50390625f, -0.50390625f, 1.5f, -7.5f, 0.25f};
  std::copy(start.begin(), start.end(), weights.begin());
  float sum = 0;
  for (const float weight : weights) sum += std::fabs(weight);
  weights[31] = 20.5f;
  weights[30] = 32.0f - sum - 20.5f;  // 0.2421875
  CHECK(bf16_to_f32(f32_to_bf16(weights[30])) == weights[30]);
  model.tensors["model.layers.0.self_attn.k_proj.weight"].bytes = bf16_of(weights);
  std::vector<int> expected{0, 0, 1, -1, 1, -1, 0};
  expected.resize(32);
  expected[30] = 0;
  expected[31] = 1;
  const auto check = [&] {
    const auto source = open_model(model.write());
    const TernaryMatrix matrix = source->linear(0, Linear::K);
    CHECK(matrix.scale == 1.0f);
    const std::vector<int8_t> trits = trits_of(matrix);
    CHECK(std::vector<int>(trits.begin(), trits.end()) == expected);
    CHECK(source->linear(0, Linear::V).scale == doctest::Approx(1e-5));  // all zero: the mean is clamped
  };
  check();
  std::string f32;
  for (const float weight : weights) f32.append(reinterpret_cast<const char *>(&weight), 4);
  model.tensors["model.layers.0.self_attn.k_proj.weight"] = {"F32", {4, 8}, f32};
  check();
}

TEST_CASE("norms, embedding and head in each file type") {
  SmallModel model;
  model.tensors["model.norm.weight"].bytes = bf16_of({1, -2, 3, 0.5f, 0, 0, 0, 4});
  model.tensors["model.layers.0.input_layernorm.weight"] = {
      "F16", {8}, bf16_bytes({0x3c00, 0xc000, 0x0001, 0x0400, 0x7bff, 0x8000, 0x3555, 0x03ff})};
  std::string f32(8 * 4, '\0');
  f32[3] = '\x40';  // 2.0f
  model.tensors["model.layers.0.post_attention_layernorm.weight"] = {"F32", {8}, f32};
  model.tensors["model.embed_tokens.weight"].bytes[2] = '\x12';
  const auto source = open_model(model.write());
  CHECK(source->vector(0, Vector::FinalNorm) == std::vector<float>{1, -2, 3, 0.5f, 0, 0, 0, 4});
  CHECK(source->vector(0, Vector::InputNorm) ==
        std::vector<float>{1, -2, 0x1p-24f, 0x1p-14f, 65504, -0.0f, 0x1.554p-2f, 1023 * 0x1p-24f});
  CHECK(source->vector(0, Vector::PostAttentionNorm)[0] == 2.0f);
  CHECK(source->vector(1, Vector::FfnSubNorm).size() == 12);
  CHECK(source->vector(1, Vector::AttentionSubNorm).size() == 8);

  const FloatMatrix embedding = source->embedding(), tied = source->head();
  CHECK(embedding.rows == 16);
  CHECK(embedding.cols == 8);
  CHECK(embedding.dtype == DType::BF16);
  CHECK(embedding.data == tied.data);
  CHECK(embedding.data[2] == 0x12);
  std::vector<uint8_t> rows(2 * 16);
  embedding.fill(0, 2, rows.data());
  CHECK(std::equal(rows.begin(), rows.end(), embedding.data));

  model.config["tie_word_embeddings"] = false;
  model.tensors["lm_head.weight"] = {"F32", {16, 8}, std::string(16 * 8 * 4, '\0')};
  const auto untied = open_model(model.write());
  CHECK(untied->head().dtype == DType::F32);
  CHECK(untied->head().data != untied->embedding().data);
}

TEST_CASE("release drops a matrix's pages, and they come back") {
  const auto source = open_model(kData + "/goldens/bitnet_a_bf16");
  const TernaryMatrix matrix = source->linear(2, Linear::Gate);
  const std::vector<int8_t> before = trits_of(matrix);
  source->release(2, Linear::Gate);
  CHECK(trits_of(matrix) == before);

  // Resident pages of the mapping, counted by the kernel.
  const MappedFile file(kData + "/goldens/bitnet_a_bf16/model.safetensors");
  const auto resident = [&] {
    std::ifstream in("/proc/self/smaps");
    std::string line, word;
    bool ours = false;
    long kib = 0;
    while (std::getline(in, line)) {
      std::istringstream words(line);
      words >> word;
      if (word.find('-') != std::string::npos && word.back() != ':') {
        ours = std::stoull(word, nullptr, 16) == reinterpret_cast<uintptr_t>(file.data());
      } else if (ours && word == "Rss:") {
        words >> kib;
      }
    }
    return kib;
  };
  unsigned sum = 0;
  for (uint64_t i = 0; i < file.size(); i += 512) sum += file.data()[i];
  CHECK(sum > 0);
  CHECK(resident() > 6000);
  file.release(5000, file.size() - 5000);
  CHECK(resident() < 40);
}

TEST_CASE("identity changes with every file it depends on, and only then") {
  SmallModel model;
  std::set<std::string> seen;
  const auto identity = [&] { return open_model(model.write())->identity(); };
  const std::string first = identity();
  CHECK(first == open_model(model.folder.root())->identity());
  CHECK(first.find(model.folder.root() + "/model.safetensors size=") != std::string::npos);
  CHECK(first == open_model(model.folder.root() + "/../" + model.folder.root().substr(model.folder.root().rfind('/')))
                     ->identity());
  seen.insert(first);
  model.config["eos_token_id"] = 3;
  CHECK(seen.insert(identity()).second);
  model.tensors["model.norm.weight"].bytes[0] = 1;  // the same size and header: the time tells
  CHECK(seen.insert(identity()).second);
  std::filesystem::last_write_time(model.folder.path("model.safetensors"), std::filesystem::file_time_type{});
  CHECK(seen.insert(open_model(model.folder.root())->identity()).second);
}

TEST_CASE("presets: true shapes, the same numbers whoever asks for which rows") {
  CHECK(preset_names() ==
        std::vector<std::string>{"2b-4t", "demo", "3b", "llama3-8b", "falcon3-10b", "embedding-0.6b", "100b"});
  // Ternary weights in all, as the models' names say.
  const std::pair<const char *, int64_t> sizes[] = {{"2b-4t", 2'084'044'800},        {"3b", 3'221'504'000},
                                                    {"llama3-8b", 6'979'321'856},    {"falcon3-10b", 9'500'098'560},
                                                    {"embedding-0.6b", 440'401'920}, {"100b", 99'958'652'928}};
  for (const auto &[name, wanted] : sizes) {
    CAPTURE(name);
    const ModelConfig shape = synthetic_model(name)->config();
    int64_t weights = 0;
    for (size_t i = 0; i < kLinearCount; ++i) {
      const auto [rows, cols] = linear_shape(shape, static_cast<Linear>(i));
      weights += shape.layers * rows * cols;
    }
    CHECK(weights == wanted);
  }
  const auto model = synthetic_model("2b-4t");
  const ModelConfig &c = model->config();
  CHECK(c.hidden == 2560);
  CHECK(c.ffn == 6912);
  CHECK(c.layers == 30);
  CHECK(c.vocab == 128256);
  int64_t weights = 0;
  for (int64_t layer = 0; layer < c.layers; ++layer) {
    for (const auto &[which, name] : kNames)
      weights += model->linear(layer, which).rows * model->linear(layer, which).cols;
  }
  CHECK(weights == 2'084'044'800);
  CHECK(model->head().rows * model->head().cols == 128256LL * 2560);

  const auto demo = synthetic_model("demo"), real = open_model(kData + "/demo");
  for (const auto &[which, name] : kNames) {
    CHECK(demo->linear(0, which).rows == real->linear(0, which).rows);
    CHECK(demo->linear(0, which).cols == real->linear(0, which).cols);
  }
  CHECK(demo->config().max_positions == real->config().max_positions);
  CHECK(demo->config().bos == real->config().bos);
  CHECK(demo->identity() != model->identity());

  const TernaryMatrix matrix = demo->linear(1, Linear::Down);
  const std::vector<int8_t> whole = trits_of(matrix);
  std::vector<int8_t> parts(whole.size());
  std::vector<std::thread> threads;
  for (int64_t part = 0; part < 4; ++part) {
    threads.emplace_back(
        [&, part] { matrix.decode(part * 64, 64, parts.data() + part * 64 * matrix.cols, matrix.cols); });
  }
  for (std::thread &thread : threads) thread.join();
  CHECK(parts == whole);
  CHECK(trits_of(synthetic_model("demo")->linear(1, Linear::Down)) == whole);
  CHECK(trits_of(demo->linear(2, Linear::Down)) != whole);
  std::array<double, 3> share{};
  for (const int8_t trit : whole) share[static_cast<size_t>(trit + 1)] += 1.0 / static_cast<double>(whole.size());
  for (const double part : share) CHECK(part == doctest::Approx(1.0 / 3).epsilon(0.02));

  const FloatMatrix embedding = demo->embedding();
  std::vector<uint16_t> rows(static_cast<size_t>(4096 * 256)), row(256);
  embedding.fill(0, 4096, rows.data());
  embedding.fill(77, 1, row.data());
  CHECK(std::equal(row.begin(), row.end(), rows.begin() + 77 * 256));
  double sum = 0;
  for (const uint16_t bits : rows) {
    const float value = bf16_to_f32(bits);
    sum += static_cast<double>(value);
    if (!(std::fabs(value) >= 0x1p-7f && std::fabs(value) < 0x1p-5f)) FAIL(value);
  }
  CHECK(std::fabs(sum / static_cast<double>(rows.size())) < 1e-4);
}
