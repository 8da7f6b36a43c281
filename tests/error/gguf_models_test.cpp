// GGUF files whose container is sound and does not make a model: metadata that is missing, absurd or not supported, and
// tensors that do not fit it. Each is refused with one message that names file, key or tensor, and byte.
#include <doctest/doctest.h>

#include <limits>

#include "tests/gguf_errors.h"

using namespace bittern::runtime;
using namespace bittern::test;

TEST_CASE("metadata of a model: missing, of the wrong type, absurd, not supported") {
  struct Row {
    const char *key;
    GgufType type;
    std::string value;
    const char *expected;  // after "metadata 'KEY': "
  };
  const auto u32 = [](uint32_t value) { return le(value); };
  const auto f32 = [](float value) { return le(value); };
  const std::string a = "bitnet-b1.58.";
  const Row rows[] = {
      {"general.architecture", GgufType::U32, u32(1), "type U32, expected String"},
      {"general.architecture", GgufType::String, gguf_string("falcon-h1"),
       "'falcon-h1' is not supported (supported: bitnet, bitnet-b1.58, bitnet-25, llama, qwen3, gemma3)"},
      {"embedding_length", GgufType::U32, u32(0), "0 is outside 2..131072"},
      {"embedding_length", GgufType::U32, u32(1), "1 is outside 2..131072"},
      {"embedding_length", GgufType::U32, u32(UINT32_MAX), "4294967295 is outside"},
      {"embedding_length", GgufType::U64, le(UINT64_MAX), "18446744073709551615 is outside"},
      {"embedding_length", GgufType::I64, le(INT64_MIN), "-9223372036854775808 is outside"},
      {"embedding_length", GgufType::F32, f32(128), "type F32, expected an integer"},
      {"feed_forward_length", GgufType::U32, u32(0), "0 is outside 1..131072"},
      {"feed_forward_length", GgufType::Array, le(uint32_t{4}) + le(uint64_t{1}) + u32(256),
       "type Array, expected an integer"},
      {"block_count", GgufType::U32, u32(0), "0 is outside 1..1024"},
      {"block_count", GgufType::U32, u32(1025), "1025 is outside 1..1024"},
      {"attention.head_count", GgufType::U32, u32(0), "0 is outside 1..4096"},
      {"attention.head_count", GgufType::U32, u32(3), "embedding_length 128 / 3 heads is not an even number"},
      {"attention.head_count_kv", GgufType::U32, u32(0), "0 is outside 1..4096"},
      {"attention.head_count_kv", GgufType::U32, u32(3), "3 does not divide 2 heads"},
      {"attention.key_length", GgufType::U32, u32(63), "63 is odd"},
      {"attention.key_length", GgufType::U32, u32(0), "0 is outside 2..4096"},
      {"attention.value_length", GgufType::U32, u32(32), "32 is not supported: heads have 64 elements"},
      {"rope.dimension_count", GgufType::U32, u32(32), "32 is not supported: heads have 64 elements"},
      {"context_length", GgufType::U32, u32(0), "0 is outside 1..134217728"},
      {"attention.layer_norm_rms_epsilon", GgufType::F32, f32(0), "0 is outside"},
      {"attention.layer_norm_rms_epsilon", GgufType::F32, f32(std::numeric_limits<float>::quiet_NaN()),
       "nan is outside"},
      {"attention.layer_norm_rms_epsilon", GgufType::F64, le(std::numeric_limits<double>::infinity()),
       "inf is outside"},
      {"rope.freq_base", GgufType::F32, f32(0), "0 is outside 1..1000000000000"},
      {"rope.scaling.type", GgufType::String, gguf_string("yarn"), "'yarn' is not supported"},
      {"rope.scaling.factor", GgufType::F32, f32(8), "8 is not supported"},
      {"expert_count", GgufType::U32, u32(8), "8 is not supported"},
      {"attention.sliding_window", GgufType::U32, u32(512), "sliding attention is not supported"},
      {"attention.causal", GgufType::Bool, std::string(1, '\0'), "false is not supported"},
      {"pooling_type", GgufType::U32, u32(2), "2 is not supported (supported: 0, 1, 3)"},
      {"pooling_type", GgufType::I32, le(-1), "-1 is not supported"},
      {"vocab_size", GgufType::U32, u32(17), "17, but the embedding has 16 rows"},
      {"tokenizer.ggml.bos_token_id", GgufType::U32, u32(16), "16 is outside 0..15"},
      {"tokenizer.ggml.eos_token_id", GgufType::U32, u32(UINT32_MAX), "4294967295 is outside 0..15"},
      {"tokenizer.ggml.eot_token_id", GgufType::I32, le(-1), "-1 is outside 0..15"},
      {"tokenizer.ggml.tokens", GgufType::Array, le(uint32_t{0}) + le(uint64_t{17}) + std::string(17, '\0'),
       "17 tokens, but the embedding has 16 rows"},
      {"tokenizer.ggml.add_bos_token", GgufType::U32, u32(0), "type U32, expected Bool"},
      {"bittern.activation", GgufType::String, gguf_string("gelu"), "'gelu' is not supported"},
      {"bittern.linear_norm_eps", GgufType::F32, f32(-1), "-1 is outside"},
      {"bittern.linear_scales", GgufType::Array, le(uint32_t{6}) + le(uint64_t{1}) + f32(1),
       "1 items of type F32, expected 14 of F32"},
      {"bittern.linear_scales", GgufType::Array, le(uint32_t{6}) + le(uint64_t{14}) + f32_bytes(std::vector<float>(14)),
       "0 is not a usable scale"},
      {"split.count", GgufType::U16, le(uint16_t{2}), "a part of a model in 2 files is not supported"},
      {"general.sampling.temp", GgufType::F32, f32(-1), "-1 is outside"},
      {"general.sampling.top_p", GgufType::F32, f32(2), "(no error)"}};  // without a temperature nothing is read
  for (const Row &row : rows) {
    const std::string name = row.key;
    const bool own = name.starts_with("general.") || name.starts_with("tokenizer.") || name.starts_with("bittern.") ||
                     name.starts_with("split.");
    const std::string key = own ? name : a + name;
    const std::string what = refused([&](GgufBuilder &b) { b.set(key, row.type, row.value); });
    const std::string expected = row.expected;
    CHECK_MESSAGE(contains(what, expected == "(no error)" ? expected : "metadata '" + key + "': " + expected), what);
    if (expected != "(no error)") CHECK_MESSAGE(contains(what, "at byte"), what);
  }
  for (const char *key : {"embedding_length", "feed_forward_length", "block_count", "attention.head_count",
                          "context_length", "attention.layer_norm_rms_epsilon"}) {
    const std::string what = refused([&](GgufBuilder &b) { b.remove(a + key); });
    CHECK_MESSAGE(contains(what, "metadata '" + a + key + "' is missing"), what);
  }
  CHECK(
      contains(refused([](GgufBuilder &b) { b.remove("general.architecture"); }), "'general.architecture' is missing"));
}

TEST_CASE("an activation that nothing tells") {
  const std::string what = refused([](GgufBuilder &b) { b.f32("bitnet.rope.freq_base", 1000000); }, "bitnet");
  CHECK_MESSAGE(contains(what, "none is known for architecture bitnet with rope.freq_base 1000000: say --activation"),
                what);
}

TEST_CASE("tensors of a model: missing, unknown, of the wrong shape or type") {
  const auto without = [](const std::string &name) {
    return refused([&](GgufBuilder &b) { std::erase_if(b.tensors, [&](const auto &t) { return t.name == name; }); });
  };
  for (const char *name : {"token_embd.weight", "output_norm.weight", "blk.1.attn_q.weight", "blk.0.ffn_norm.weight",
                           "blk.1.ffn_sub_norm.weight"}) {
    CHECK(contains(without(name), std::string("m.gguf: tensor '") + name + "' is missing"));
  }
  const auto with = [](const std::string &name, const std::vector<uint64_t> &dims, uint32_t type, size_t bytes) {
    return refused([&](GgufBuilder &b) { b.add(name, dims, type, std::string(bytes, '\x3c')); });
  };
  const std::string stray = ": not a tensor of a bitnet-b1.58 of 2 layers at byte";
  for (const char *name :
       {"blk.2.attn_q.weight", "blk.0.attn_q.bias", "blk.00.attn_q.weight", "blk.0.attn_q_norm.weight",
        "blk.1.attn_q_norm_in.weight", "token_types.weight", "blk..attn_q.weight"}) {
    const std::string what = with(name, {128}, GgmlType::F32, 512);
    CHECK_MESSAGE(contains(what, "tensor '" + std::string(name) + "'" + stray), what);
  }
  // One norm inside a linear layer means that all must be there.
  CHECK(contains(with("blk.0.attn_q_norm_in.weight", {128}, GgmlType::F32, 512),
                 "'blk.0.attn_k_norm_in.weight' is missing"));
  CHECK(contains(with("blk.0.attn_q.weight", {128, 64}, GgmlType::I2_S, 128 * 64 / 4 + 32),
                 "tensor 'blk.0.attn_q.weight': shape: [128, 64], expected [128, 128]"));
  CHECK(
      contains(with("blk.0.attn_q.weight", {128, 128}, GgmlType::Q8_0, 128 * 34 * 4),
               "tensor 'blk.0.attn_q.weight': type: 8 is no ternary type (known: I2_S, TL1, TL2, TQ1_0, TQ2_0, Q2_0"));
  CHECK(contains(with("blk.0.attn_q.weight", {128, 128}, GgmlType::TQ1_0, 4096), "shape: [128, 128] cannot be TQ1_0"));
  CHECK(contains(with("blk.0.attn_q.weight", {128, 128}, GgmlType::TL1, 4128),
                 "TL1: no tile sizes are known for 128 rows"));
  CHECK(contains(with("blk.0.attn_q.weight", {16384}, GgmlType::I2_S, 4128), "shape: [16384], expected [128, 128]"));
  CHECK(contains(with("token_embd.weight", {128}, GgmlType::F32, 512), "shape: [128], expected [128, vocabulary]"));
  CHECK(contains(with("token_embd.weight", {64, 16}, GgmlType::F32, 64 * 64), "shape: [64, 16], expected [128, 16]"));
  CHECK(contains(with("token_embd.weight", {128, 16}, GgmlType::Q6_K, 4096), "shape: [128, 16] cannot be Q6_K"));
  CHECK(contains(with("token_embd.weight", {128, 16}, GgmlType::I2_S, 544), "type: 36 is not supported here"));
  CHECK(
      contains(with("token_embd.weight", {128, uint64_t{1} << 30}, GgmlType::F32, 512), "expected [128, vocabulary]"));
  CHECK(contains(with("output.weight", {128, 15}, GgmlType::F32, 128 * 60), "shape: [128, 15], expected [128, 16]"));
  CHECK(contains(with("output_norm.weight", {64, 2}, GgmlType::F32, 512), "shape: [64, 2], expected [128]"));
  CHECK(contains(with("output_norm.weight", {128}, GgmlType::Q8_0, 136),
                 "type: 8 is not supported here (supported: F32, F16, BF16)"));
  CHECK(contains(
      refused([](GgufBuilder &b) { b.add("rope_freqs.weight", {32}, 0, f32_bytes(std::vector<float>(32, 8))); }),
      "tensor 'rope_freqs.weight': RoPE scaled by 8 is not supported"));
  CHECK(refused([](GgufBuilder &b) { b.add("rope_freqs.weight", {32}, 0, f32_bytes(std::vector<float>(32, 1))); }) ==
        "(no error)");
  CHECK(refused([](GgufBuilder &b) { b.add("blk.0.attn_v.weight", {128, 64}, 1, std::string(2 * 64 * 128, '\0')); }) !=
        "(no error)");
}

TEST_CASE("options that are none") {
  OpenOptions options;
  options.i2s_layout = "256";
  const ScratchFolder folder;
  folder.write("m.gguf", small_gguf().bytes());
  CHECK(contains(message([&] { open_model(folder.path("m.gguf"), options); }),
                 "--i2s-layout: '256' is not a layout (layouts: 128, 64, rows4)"));
  options = {};
  options.tl_config = folder.path("none.ini");
  CHECK(contains(message([&] { open_model(folder.path("m.gguf"), options); }), "none.ini: cannot open"));
}

TEST_CASE("group scales that only some layers have") {
  GgufBuilder b = small_gguf();
  const auto q2_0 = [](uint16_t second_scale) {
    std::string data;
    for (int i = 0; i < 128; ++i) {
      data += le(i == 1 ? second_scale : uint16_t{0x3c00}) + std::string(32, '\x15');
    }
    return data;
  };
  b.add("blk.1.attn_q.weight", {128, 128}, GgmlType::Q2_0, q2_0(0x3c00));
  CHECK(load_error(b.bytes()) == "(no error)");
  b.add("blk.1.attn_q.weight", {128, 128}, GgmlType::Q2_0, q2_0(0x3800));
  CHECK(contains(
      load_error(b.bytes()),
      "tensor 'blk.1.attn_q.weight': blocks have different scales, those of the first layer's matrices have not"));
  b.add("blk.0.attn_q.weight", {128, 128}, GgmlType::Q2_0, q2_0(0x3800));
  CHECK(load_error(b.bytes()) == "(no error)");
}
