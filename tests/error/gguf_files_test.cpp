// GGUF containers that must be refused: each with one message that names file, field and byte, and without taking
// memory in proportion to what a file claims.
#include <doctest/doctest.h>

#include "runtime/model/gguf_float.h"
#include "runtime/model/gguf_ternary.h"
#include "tests/gguf_errors.h"
#include "tests/peak_memory.h"

using namespace bittern::runtime;
using namespace bittern::test;

namespace {

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

TEST_CASE("claims of gigabytes take no memory") {
  const int64_t before = peak_mib();
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
  CHECK(peak_mib() - before < 64);
}
