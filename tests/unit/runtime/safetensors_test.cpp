// Safetensors: what a well-formed file gives, gaps and order, shards. Malformed ones are in error/model_files_test.
#include "runtime/model/safetensors.h"

#include <doctest/doctest.h>

#include "runtime/error.h"
#include "tests/model_folder.h"

using namespace bittern::runtime;
using namespace bittern::test;

TEST_CASE("names, types, shapes and places") {
  const ScratchFolder folder;
  folder.write(
      "a.safetensors",
      safetensors_bytes({{"x", {"F32", {2, 1}, "12345678"}}, {"empty", {"I64", {0, 7}, ""}}, {"s", {"U8", {}, "!"}}}));
  const SafetensorsFile file(folder.path("a.safetensors"));
  REQUIRE(file.tensors().size() == 3);
  const Tensor &x = file.tensors().at("x");
  CHECK(x.type == TensorType::F32);
  CHECK(x.shape == std::vector<int64_t>{2, 1});
  CHECK(x.shape_text() == "[2, 1]");
  CHECK(std::string(reinterpret_cast<const char *>(x.data()), 8) == "12345678");
  CHECK(file.tensors().at("s").shape.empty());
  CHECK(file.tensors().at("empty").begin == file.tensors().at("empty").end);
  CHECK(file.header().substr(8, 1) == "{");
}

TEST_CASE("gaps, any order, padding after the header and bytes after the data are no error") {
  const ScratchFolder folder;
  const std::string header =
      R"({"b":{"dtype":"U8","shape":[2],"data_offsets":[5,7]},"a":{"data_offsets":[1,3],"shape":[1],"dtype":"BF16"}}   )";
  folder.write("a.safetensors", safetensors_bytes(header, "-AB--ab---"));
  const SafetensorsFile file(folder.path("a.safetensors"));
  CHECK(*file.tensors().at("b").data() == 'a');
  CHECK(*file.tensors().at("a").data() == 'A');
}

TEST_CASE("every type of the format is known by its size") {
  const std::pair<const char *, size_t> types[] = {{"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1},
                                                   {"I16", 2},  {"U16", 2}, {"F16", 2}, {"BF16", 2},    {"I32", 4},
                                                   {"U32", 4},  {"F32", 4}, {"I64", 8}, {"U64", 8},     {"F64", 8}};
  TestTensors tensors;
  for (const auto &[name, bytes] : types) tensors[name] = {name, {3}, std::string(3 * bytes, 'x')};
  const ScratchFolder folder;
  folder.write("a.safetensors", safetensors_bytes(tensors));
  const SafetensorsFile file(folder.path("a.safetensors"));
  for (const auto &[name, bytes] : types) {
    CHECK(tensor_type_name(file.tensors().at(name).type) == name);
    CHECK(tensor_type_bytes(file.tensors().at(name).type) == bytes);
  }
}

TEST_CASE("shards are found through the index; one file goes before an index") {
  const ScratchFolder folder;
  folder.write("one.safetensors", safetensors_bytes({{"a", {"U8", {1}, "A"}}, {"unlisted", {"U8", {1}, "?"}}}));
  folder.write("two.safetensors", safetensors_bytes({{"b", {"U8", {1}, "B"}}}));
  folder.write("model.safetensors.index.json",
               R"({"metadata":{"total_size":2},"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})");
  {
    const TensorFolder tensors(folder.root());
    CHECK(tensors.files().size() == 2);
    CHECK(tensors.tensors().size() == 2);
    CHECK(*tensors.get("a").data() == 'A');
    CHECK(*tensors.get("b").data() == 'B');
    CHECK(tensors.find("unlisted") == nullptr);
    CHECK_THROWS_WITH_AS(tensors.get("c"), doctest::Contains("index.json: tensor 'c' is missing"), Error);
  }
  folder.write("model.safetensors", safetensors_bytes({{"c", {"U8", {1}, "C"}}}));
  CHECK(*TensorFolder(folder.root()).get("c").data() == 'C');
}
