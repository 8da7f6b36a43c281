// GGUF files that must be refused: each with one message that names file, field and byte, and without taking memory in
// proportion to what a file claims.
#include <doctest/doctest.h>
#include <sys/resource.h>

#include <functional>
#include <limits>

#include "runtime/error.h"
#include "runtime/model/gguf_float.h"
#include "runtime/model/gguf_ternary.h"
#include "runtime/model/model_source.h"
#include "tests/gguf_builder.h"

using namespace bittern::runtime;
using namespace bittern::test;

namespace {

template <typename Action>
std::string message(const Action &action) {
  try {
    action();
  } catch (const Error &error) {
    return error.what();
  }
  return "(no error)";
}

bool contains(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }

// Touches all that a model has, as loading it does.
void load_all(const std::string &path, const OpenOptions &options = {}) {
  const auto source = open_model(path, options);
  const ModelConfig &c = source->config();
  for (int64_t layer = 0; layer < c.layers; ++layer) {
    for (size_t i = 0; i < kLinearCount; ++i) {
      const TernaryMatrix matrix = source->linear(layer, static_cast<Linear>(i));
      std::vector<int8_t> trits(static_cast<size_t>(matrix.rows * matrix.cols));
      matrix.decode(0, matrix.rows, trits.data(), matrix.cols);
      if (matrix.group != 0) {
        std::vector<float> scales(static_cast<size_t>(matrix.rows * (matrix.cols / matrix.group)));
        matrix.group_scales(0, matrix.rows, scales.data());
      }
      if (c.linear_norms) source->linear_norm(layer, static_cast<Linear>(i));
    }
    for (size_t i = 0; i < kVectorCount; ++i) {
      if (has_vector(c, static_cast<Vector>(i))) source->vector(layer, static_cast<Vector>(i));
    }
  }
  for (const FloatMatrix &matrix : {source->embedding(), source->head()}) {
    std::vector<float> rows(static_cast<size_t>(matrix.rows * matrix.cols));
    matrix.fill(0, matrix.rows, rows.data());
  }
}

std::string load_error(const std::string &bytes, const OpenOptions &options = {}) {
  const ScratchFolder folder;
  folder.write("m.gguf", bytes);
  const std::string what = message([&] { load_all(folder.path("m.gguf"), options); });
  if (what != "(no error)") CHECK_MESSAGE(contains(what, "m.gguf: "), what);
  return what;
}

std::string container_error(const std::string &bytes) {
  const ScratchFolder folder;
  folder.write("a.gguf", bytes);
  return message([&] { GgufFile file(folder.path("a.gguf")); });
}

// What a small model with a change is refused with; it must be.
std::string refused(const std::function<void(GgufBuilder &)> &change,
                    const std::string &architecture = "bitnet-b1.58") {
  GgufBuilder b = small_gguf(architecture);
  change(b);
  return load_error(b.bytes());
}

template <typename T>
void overwrite(std::string &bytes, size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

const uint64_t kExtremes[] = {0,
                              1,
                              2,
                              0x7f,
                              0xff,
                              0xffff,
                              0x10000,
                              0x10001,
                              INT32_MAX,
                              UINT32_MAX,
                              uint64_t{1} << 32,
                              uint64_t{1} << 61,
                              uint64_t{1} << 62,
                              INT64_MAX,
                              uint64_t{1} << 63,
                              UINT64_MAX / 3,
                              UINT64_MAX - 31,
                              UINT64_MAX - 7,
                              UINT64_MAX};

}  // namespace

TEST_CASE("a GGUF file cut anywhere is refused") {
  size_t header = 0;
  const std::string whole = small_gguf().bytes(&header);
  REQUIRE(header > 1000);
  for (size_t length = 4; length < whole.size(); length += length < header + 40 ? 1 : 997) {
    const std::string what = load_error(whole.substr(0, length));
    CHECK_MESSAGE(contains(what, "at byte"), what);
  }
  for (size_t length = 0; length < 4; ++length) {
    CHECK(contains(container_error(whole.substr(0, length)), "a.gguf: magic: the file ends after"));
    CHECK(contains(load_error(whole.substr(0, length)), "not a folder and not a GGUF or Bittern file"));
  }
  CHECK(load_error(whole) == "(no error)");
  CHECK(load_error(whole + std::string(1000, 'x')) == "(no error)");
}

TEST_CASE("every byte of the header changed: refused, or a model all the same, but never a crash") {
  size_t header = 0;
  const std::string whole = small_gguf().bytes(&header);
  const ScratchFolder folder;
  int refused_count = 0;
  for (size_t at = 4; at < header; ++at) {
    for (const char byte : {'\0', '\x01', '\x7f', '\x80', '\xff'}) {
      std::string changed = whole;
      if (changed[at] == byte) continue;
      changed[at] = byte;
      folder.write("m.gguf", changed);
      refused_count += message([&] { open_model(folder.path("m.gguf")); }) != "(no error)";
    }
  }
  CHECK(refused_count > static_cast<int>(header) * 3);
}

TEST_CASE("magic and version") {
  GgufBuilder b;
  b.magic = "GGUX";
  CHECK(contains(container_error(b.bytes()), "a.gguf: magic: not a GGUF file at byte 0"));
  b.magic = "GGUF";
  for (const uint32_t version : {0u, 1u, 4u, 0x7fffffffu, 0xffffffffu}) {
    b.version = version;
    CHECK(contains(container_error(b.bytes()),
                   "a.gguf: version: " + std::to_string(version) + " is not supported (supported: 2, 3) at byte 4"));
  }
  for (const uint32_t version : {0x02000000u, 0x03000000u}) {
    b.version = version;
    CHECK(contains(container_error(b.bytes()), "a.gguf: version: big-endian files are not supported at byte 4"));
  }
}

TEST_CASE("each number of the header at its extremes") {
  // One key of each kind and one tensor; where its fields lie follows from the format.
  GgufBuilder b;
  b.string("string", "abc");
  b.array("array", GgufType::U32, 2, le(uint32_t{1}) + le(uint32_t{2}));
  b.array("texts", GgufType::String, 1, gguf_string("x"));
  b.add("tensor", {8, 1}, GgmlType::F32, f32_bytes(std::vector<float>(8, 1.0f)));
  const std::string whole = b.bytes();
  REQUIRE(container_error(whole) == "(no error)");
  struct Field {
    size_t at;
    size_t bytes;
    const char *names;  // what every message about it says
    uint64_t good;
  };
  const size_t string = 24, array = string + 8 + 6 + 4 + 8 + 3, texts = array + 8 + 5 + 4 + 12 + 8;
  const size_t tensor = texts + 8 + 5 + 4 + 12 + 9;
  const Field fields[] = {{8, 8, "", 1},
                          {16, 8, "", 3},
                          {string, 8, "metadata ", 6},
                          {string + 14, 4, "", 8},
                          {string + 18, 8, "", 3},
                          {array + 13, 4, "", 9},
                          {array + 17, 4, "", 4},
                          {array + 21, 8, "", 2},
                          {texts + 17, 4, "", 8},
                          {texts + 21, 8, "", 1},
                          {texts + 29, 8, "", 1},
                          {tensor, 8, "tensor ", 6},
                          {tensor + 14, 4, "tensor 'tensor': ", 2},
                          {tensor + 18, 8, "tensor 'tensor': ", 8},
                          {tensor + 26, 8, "tensor 'tensor': ", 1},
                          {tensor + 38, 8, "tensor 'tensor': offset: ", 0}};
  REQUIRE(whole.substr(tensor + 8, 6) == "tensor");
  int refused_count = 0;
  for (const Field &field : fields) {
    for (const uint64_t value : kExtremes) {
      if (value == field.good || (field.bytes == 4 && value > UINT32_MAX)) continue;
      CAPTURE(field.at);
      CAPTURE(value);
      std::string changed = whole;
      if (field.bytes == 8) {
        overwrite(changed, field.at, value);
      } else {
        overwrite(changed, field.at, static_cast<uint32_t>(value));
      }
      const std::string what = message([&] {
        const ScratchFolder folder;
        folder.write("a.gguf", changed);
        const GgufFile file(folder.path("a.gguf"));
        gguf_float_matrix(file.get_tensor("tensor"), 1, 8);
      });
      CHECK_MESSAGE(contains(what, "a.gguf: "), what);
      CHECK_MESSAGE(contains(what, field.names), what);
      refused_count += contains(what, "at byte");
    }
  }
  // Where a smaller count leaves another header behind, it is no longer the file meant, but refused all the same.
  CHECK(refused_count > 190);
}

TEST_CASE("counts, lengths and nesting") {
  GgufBuilder b;
  std::string bytes = b.bytes();
  overwrite(bytes, 8, uint64_t{65537});
  CHECK(contains(container_error(bytes), "tensor count: 65537 is more than the 65536 allowed at byte 8"));
  overwrite(bytes, 8, uint64_t{0});
  overwrite(bytes, 16, UINT64_MAX);
  CHECK(contains(container_error(bytes),
                 "metadata count: 18446744073709551615 is more than the 65536 allowed at byte 16"));
  const auto with_key = [](const std::string &name, uint32_t type, const std::string &value) {
    GgufBuilder one;
    one.keys.push_back({name, type, value});
    return container_error(one.bytes());
  };
  CHECK(contains(with_key("", 4, le(1)), "metadata key 0: 0 bytes long, expected 1 to 65535 at byte 24"));
  CHECK(contains(with_key(std::string(65536, 'a'), 4, le(1)), "metadata key 0: 65536 bytes long"));
  CHECK(contains(with_key("a\xff", 4, le(1)), "metadata key 0: not plain UTF-8 at byte 32"));
  CHECK(contains(with_key("a\n", 4, le(1)), "metadata key 0: not plain UTF-8 at byte 32"));
  CHECK(contains(with_key("a", 13, le(1)), "metadata 'a': unknown type 13 at byte 33"));
  CHECK(contains(with_key("a", 7, "\x02"), "metadata 'a': 2 is not a Bool at byte 37"));
  CHECK(contains(with_key("a", 8, le(uint64_t{1} << 40)),
                 "metadata 'a': a string of 1099511627776 bytes, but the file ends after"));
  CHECK(contains(with_key("a", 9, le(uint32_t{12}) + le(uint64_t{1} << 61)),
                 "metadata 'a': 2305843009213693952 items of type F64, but the file ends after"));
  CHECK(contains(with_key("a", 9, le(uint32_t{8}) + le(UINT64_MAX)), "items of type String, but the file ends after"));
  CHECK(contains(with_key("a", 9, le(uint32_t{99}) + le(uint64_t{0})), "metadata 'a': unknown type 99 at byte 37"));
  std::string nested = le(uint32_t{0}) + le(uint64_t{0});
  for (int i = 0; i < 3; ++i) nested = le(uint32_t{9}) + le(uint64_t{1}) + nested;
  CHECK(with_key("a", 9, nested) == "(no error)");
  CHECK(contains(with_key("a", 9, le(uint32_t{9}) + le(uint64_t{1}) + nested),
                 "metadata 'a': arrays nested deeper than 4 at byte"));
  GgufBuilder twice;
  twice.keys = {{"a", 4, le(1)}, {"a", 4, le(2)}};
  CHECK(contains(container_error(twice.bytes()), "metadata 'a': the same key twice at byte"));
}

TEST_CASE("alignment") {
  for (const uint32_t alignment : {0u, 1u, 4u, 24u, 0x80000000u, 0xffffffffu}) {
    GgufBuilder b;
    b.u32("general.alignment", alignment);
    const std::string what = container_error(b.bytes());
    CHECK_MESSAGE(contains(what, "metadata 'general.alignment': " + std::to_string(alignment) + " is "), what);
  }
  GgufBuilder b = small_gguf();
  b.u32("general.alignment", 1 << 30);
  CHECK(contains(container_error(b.bytes()), "padding: the file ends after"));
  b.string("general.alignment", "32");
  CHECK(contains(container_error(b.bytes()), "metadata 'general.alignment': type String, expected an integer"));
}

TEST_CASE("tensors: names, shapes, offsets") {
  const auto with = [](const std::vector<GgufBuilder::Info> &tensors) {
    GgufBuilder b;
    b.tensors = tensors;
    return container_error(b.bytes());
  };
  const std::string four = f32_bytes({1});
  CHECK(contains(with({{"", {1}, 0, four}}), "name of tensor 0: 0 bytes long, expected 1 to 255"));
  CHECK(contains(with({{std::string(256, 'a'), {1}, 0, four}}), "name of tensor 0: 256 bytes long"));
  CHECK(contains(with({{"a", {1}, 0, four}, {"a", {1}, 0, four}}), "tensor 'a': the same name twice at byte"));
  CHECK(contains(with({{"a", {}, 0, four}}), "tensor 'a': 0 dimensions, expected 1 to 4"));
  CHECK(contains(with({{"a", {1, 1, 1, 1, 1}, 0, four}}), "tensor 'a': 5 dimensions, expected 1 to 4"));
  CHECK(contains(with({{"a", {1, 0}, 0, four}}), "tensor 'a': dimension 1 is 0"));
  CHECK(contains(with({{"a", {UINT64_MAX}, 0, four}}), "tensor 'a': dimension 0 is 18446744073709551615"));
  CHECK(contains(with({{"a", {uint64_t{1} << 32, uint64_t{1} << 32}, 0, four}}),
                 "tensor 'a': the product of its dimensions overflows"));
  GgufBuilder b;
  b.add("a", {8}, 0, std::string(32, 'a'));
  b.add("b", {8}, 0, std::string(32, 'b'));
  size_t header = 0;
  const std::string whole = b.bytes(&header);
  const auto with_offset = [&](uint64_t offset) {
    std::string changed = whole;
    overwrite(changed, header - 8, offset);
    return container_error(changed);
  };
  CHECK(contains(with_offset(33), "tensor 'b': offset: 33 is not a multiple of the alignment 32"));
  CHECK(contains(with_offset(64), "tensor 'b': offset: 64 lies beyond the file, which has 64 bytes of data"));
  CHECK(contains(with_offset(0), "tensor 'b': offset: overlaps tensor 'a'"));
  CHECK(contains(with_offset(UINT64_MAX - 31), "tensor 'b': offset: 18446744073709551584 lies beyond the file"));
  // Less room than the type takes.
  const auto matrix_error = [](uint64_t rows, uint32_t type, size_t bytes, bool last) {
    GgufBuilder one;
    one.add("a", {256, rows}, type, std::string(bytes, '\x01'));
    if (!last) one.add("b", {1}, 0, std::string(4, 'b'));
    const ScratchFolder folder;
    folder.write("a.gguf", one.bytes());
    const GgufFile file(folder.path("a.gguf"));
    const int64_t count = static_cast<int64_t>(rows);
    return message([&] {
      if (GgufTernary::is_ternary(type)) {
        GgufTernary(file.get_tensor("a"), count, 256, {});
      } else {
        gguf_float_matrix(file.get_tensor("a"), count, 256);
      }
    });
  };
  CHECK(contains(matrix_error(4, GgmlType::F16, 1024, false), "[256, 4] of F16 takes 2048 bytes: overlaps tensor 'b'"));
  CHECK(contains(matrix_error(4, GgmlType::F16, 1024, true),
                 "[256, 4] of F16 takes 2048 bytes, but the file ends after 1024"));
  CHECK(
      contains(matrix_error(4, GgmlType::TQ2_0, 256, false), "[256, 4] of TQ2_0 takes 264 bytes: overlaps tensor 'b'"));
  CHECK(contains(matrix_error(4, GgmlType::TQ2_0, 256, true), "takes 264 bytes, but the file ends after 256"));
  CHECK(contains(matrix_error(4, GgmlType::Q2_0, 200, false),
                 "type: 42 for [256, 4] has 224 bytes, expected 288 of Q2_0 or 272 of Q2_0 at byte"));
  CHECK(contains(matrix_error(4, GgmlType::I2_S, 4096, false),
                 "type: 36 for [256, 4] has 4096 bytes, expected 288 of I2_S"));
  CHECK(contains(matrix_error(4, 37, 4096, false), "type: 37 is not supported here (supported: F32, F16, BF16, Q8_0"));
  CHECK(contains(matrix_error(uint64_t{1} << 53, GgmlType::F32, 32, true), "is too large"));
  CHECK(contains(matrix_error(uint64_t{1} << 50, GgmlType::I2_S, 32, true), "more than 268435456 a side"));
}

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

TEST_CASE("claims of gigabytes take no memory") {
  const auto peak = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss / 1024;
  };
  const auto before = peak();
  GgufBuilder b;
  b.keys.push_back({"a", 9, le(uint32_t{8}) + le(uint64_t{1} << 33)});
  container_error(b.bytes());
  b.keys[0] = {"a", 8, le(uint64_t{1} << 33)};
  container_error(b.bytes());
  b.keys.clear();
  b.add("token_embd.weight", {1 << 16, 1 << 20}, GgmlType::F32, "");
  std::string bytes = b.bytes();
  overwrite(bytes, 8, uint64_t{65536});
  container_error(bytes);
  CHECK(peak() - before < 64);
}
