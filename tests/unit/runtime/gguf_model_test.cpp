// A GGUF file as a model: metadata to ModelConfig, tensor names, the order of q and k rows, scales, what the table of
// activations says.
#include <doctest/doctest.h>

#include <functional>
#include <set>

#include "runtime/error.h"
#include "runtime/model/model_source.h"
#include "runtime/model/safetensors.h"
#include "runtime/model/ternary_tensor.h"
#include "tests/gguf_builder.h"

using namespace bittern::runtime;
using namespace bittern::test;

namespace {

const std::string kData = BITTERN_TEST_DATA;

struct Opened {
  ScratchFolder folder;
  std::vector<std::string> notes;
  std::unique_ptr<ModelSource> source;
  explicit Opened(const GgufBuilder &builder, OpenOptions options = {}) {
    folder.write("m.gguf", builder.bytes());
    options.note = [this](const std::string &text) { notes.push_back(text); };
    source = open_model(folder.path("m.gguf"), options);
  }
  const ModelConfig &config() const { return source->config(); }
};

std::vector<int8_t> trits_of(const TernaryMatrix &matrix) {
  std::vector<int8_t> out(static_cast<size_t>(matrix.rows * matrix.cols));
  matrix.decode(0, matrix.rows, out.data(), matrix.cols);
  return out;
}

std::string f16_bytes(const std::vector<int8_t> &trits, float scale) {
  const uint16_t bits = f16_of(scale);
  std::string out;
  for (const int8_t trit : trits) out += le(static_cast<uint16_t>(trit == 0 ? 0 : trit > 0 ? bits : bits | 0x8000u));
  return out;
}

// Where the order that GGUF's "llama" has puts the rows of each head: reshape(heads, 2, head_dim / 2), swap the last
// two.
std::vector<int8_t> permuted(const std::vector<int8_t> &trits, int64_t rows, int64_t cols, int64_t heads) {
  std::vector<int8_t> out;
  const int64_t half = rows / heads / 2;
  for (int64_t head = 0; head < heads; ++head) {
    for (int64_t i = 0; i < half; ++i) {
      for (int64_t part = 0; part < 2; ++part) {
        const int64_t row = (head * 2 + part) * half + i;
        out.insert(out.end(), trits.begin() + row * cols, trits.begin() + (row + 1) * cols);
      }
    }
  }
  return out;
}

}  // namespace

TEST_CASE("a BitNet file: every field and tensor") {
  const Opened model(small_gguf());
  const ModelConfig &c = model.config();
  CHECK(c.architecture == "bitnet-b1.58");
  CHECK(c.vocab == 16);
  CHECK(c.hidden == 128);
  CHECK(c.ffn == 256);
  CHECK(c.layers == 2);
  CHECK(c.heads == 2);
  CHECK(c.kv_heads == 1);
  CHECK(c.head_dim == 64);
  CHECK(c.max_positions == 64);
  CHECK(c.rms_eps == 1e-5f);
  CHECK(c.rope_theta == 500000);
  CHECK(c.activation == Activation::Relu2);
  CHECK(c.activation_from == "table: architecture bitnet-b1.58, rope base 500000");
  CHECK(c.tied_head);
  CHECK(c.has_head);
  CHECK(c.sub_norms);
  CHECK(!c.qk_norm);
  CHECK(c.scale_group == 0);
  CHECK(c.bos == 1);
  CHECK(c.eos == std::vector<int32_t>{2});
  CHECK(!c.generation.do_sample);
  for (int64_t layer = 0; layer < 2; ++layer) {
    for (size_t i = 0; i < kLinearCount; ++i) {
      const TernaryMatrix matrix = model.source->linear(layer, static_cast<Linear>(i));
      CHECK(std::pair(matrix.rows, matrix.cols) == linear_shape(c, static_cast<Linear>(i)));
      CHECK(matrix.scale == 0.5f);
      // The builder's order is q, k, v, output, gate, up, down as well.
      CHECK(trits_of(matrix) ==
            random_trits(matrix.rows * matrix.cols, static_cast<unsigned>(layer * 7 + static_cast<int64_t>(i) + 1)));
    }
    CHECK(model.source->vector(layer, Vector::FfnSubNorm) == std::vector<float>(256, 1.0f));
  }
  const FloatMatrix embedding = model.source->embedding();
  CHECK(embedding.dtype == DType::F32);
  CHECK(load_le<float>(embedding.data + 4 * 128) == static_cast<float>(128 % 37) / 16 - 1);
  REQUIRE(model.notes.size() == 1);
  CHECK(model.notes[0].find("I2_S is read as blocks of 128; bitnet.cpp writes three layouts") != std::string::npos);
  CHECK(model.source->format() == "GGUF version 3, ternary weights in I2_S (blocks of 128)");
}

TEST_CASE("the activation: option, Bittern's own key, table, and what none of them knows") {
  struct Row {
    const char *architecture;
    float base;
    Activation expected;
  };
  for (const Row &row : {Row{"bitnet", 500000, Activation::Relu2}, Row{"bitnet", 10000, Activation::Silu},
                         Row{"bitnet-b1.58", 500000, Activation::Relu2}, Row{"bitnet-b1.58", 10000, Activation::Silu},
                         Row{"bitnet-25", 500000, Activation::Relu2}, Row{"llama", 500000, Activation::Silu},
                         Row{"llama", 1000042, Activation::Silu}}) {
    GgufBuilder b = small_gguf(row.architecture);
    b.f32(std::string(row.architecture) + ".rope.freq_base", row.base);
    CHECK(Opened(b).config().activation == row.expected);
    OpenOptions options;
    options.activation = Activation::GeluTanh;
    const Opened overridden(b, options);
    CHECK(overridden.config().activation == Activation::GeluTanh);
    CHECK(overridden.config().activation_from == "--activation");
  }
  GgufBuilder b = small_gguf("bitnet");
  b.remove("bitnet.rope.freq_base");  // 10000 then, as llama.cpp has it
  CHECK(Opened(b).config().activation == Activation::Silu);
  CHECK(Opened(b).config().rope_theta == 10000);
  b.f32("bitnet.rope.freq_base", 250000);
  CHECK_THROWS_AS(Opened{b}, Error);
  b.string("bittern.activation", "silu");
  CHECK(Opened(b).config().activation == Activation::Silu);
  CHECK(Opened(b).config().activation_from == "bittern.activation");
}

TEST_CASE("q and k rows of architecture llama come back in the order of the other formats") {
  // A golden's weights, so that heads have other numbers of rows than columns.
  const SafetensorsFile golden(kData + "/goldens/bitnet_a_packed/model.safetensors");
  const auto golden_trits = [&](const char *name, int64_t rows) {
    std::vector<int8_t> out(static_cast<size_t>(rows * 256));
    decode_packed(golden.tensors().at(std::string("model.layers.0.self_attn.") + name), rows, 256, 0, rows, out.data(),
                  256);
    return out;
  };
  const std::vector<int8_t> q = golden_trits("q_proj.weight", 256), k = golden_trits("k_proj.weight", 64);
  GgufBuilder b = small_gguf("llama");
  b.u32("llama.embedding_length", 256);
  b.u32("llama.block_count", 1);
  b.u32("llama.attention.head_count", 8);
  b.u32("llama.attention.head_count_kv", 2);
  std::erase_if(b.tensors, [](const GgufBuilder::Info &t) { return t.name.starts_with("blk.1."); });
  const auto linear = [&](const char *name, uint64_t rows, uint64_t cols, const std::vector<int8_t> &trits) {
    b.add(std::string("blk.0.") + name + ".weight", {cols, rows}, GgmlType::I2_S, i2s_bytes(trits, 0.5f));
  };
  const std::vector<int8_t> v = random_trits(64 * 256, 40), square = random_trits(256 * 256, 41);
  linear("attn_q", 256, 256, permuted(q, 256, 256, 8));
  linear("attn_k", 64, 256, permuted(k, 64, 256, 2));
  linear("attn_v", 64, 256, v);
  for (const char *name : {"attn_output", "ffn_gate", "ffn_up", "ffn_down"}) linear(name, 256, 256, square);
  const std::string ones = f32_bytes(std::vector<float>(256, 1.0f));
  for (const char *name : {"output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"}) {
    b.add(std::string(name) + ".weight", {256}, GgmlType::F32, ones);
  }
  b.add("token_embd.weight", {256, 16}, GgmlType::F32, f32_bytes(std::vector<float>(16 * 256, 0.5f)));
  const Opened model(b);
  CHECK(!model.config().sub_norms);
  CHECK(permuted(q, 256, 256, 8) != q);
  CHECK(trits_of(model.source->linear(0, Linear::Q)) == q);
  CHECK(trits_of(model.source->linear(0, Linear::K)) == k);
  CHECK(trits_of(model.source->linear(0, Linear::V)) == v);
  CHECK(trits_of(model.source->linear(0, Linear::O)) == square);
  // A range of rows that begins within a head.
  std::vector<int8_t> part(3 * 256);
  model.source->linear(0, Linear::Q).decode(45, 3, part.data(), 256);
  CHECK(std::equal(part.begin(), part.end(), q.begin() + 45 * 256));
}

TEST_CASE("weights as floats: ternary ones keep their scale, masters get their mean") {
  GgufBuilder b = small_gguf();
  const std::vector<int8_t> trits = random_trits(128 * 128, 50);
  b.add("blk.0.attn_q.weight", {128, 128}, GgmlType::F16, f16_bytes(trits, 0.75f));
  std::vector<float> masters;
  for (size_t i = 0; i < 64 * 128; ++i) masters.push_back(static_cast<float>(i % 9) - 4);  // mean magnitude 20 / 9
  b.add("blk.0.attn_k.weight", {128, 64}, GgmlType::F32, f32_bytes(masters));
  const Opened model(b);
  const TernaryMatrix q = model.source->linear(0, Linear::Q), k = model.source->linear(0, Linear::K);
  CHECK(q.scale == 0.75f);
  CHECK(trits_of(q) == trits);
  double mean = 0;
  for (const float w : masters) mean += static_cast<double>(std::fabs(w)) / static_cast<double>(masters.size());
  CHECK(k.scale == doctest::Approx(mean).epsilon(1e-6));
  const std::vector<int8_t> got = trits_of(k);
  for (size_t i = 0; i < got.size(); ++i) {
    const double scaled = static_cast<double>(masters[i]) / mean;
    REQUIRE(got[i] == (scaled > 0.5 ? 1 : scaled < -0.5 ? -1 : 0));
  }
  CHECK(model.source->format() == "GGUF version 3, ternary weights in I2_S (blocks of 128), floats");
}

TEST_CASE("exact scales of Bittern's own key replace those that a type rounded") {
  GgufBuilder b = small_gguf();
  std::vector<float> scales(14, 0.5f);
  scales[3] = 0.5001f;
  b.array("bittern.linear_scales", GgufType::F32, 14, f32_bytes(scales));
  const Opened model(b);
  CHECK(model.source->linear(0, Linear::O).scale == 0.5001f);
  CHECK(model.source->linear(1, Linear::O).scale == 0.5f);
  scales[3] = 0.51f;
  b.array("bittern.linear_scales", GgufType::F32, 14, f32_bytes(scales));
  CHECK_THROWS_AS(Opened(b).source->linear(0, Linear::O), Error);
}

TEST_CASE("group scales: every matrix of the model has them") {
  GgufBuilder b = small_gguf("llama");
  const std::vector<int8_t> trits = random_trits(128 * 128, 60);
  std::string data;
  for (size_t g = 0; g < trits.size() / 128; ++g) {
    data += le(f16_of(g % 2 ? 0.5f : 0.25f));
    for (size_t i = 0; i < 32; ++i) {
      unsigned byte = 0;
      for (size_t f = 0; f < 4; ++f) byte |= static_cast<unsigned>(trits[g * 128 + 4 * i + f] + 1) << (2 * f);
      data += static_cast<char>(byte);
    }
  }
  b.add("blk.0.attn_q.weight", {128, 128}, GgmlType::Q2_0, data);
  const Opened model(b);
  CHECK(model.config().scale_group == 128);
  const TernaryMatrix q = model.source->linear(0, Linear::Q), up = model.source->linear(1, Linear::Up);
  CHECK(q.group == 128);
  CHECK(up.group == 128);
  std::vector<float> scales(128);
  q.group_scales(0, 128, scales.data());
  // Rows are un-permuted and their scales with them: row 0 and 1 of the model are rows 0 and 2 of the file.
  CHECK(scales[0] == 0.25f);
  CHECK(scales[1] == 0.25f);
  CHECK(scales[32] == 0.5f);
  CHECK(scales[33] == 0.5f);
  up.group_scales(0, 2, scales.data());
  CHECK(scales[0] == 0.5f);
  const std::vector<int8_t> got = trits_of(q);
  CHECK(std::equal(got.begin() + 128, got.begin() + 256, trits.begin() + 2 * 128));
}

TEST_CASE("embedding models: qwen3 and gemma3 as bitnet.cpp's converter writes them") {
  for (const std::string architecture : {"qwen3", "gemma3"}) {
    CAPTURE(architecture);
    GgufBuilder b = small_gguf(architecture);
    const bool gemma = architecture == "gemma3";
    b.u32(architecture + ".attention.key_length", 64);
    b.u32(architecture + ".attention.value_length", 64);
    b.u32(architecture + ".rope.dimension_count", 64);
    b.u32(architecture + ".pooling_type", gemma ? 1 : 3);
    const auto vector = [&](const std::string &name, size_t size, float value) {
      std::string halves;
      for (size_t i = 0; i < size; ++i) halves += le(f16_of(value));
      b.add(name, {size}, GgmlType::F16, halves);
    };
    for (const std::string layer : {"blk.0.", "blk.1."}) {
      vector(layer + "attn_q_norm.weight", 64, 1.5f);
      vector(layer + "attn_k_norm.weight", 64, 2);
      for (const char *name : {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up"}) {
        vector(layer + name + "_norm_in.weight", 128, 3);
      }
      vector(layer + "ffn_down_norm_in.weight", 256, 4);
      if (gemma) vector(layer + "post_attention_norm.weight", 128, 5);
      if (gemma) vector(layer + "post_ffw_norm.weight", 128, 6);
    }
    if (gemma) b.u32("gemma3.attention.sliding_window", 32);
    const Opened model(b);
    const ModelConfig &c = model.config();
    CHECK(c.qk_norm);
    CHECK(c.linear_norms);
    CHECK(c.linear_norm_eps == 1e-6f);
    CHECK(c.post_norms == gemma);
    CHECK(c.pooling == (gemma ? Pooling::Mean : Pooling::Last));
    CHECK(!c.has_head);
    CHECK(c.activation == (gemma ? Activation::GeluTanh : Activation::Silu));
    CHECK(c.embedding_scale == (gemma ? std::sqrt(128.0f) : 1.0f));
    CHECK(c.window == (gemma ? 32 : 0));
    CHECK(c.global_every == (gemma ? 6 : 1));
    CHECK(c.rope_theta_local == (gemma ? 10000 : 0));
    CHECK(model.source->vector(1, Vector::QNorm) == std::vector<float>(64, 1.5f));
    CHECK(model.source->linear_norm(1, Linear::Down) == std::vector<float>(256, 4.0f));
    if (gemma) CHECK(model.source->vector(0, Vector::FfnOutNorm) == std::vector<float>(128, 6.0f));
    // Not permuted.
    CHECK(trits_of(model.source->linear(0, Linear::Q)) == random_trits(128 * 128, 1));
  }
}

TEST_CASE("head, stop ids, sampling") {
  GgufBuilder b = small_gguf();
  b.add("output.weight", {128, 16}, GgmlType::BF16, std::string(2 * 16 * 128, '\x3f'));
  b.u32("tokenizer.ggml.eot_token_id", 5);
  b.u32("tokenizer.ggml.eom_token_id", 2);
  b.boolean("tokenizer.ggml.add_bos_token", false);
  b.f32("general.sampling.temp", 0.7f);
  b.f32("general.sampling.top_p", 0.9f);
  b.u32("general.sampling.top_k", 40);
  const Opened model(b);
  CHECK(!model.config().tied_head);
  CHECK(model.source->head().dtype == DType::BF16);
  CHECK(model.config().eos == std::vector<int32_t>{2, 5});
  CHECK(model.config().bos == -1);
  CHECK(model.config().generation.do_sample);
  CHECK(model.config().generation.temperature == 0.7f);
  CHECK(model.config().generation.top_k == 40);
}

TEST_CASE("the identity changes with the file and with what changes its meaning") {
  std::set<std::string> seen;
  const ScratchFolder folder;
  folder.write("m.gguf", small_gguf().bytes());
  folder.write("c.ini", "[a]\nm=1\nk=1\nbm=1\nbk=1\nbmm=1\n");
  const auto identity = [&](const OpenOptions &options) {
    return open_model(folder.path("m.gguf"), options)->identity();
  };
  OpenOptions options;
  CHECK(seen.insert(identity(options)).second);
  CHECK(!seen.insert(identity(options)).second);
  options.activation = Activation::Silu;  // weights are the same
  CHECK(!seen.insert(identity(options)).second);
  options.i2s_layout = "64";
  CHECK(seen.insert(identity(options)).second);
  options.tl_config = folder.path("c.ini");
  CHECK(seen.insert(identity(options)).second);
  folder.write("c.ini", "[a]\nm=2\nk=1\nbm=1\nbk=1\nbmm=1\n");
  CHECK(seen.insert(identity(options)).second);
  folder.write("m.gguf", small_gguf().bytes() + "x");
  CHECK(seen.insert(identity(options)).second);
}
