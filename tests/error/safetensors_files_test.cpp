// Safetensors files and their indices that must be refused: each with one message that names file, field and byte, and
// without taking memory in proportion to what a file claims.
#include <doctest/doctest.h>

#include "runtime/model/model_source.h"
#include "runtime/model/safetensors.h"
#include "tests/error_message.h"
#include "tests/load_all.h"
#include "tests/model_folder.h"
#include "tests/peak_memory.h"

using namespace bittern::runtime;
using namespace bittern::test;

namespace {

std::string header_error(const std::string &header, const std::string &data = "0123456789") {
  const ScratchFolder folder;
  folder.write("a.safetensors", safetensors_bytes(header, data));
  return message([&] { SafetensorsFile file(folder.path("a.safetensors")); });
}

}  // namespace

TEST_CASE("a safetensors file cut anywhere is refused") {
  const SmallModel model;
  model.write();
  const std::string whole = safetensors_bytes(model.tensors);
  size_t header = 8;
  while (whole[header] != '\0' && header < whole.size() && whole.substr(header, 2) != "}}") ++header;
  REQUIRE(header > 1000);
  for (size_t length = 0; length < whole.size(); length += length < header + 20 ? 1 : 37) {
    model.folder.write("model.safetensors", whole.substr(0, length));
    const std::string what = message([&] { open_model(model.folder.root()); });
    CHECK_MESSAGE(contains(what, "model.safetensors: "), what);
    CHECK_MESSAGE(contains(what, "at byte"), what);
  }
  model.folder.write("model.safetensors", whole);
  CHECK_NOTHROW(load_all(model.folder.root()));
}

TEST_CASE("every byte of the header changed: refused, or a model all the same, but never a crash") {
  const SmallModel model;
  model.write();
  const std::string whole = safetensors_bytes(model.tensors);
  const size_t header = 8 + static_cast<size_t>(static_cast<unsigned char>(whole[0])) +
                        256 * static_cast<size_t>(static_cast<unsigned char>(whole[1]));
  int refused = 0;
  for (size_t at = 0; at < header; ++at) {
    for (const char byte : {'\0', '9', '"', '[', '\xff'}) {
      std::string changed = whole;
      changed[at] = byte;
      model.folder.write("model.safetensors", changed);
      const std::string what = message([&] { load_all(model.folder.root()); });
      refused += what != "(no error)";
    }
  }
  CHECK(refused > static_cast<int>(header) * 3);
}

TEST_CASE("the header's length field at its extremes") {
  const ScratchFolder folder;
  const std::string path = folder.path("a.safetensors");
  const uint64_t lengths[] = {
      0, 1, 3, 100'000'000, 100'000'001, uint64_t{1} << 32, UINT64_MAX / 2, UINT64_MAX - 7, UINT64_MAX};
  for (const uint64_t length : lengths) {
    std::string bytes(8, '\0');
    for (int i = 0; i < 8; ++i) bytes[static_cast<size_t>(i)] = static_cast<char>(length >> (8 * i) & 0xff);
    folder.write("a.safetensors", bytes + "{}");
    const std::string what = message([&] { SafetensorsFile file(path); });
    CHECK_MESSAGE(contains(what, path + ": "), what);
    CHECK_MESSAGE(contains(what, length < 2 ? "not valid JSON" : "header length: "), what);
  }
}

TEST_CASE("each field of a tensor's entry, wrong in each way") {
  struct Row {
    const char *entry, *expected;
  };
  // The entry begins at byte 13 of the file: after the length field, '{"x":'.
  const Row rows[] = {
      {R"(7)", "tensor 'x': expected an object, found a number at byte 13"},
      {R"({})", "tensor 'x': 'dtype' is missing at byte 13"},
      {R"({"dtype":"U8","shape":[1]})", "tensor 'x': 'data_offsets' is missing at byte 13"},
      {R"({"dtype":"U8","data_offsets":[0,1]})", "tensor 'x': 'shape' is missing at byte 13"},
      {R"({"dtype":8,"shape":[1],"data_offsets":[0,1]})",
       "tensor 'x': dtype: expected a string, found a number at byte 22"},
      {R"({"dtype":"Q8","shape":[1],"data_offsets":[0,1]})", "tensor 'x': dtype: unknown type 'Q8' at byte 23"},
      {R"({"dtype":"U8","shape":1,"data_offsets":[0,1]})", "tensor 'x': shape: expected an array"},
      {R"({"dtype":"U8","shape":[-1],"data_offsets":[0,1]})",
       "tensor 'x': shape[0]: -1 is outside 0..9223372036854775807"},
      {R"({"dtype":"U8","shape":[1.0],"data_offsets":[0,1]})",
       "tensor 'x': shape[0]: expected a whole number, found 1.0"},
      {R"({"dtype":"U8","shape":[1,"a"],"data_offsets":[0,1]})",
       "tensor 'x': shape[1]: expected a number, found a string"},
      {R"({"dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,1]})",
       "tensor 'x': shape[0]: 9223372036854775808 is outside"},
      {R"({"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,1]})",
       "tensor 'x': shape: the product of the sizes overflows"},
      {R"({"dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4]})",
       "tensor 'x': shape: the product of the sizes overflows"},
      {R"({"dtype":"U8","shape":[9223372036854775807],"data_offsets":[0,1]})",
       "tensor 'x': data_offsets: 1 bytes, but shape [9223372036854775807] of U8 takes 9223372036854775807"},
      {R"({"dtype":"U8","shape":[0],"data_offsets":[0,1]})",
       "tensor 'x': data_offsets: 1 bytes, but shape [0] of U8 takes 0"},
      {R"({"dtype":"F32","shape":[1],"data_offsets":[0,1]})",
       "tensor 'x': data_offsets: 1 bytes, but shape [1] of F32 takes 4"},
      {R"({"dtype":"U8","shape":[1],"data_offsets":{}})", "tensor 'x': data_offsets: expected an array"},
      {R"({"dtype":"U8","shape":[1],"data_offsets":[0]})",
       "tensor 'x': data_offsets: expected [begin, end], found 1 items"},
      {R"({"dtype":"U8","shape":[1],"data_offsets":[0,1,2]})",
       "tensor 'x': data_offsets: expected [begin, end], found 3 items"},
      {R"({"dtype":"U8","shape":[1],"data_offsets":[1,0]})", "tensor 'x': data_offsets: begins at 1, after its end 0"},
      {R"({"dtype":"U8","shape":[1],"data_offsets":[10,11]})",
       "tensor 'x': data_offsets[1]: 11 lies beyond the file, which has 10 bytes of data"},
      {R"({"dtype":"U8","shape":[1],"data_offsets":[-1,0]})", "tensor 'x': data_offsets[0]: -1 is outside"},
      {R"({"dtype":"U8","shape":[1],"data_offsets":[9223372036854775807,0]})",
       "tensor 'x': data_offsets[0]: 9223372036854775807 lies beyond the file"},
      {R"({"dtype":"U8","shape":[1],"data_offsets":[18446744073709551615,0]})",
       "tensor 'x': data_offsets[0]: 18446744073709551615 is outside"},
      {R"({"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]})", "tensor 'x': dtype: the same key twice"},
  };
  for (const Row &row : rows) {
    const std::string what = header_error(std::string("{\"x\":") + row.entry + "}");
    CHECK_MESSAGE(contains(what, std::string("a.safetensors: ") + row.expected), what);
    CHECK_MESSAGE(contains(what, "at byte"), what);
  }
}

TEST_CASE("headers as a whole") {
  CHECK(contains(header_error("[]"), "expected an object, found an array at byte 8"));
  CHECK(contains(header_error("{} x"), "expected the end of the file at byte 11"));
  CHECK(contains(
      header_error(
          R"({"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"y":{"dtype":"U8","shape":[4],"data_offsets":[3,7]}})"),
      "tensor 'y': data_offsets: overlaps tensor 'x' at byte 116"));
  CHECK(contains(
      header_error(
          R"({"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"x":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})"),
      "tensor 'x': the same key twice, again at byte 62"));
  // The same name, once with an escape.
  CHECK(contains(
      header_error(
          R"({"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\u0078":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})"),
      "the same key twice"));
  CHECK(contains(header_error("{\"a\xff\":1}"), "invalid UTF-8 at byte 11"));
  CHECK(contains(header_error("\xef\xbb\xbf{}"), "expected a value at byte 8"));
  CHECK(contains(header_error(R"({"x":{"dtype":[[[[1]]]]}})"), "nested deeper than 4"));
}

TEST_CASE("huge claims cost no memory") {
  const int64_t before = peak_mib();
  // Many tensors, many values, a header that is one long string, nested arrays.
  const ScratchFolder folder;
  std::string many = "{";
  for (int i = 0; i < 200'000; ++i)
    many += (i ? ",\"" : "\"") + std::to_string(i) +
            R"(":{"dtype":"U8","shape":[9223372036854775807],"data_offsets":[0,9]})";
  header_error(many + "}");
  header_error("{\"x\":[" + std::string(20'000'000, '0') + "]}");
  std::string zeros = "{\"x\":{\"shape\":[0";
  for (int i = 0; i < 20'000'000; ++i) zeros += ",0";
  CHECK(contains(header_error(zeros + "]}}"), "more than 16777216 values"));
  SmallModel model;
  model.config["vocab_size"] = 1 << 24;
  model.config["num_hidden_layers"] = 1024;
  model.config["intermediate_size"] = 131072;
  CHECK(contains(message([&] { open_model(model.write()); }),
                 "mlp.gate_proj.weight': shape: [3, 8], expected [32768, 8]"));
  CHECK(peak_mib() - before < 1500);
}

TEST_CASE("an index that disagrees with its files") {
  const ScratchFolder folder;
  folder.write("one.safetensors", safetensors_bytes({{"a", {"U8", {1}, "A"}}}));
  const auto index_error = [&](const std::string &index) {
    folder.write("model.safetensors.index.json", index);
    return message([&] { TensorFolder tensors(folder.root()); });
  };
  CHECK(contains(index_error("{}"), "index.json: 'weight_map' is missing at byte 0"));
  CHECK(contains(index_error(R"({"weight_map":[]})"), "weight_map: expected an object"));
  CHECK(contains(index_error(R"({"weight_map":{"a":1}})"), "weight_map.a: expected a string"));
  CHECK(contains(index_error(R"({"weight_map":{"b":"one.safetensors"}})"),
                 "weight_map.b: 'one.safetensors' has no such tensor"));
  CHECK(contains(index_error(R"({"weight_map":{"a":"two.safetensors"}})"), "two.safetensors: cannot open"));
  CHECK(contains(index_error(R"({"weight_map":{"a":"../one.safetensors"}})"), "weight_map.a: not a plain file name"));
  CHECK(contains(index_error(R"({"weight_map":{"a":""}})"), "not a plain file name"));
  CHECK(contains(index_error(R"({"weight_map":{"a":"one.safetensors\u0000x"}})"), "not a plain file name"));
  CHECK(contains(index_error(R"({"weight_map":{"a":".."}})"), "not a regular file"));
}
