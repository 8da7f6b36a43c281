// The GGUF container: what was written is found again, in place and without copies. Files that must be refused are in
// tests/error/gguf_files_test.cpp.
#include "runtime/model/gguf_file.h"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include "runtime/error.h"
#include "tests/gguf_builder.h"

using namespace bittern::runtime;
using namespace bittern::test;

namespace {

std::string written(const ScratchFolder &folder, const GgufBuilder &builder) {
  folder.write("a.gguf", builder.bytes());
  return folder.path("a.gguf");
}

}  // namespace

TEST_CASE("every type of metadata is read, in versions 2 and 3") {
  for (const uint32_t version : {2u, 3u}) {
    const ScratchFolder folder;
    GgufBuilder b;
    b.version = version;
    b.set("u8", GgufType::U8, le(uint8_t{200}));
    b.set("i8", GgufType::I8, le(int8_t{-100}));
    b.set("u16", GgufType::U16, le(uint16_t{60000}));
    b.set("i16", GgufType::I16, le(int16_t{-30000}));
    b.u32("u32", 4000000000u);
    b.set("i32", GgufType::I32, le(int32_t{-2000000000}));
    b.set("u64", GgufType::U64, le(uint64_t{INT64_MAX}));
    b.set("i64", GgufType::I64, le(int64_t{INT64_MIN}));
    b.f32("f32", 1.5f);
    b.set("f64", GgufType::F64, le(2.25));
    b.boolean("true", true);
    b.boolean("false", false);
    b.string("string", "abc\xff");
    const GgufFile file(written(folder, b));
    CHECK(file.version() == version);
    const auto integer = [&](const char *key) { return file.get(key).integer(INT64_MIN, INT64_MAX); };
    CHECK(integer("u8") == 200);
    CHECK(integer("i8") == -100);
    CHECK(integer("u16") == 60000);
    CHECK(integer("i16") == -30000);
    CHECK(integer("u32") == 4000000000);
    CHECK(integer("i32") == -2000000000);
    CHECK(integer("u64") == INT64_MAX);
    CHECK(integer("i64") == INT64_MIN);
    CHECK(file.get("f32").number(0, 2) == 1.5);
    CHECK(file.get("f64").number(0, 3) == 2.25);
    CHECK(file.get("u8").number(0, 300) == 200);
    CHECK(file.get("true").boolean());
    CHECK(!file.get("false").boolean());
    CHECK(file.get("string").string() == "abc\xff");
    CHECK(file.find("none") == nullptr);
    CHECK(file.metadata().size() == 13);
  }
}

TEST_CASE("arrays: of numbers by place, of strings and arrays one after another") {
  const ScratchFolder folder;
  GgufBuilder b;
  b.array("numbers", GgufType::F32, 3, f32_bytes({1, 2, 3}));
  b.array("strings", GgufType::String, 3, gguf_string("a") + gguf_string("") + gguf_string("long one"));
  const std::string inner = le(uint32_t{0}) + le(uint64_t{2}) + "\x05\x06";
  b.array("nested", GgufType::Array, 2, inner + inner);
  b.array("empty", GgufType::String, 0, "");
  const GgufFile file(written(folder, b));
  const GgufArray numbers = file.get("numbers").array();
  CHECK(numbers.size() == 3);
  CHECK(numbers[2].number(0, 9) == 3);
  CHECK_THROWS_AS(numbers[3], Error);
  std::vector<std::string> strings;
  for (const GgufValue item : file.get("strings").array()) strings.emplace_back(item.string());
  CHECK(strings == std::vector<std::string>{"a", "", "long one"});
  CHECK_THROWS_AS(file.get("strings").array()[0], Error);
  int64_t sum = 0, count = 0;
  for (const GgufValue item : file.get("nested").array()) {
    ++count;
    for (const GgufValue number : item.array()) sum += number.integer(0, 255);
  }
  CHECK(count == 2);
  CHECK(sum == 22);
  for (const GgufValue item : file.get("empty").array()) item.fail("there is none");
}

TEST_CASE("tensors lie where the file has them, at every alignment") {
  for (const uint64_t alignment : {8, 32, 4096}) {
    const ScratchFolder folder;
    GgufBuilder b;
    b.alignment = alignment;
    b.u32("general.alignment", static_cast<uint32_t>(alignment));
    b.add("second", {3}, GgmlType::F32, f32_bytes({1, 2, 3}));
    b.add("first", {2, 2, 1, 1}, GgmlType::F32, f32_bytes({4, 5, 6, 7}));
    const GgufFile file(written(folder, b));
    CHECK(file.alignment() == alignment);
    const GgufTensor &first = file.get_tensor("first"), &second = file.get_tensor("second");
    CHECK(load_le<float>(first.data() + 12) == 7);
    CHECK(load_le<float>(second.data()) == 1);
    CHECK(first.rank == 4);
    CHECK(first.elements() == 4);
    CHECK(first.dims_text() == "[2, 2, 1, 1]");
    CHECK(second.next == &first);
    CHECK(second.end == first.begin);
    CHECK(first.next == nullptr);
    CHECK(first.end == file.file().size());
    CHECK(file.header().size() == second.begin);
    CHECK(file.find_tensor("third") == nullptr);
  }
}

TEST_CASE("a file of metadata alone may end with them") {
  const ScratchFolder folder;
  GgufBuilder b;
  b.string("general.architecture", "llama");
  size_t header = 0;
  const std::string bytes = b.bytes(&header);
  folder.write("a.gguf", bytes.substr(0, header));
  const GgufFile file(folder.path("a.gguf"));
  CHECK(file.get("general.architecture").string() == "llama");
  CHECK(file.tensors().empty());
}

TEST_CASE("a large vocabulary costs no memory of its own") {
  const ScratchFolder folder;
  GgufBuilder b;
  std::string items;
  constexpr uint64_t kTokens = 1'000'000;
  for (uint64_t i = 0; i < kTokens; ++i) items += gguf_string("token number " + std::to_string(i));
  b.array("tokenizer.ggml.tokens", GgufType::String, kTokens, items);
  const std::string path = written(folder, b);
  items.clear();
  const auto heap = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
  };
  const auto before = heap();
  const GgufFile file(path);
  uint64_t bytes = 0;
  for (const GgufValue token : file.get("tokenizer.ggml.tokens").array()) bytes += token.string().size();
  CHECK(bytes == 18'888'890);
  // Kilobytes; the file's own pages are resident as well.
  CHECK(heap() - before < static_cast<long>(file.file().size() / 1024 + 8192));
}
