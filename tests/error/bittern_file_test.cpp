// Bittern files and int2 folders that must be refused: one message that names file, field and place, and no memory in
// proportion to what a file claims.
#include "runtime/model/bittern_file.h"

#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "runtime/convert/format_writers.h"
#include "runtime/io/checksum.h"
#include "tests/error_message.h"
#include "tests/load_all.h"
#include "tests/made_up_source.h"
#include "tests/model_folder.h"
#include "tests/peak_memory.h"

using namespace bittern::runtime;
using namespace bittern::test;

namespace {

std::string read(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write(const ModelSource &source, const std::string &to, const std::string &path) {
  Work work(1, {}, nullptr);
  const ModelFiles files{{"tokenizer.json", "{}"}};
  const FormatWriter &target = find_format_writer(to);
  if (target.folder) std::filesystem::create_directory(path);
  target.write(Conversion{source, files, path, path, work, {}});
}

void put(std::string &bytes, size_t at, uint64_t value) {
  for (size_t i = 0; i < 8; ++i) bytes[at + i] = static_cast<char>(value >> (8 * i) & 0xff);
}

// A whole file, to be changed: header and sections apart.
struct SmallFile {
  ScratchFolder folder;
  std::string whole, data;
  json header;
  size_t room;

  explicit SmallFile(const ModelConfig &config = MadeUpSource::small()) {
    write(MadeUpSource(config), "bittern", folder.path("whole"));
    whole = read(folder.path("whole"));
    room = 0;
    for (size_t i = 8; i-- > 0;) room = room << 8 | static_cast<uint8_t>(whole[8 + i]);
    header = json::parse(whole.substr(32, room));
    data = whole.substr(32 + room);
  }

  // The file of the changed header, with lengths and checksum made right.
  std::string bytes() const { return bytes(header.dump()); }
  std::string bytes(std::string text) const {
    text.resize(room, ' ');
    std::string out(32, '\0');
    out.replace(0, 8, "BITTERN1");
    put(out, 8, room);
    put(out, 16, 32 + room + data.size());
    put(out, 24, checksum64(reinterpret_cast<const uint8_t *>(text.data()), static_cast<int64_t>(room)));
    return out + text + data;
  }
  std::string error(const std::string &content) const {
    folder.write("f", content);
    return message([&] { load_all(folder.path("f")); });
  }
  // What is said of a file whose header was changed.
  template <typename Change>
  std::string changed(const Change &change) const {
    SmallFile copy(*this, 0);
    change(copy.header);
    return error(copy.bytes());
  }

 private:
  SmallFile(const SmallFile &other, int)
      : whole(other.whole), data(other.data), header(other.header), room(other.room) {}
};

}  // namespace

TEST_CASE("a Bittern file cut anywhere is refused") {
  const SmallFile file;
  CHECK(file.error(file.whole) == "(no error)");
  CHECK(file.error(file.bytes()) == "(no error)");
  for (size_t length = 0; length < file.whole.size(); length += length < file.room + 100 ? 1 : 1009) {
    const std::string what = file.error(file.whole.substr(0, length));
    CHECK_MESSAGE(contains(what, "/f: "), what);
    CHECK_MESSAGE((length < 8 ? contains(what, "not a folder and not a GGUF") : contains(what, " at byte ")), what);
  }
  CHECK(contains(file.error(file.whole + "x"), "file length: "));
}

TEST_CASE("every byte of the header changed is refused; every byte of the data is noticed") {
  const SmallFile file;
  for (size_t at = 0; at < 32 + file.room; at += at < 64 ? 1 : 13) {
    std::string bytes = file.whole;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x41);
    const std::string what = file.error(bytes);
    CHECK_MESSAGE((at < 8 ? contains(what, "not a folder and not a GGUF") : contains(what, " at byte ")), what);
  }
  // Sections follow without gaps but for padding, which no checksum covers.
  size_t noticed = 0, tried = 0;
  for (size_t at = 32 + file.room; at < file.whole.size(); at += 97, ++tried) {
    std::string bytes = file.whole;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x04);
    const std::string what = file.error(bytes);
    noticed += contains(what, "damaged (checksum differs) at byte ");
  }
  CHECK(tried > 500);
  CHECK(noticed > tried * 95 / 100);
}

TEST_CASE("numbers of the preamble at 0, 1, most and wrapping around") {
  const SmallFile file;
  for (const size_t at : {size_t{8}, size_t{16}}) {
    for (const uint64_t value : {uint64_t{0}, uint64_t{1}, uint64_t{file.room + 1}, uint64_t{1} << 32,
                                 uint64_t{1} << 63, UINT64_MAX - 31, UINT64_MAX}) {
      std::string bytes = file.whole;
      put(bytes, at, value);
      const std::string what = file.error(bytes);
      CHECK_MESSAGE(contains(what, at == 8 ? "header " : "file length: "), what);
      CHECK_MESSAGE(contains(what, " at byte "), what);
    }
  }
}

TEST_CASE("fields of the header: missing, of the wrong type, absurd or contradictory") {
  const SmallFile file;
  for (const auto &[name, value] : file.header["config"].items()) {
    const std::string key = name;
    const std::string missing = file.changed([&](json &h) { h["config"].erase(key); });
    CHECK_MESSAGE(contains(missing, "'" + key + "' is missing"), missing);
    const std::string wrong = file.changed([&](json &h) { h["config"][key] = json::array({nullptr}); });
    CHECK_MESSAGE(contains(wrong, "config." + key), wrong);
    if (!value.is_number()) continue;
    for (const double absurd : {-5.0, 1e300, 0.5, 4294967296.0, 9223372036854775808.0}) {
      const std::string what = file.changed([&](json &h) { h["config"][key] = absurd; });
      // Some numbers are right for some fields; then shapes differ or nothing does.
      CHECK_MESSAGE((contains(what, " at byte ") || contains(what, "tensor") || what == "(no error)"), what);
    }
  }
  const auto says = [&](const std::string &what, const auto &change) {
    const std::string got = file.changed(change);
    CHECK_MESSAGE(contains(got, what), got);
    CHECK_MESSAGE(contains(got, "/f: "), got);
  };
  says("config.kv_heads: 3 does not divide 4 heads", [](json &h) { h["config"]["kv_heads"] = 3; });
  says("config.head_dim: 15 is odd", [](json &h) { h["config"]["head_dim"] = 15; });
  says("more than 131072 wide", [](json &h) {
    h["config"]["heads"] = 4096;
    h["config"]["head_dim"] = 4096;
  });
  says("config.activation: 'relu' is not known", [](json &h) { h["config"]["activation"] = "relu"; });
  says("config.eos[0]: ", [](json &h) { h["config"]["eos"] = {300}; });
  says("config.bos: ", [](json &h) { h["config"]["bos"] = 300; });
  says("tensor 'layers.2.", [](json &h) { h["config"]["layers"] = 3; });
  says("shape is not what the configuration implies", [](json &h) { h["config"]["ffn"] = 100; });
  says("group: 0, but config.scale_group is 32", [](json &h) { h["config"]["scale_group"] = 32; });
  says("has 24 tensors where its configuration implies 20", [](json &h) { h["config"]["sub_norms"] = false; });
  says("'tensors' is missing", [](json &h) { h.erase("tensors"); });
  says("'files' is missing", [](json &h) { h.erase("files"); });

  const auto q = [](json &h) -> json & { return h["tensors"]["layers.0.q"]; };
  says("tensor 'layers.0.q' is missing", [](json &h) { h["tensors"].erase("layers.0.q"); });
  for (const char *field : {"type", "shape", "at", "bytes", "sum"}) {
    says("'" + std::string(field) + "' is missing", [&](json &h) { q(h).erase(field); });
  }
  says("type: 'q4' is not known", [&](json &h) { q(h)["type"] = "q4"; });
  says("expected one or two sizes", [&](json &h) { q(h)["shape"] = json::array(); });
  says("shape[0]", [&](json &h) { q(h)["shape"] = {0, 64}; });
  says("shape[1]", [&](json &h) { q(h)["shape"] = {64, 1 << 25}; });
  says("but that shape takes", [&](json &h) { q(h)["shape"] = {64, 128}; });
  says("but that shape takes", [&](json &h) { q(h)["bytes"] = 1; });
  says("is not a multiple of 64", [&](json &h) { q(h)["at"] = q(h)["at"].get<int64_t>() + 1; });
  says("lies in the header", [&](json &h) { q(h)["at"] = 0; });
  says("go beyond the file", [&](json &h) { q(h)["at"] = int64_t{1} << 40; });
  says("tensors.layers.0.q.at", [&](json &h) { q(h)["at"] = int64_t{1} << 50; });
  says("overlaps", [&](json &h) { q(h)["at"] = h["tensors"]["layers.0.k"]["at"]; });
  says("expected 16 hexadecimal digits", [&](json &h) { q(h)["sum"] = "12"; });
  says("expected 16 hexadecimal digits", [&](json &h) { q(h)["sum"] = "000000000000000G"; });
  says("damaged (checksum differs)", [&](json &h) { q(h)["sum"] = "0000000000000000"; });
  says("expected either 'scale' or 'group'", [&](json &h) { q(h).erase("scale"); });
  says("expected either 'scale' or 'group'", [&](json &h) { q(h)["group"] = 32; });
  says("not a usable scale: it must be positive", [&](json &h) { q(h)["scale"] = 0; });
  says("not a usable scale: it must be positive", [&](json &h) { q(h)["scale"] = 1e-60; });
  says("layers.0.q.scale", [&](json &h) { q(h)["scale"] = -1; });
  says("layers.0.q.scale", [&](json &h) { q(h)["scale"] = 1e39; });
  says("30 does not divide 64 columns", [&](json &h) {
    q(h).erase("scale");
    q(h)["group"] = 30;
  });
  says("row_sums_at is missing", [](json &h) { h["tensors"]["embedding"].erase("row_sums_at"); });
  says("row_sums_at", [](json &h) { h["tensors"]["embedding"]["row_sums_at"] = int64_t{1} << 40; });
  says("type: expected f32", [](json &h) {
    json &norm = h["tensors"]["final_norm"];
    norm["type"] = "bf16";
    norm["bytes"] = 128;
  });
  for (const char *name : {"", "../x", "a/b", ".hidden"}) {
    says("not a plain file name", [&](json &h) { h["files"][name] = h["files"]["tokenizer.json"]; });
  }
}

TEST_CASE("bytes that are no trits and norms that are no numbers, with right checksums") {
  const SmallFile file;
  const auto with = [&](const std::string &tensor, size_t offset, const std::string &bytes) {
    ScratchFolder folder;
    SmallFile fresh;
    json &entry = fresh.header["tensors"][tensor];
    const size_t at = entry["at"].get<size_t>() - 32 - fresh.room;
    fresh.data.replace(at + offset, bytes.size(), bytes);
    const auto *begin = reinterpret_cast<const uint8_t *>(fresh.data.data() + at);
    const uint64_t sum = checksum64(begin, entry["bytes"].get<int64_t>());
    std::string hex(17, '\0');
    std::snprintf(hex.data(), hex.size(), "%016llx", static_cast<unsigned long long>(sum));
    entry["sum"] = hex.substr(0, 16);
    return fresh.error(fresh.bytes());
  };
  CHECK(contains(with("layers.1.up", 13 * 2 + 4, "\xf3"), "'layers.1.up': row 2: a byte above 242 is not five trits"));
  CHECK(contains(with("layers.0.input_norm", 8, std::string("\0\0\xc0\x7f", 4)),
                 "'layers.0.input_norm': element 2 is nan"));
  CHECK(contains(with("final_norm", 4, std::string("\0\0\x80\x7f", 4)), "'final_norm': element 1 is inf"));
  CHECK(with("final_norm", 4, std::string("\0\0\x80\x3f", 4)) == "(no error)");
}

TEST_CASE("an absurd header takes no memory") {
  const SmallFile file;
  const int64_t before = peak_mib();
  CHECK(file.changed([](json &h) {
    h["config"]["vocab"] = 1 << 24;
    h["config"]["layers"] = 1024;
    h["config"]["hidden"] = 131072;
  }) != "(no error)");
  CHECK(peak_mib() - before < 64);
}

TEST_CASE("a pickle is refused by name") {
  const ScratchFolder folder;
  folder.write("model.pt", "PK\x03\x04 and a pickle");
  folder.write("old.bin", "\x80\x02}q");
  for (const char *name : {"model.pt", "old.bin"}) {
    const std::string what = message([&] { open_model(folder.path(name)); });
    CHECK_MESSAGE(contains(what, std::string(name) + ": a PyTorch pickle"), what);
    CHECK_MESSAGE(contains(what, "runs code"), what);
  }
  folder.write("model_state_int2.pt", "");
  CHECK(contains(message([&] { open_model(folder.root()); }), "a PyTorch pickle"));
}

TEST_CASE("int2 folders: missing, wrong and contradictory tensors, codes that are no trits, scales that are none") {
  struct Folder {
    ScratchFolder scratch;
    std::string path = scratch.path("m");
    Folder() { write(MadeUpSource(MadeUpSource::small()), "int2", path); }
    std::string tensors() const { return read(path + "/model_state_int2.safetensors"); }
    std::string error(const std::string &content) const {
      std::filesystem::remove(path + "/model_state_int2.safetensors");
      std::ofstream(path + "/model_state_int2.safetensors", std::ios::binary) << content;
      return message([&] { load_all(path); });
    }
  };
  const Folder folder;
  const std::string whole = folder.tensors();
  CHECK(folder.error(whole) == "(no error)");
  const auto says = [&](const std::string &what, const std::string &from, const std::string &to) {
    std::string bytes = whole;
    const size_t at = bytes.find(from);
    REQUIRE(at != std::string::npos);
    REQUIRE(from.size() == to.size());
    bytes.replace(at, from.size(), to);
    const std::string got = folder.error(bytes);
    CHECK_MESSAGE(contains(got, what), got);
    CHECK_MESSAGE(contains(got, "model_state_int2.safetensors: "), got);
  };
  says("tensor 'layers.0.attention.wo.weight' is missing", "layers.0.attention.wo.weight\"",
       "layers.0.attention.ow.weight\"");
  says("tensor 'layers.0.attention.wo.weight_scale' is missing", "attention.wo.weight_scale",
       "attention.wo.weight_scala");
  says("tensor 'norm.weight' is missing", "\"norm.weight\"", "\"nome.weight\"");
  says("shape: [2048, 1], expected [128, 16]", "[128,16]", "[2048,1]");
  // A shorter name of a type leaves the header as long as it was.
  says("dtype: I16, expected BF16, F16 or F32", "\"BF16\",\"shape\":[64]", "\"I16\", \"shape\":[64]");
  says("dtype: I16, expected I8", "\"I8\",\"shape\":[128,16]", "\"I16\",\"shape\":[64,16]");
  for (size_t length = 0; length < whole.size(); length += length < 40 ? 1 : 211) {
    const std::string got = folder.error(whole.substr(0, length));
    CHECK_MESSAGE(contains(got, " at byte "), got);
  }
  const json header = json::parse(whole.substr(8, whole.find("            ") - 8));
  const auto data_of = [&](const std::string &name) {
    size_t room = 0;
    for (size_t i = 8; i-- > 0;) room = room << 8 | static_cast<uint8_t>(whole[i]);
    return 8 + room + header[name]["data_offsets"][0].get<size_t>();
  };
  std::string bytes = whole;
  const size_t w2 = data_of("layers.1.feed_forward.w2.weight");
  bytes[w2 + 16 * 24 + 5] = 0x40;
  std::string got = folder.error(bytes);
  CHECK_MESSAGE(contains(got, "rows 16 to 31: code 0 is not a trit at byte " + std::to_string(w2 + 16 * 24 + 5)), got);
  for (const std::string &value : {std::string("\0\0\0\0", 4), std::string("\0\0\x80\xbf", 4),
                                   std::string("\0\0\x80\x7f", 4), std::string("\0\0\xc0\x7f", 4)}) {
    bytes = whole;
    bytes.replace(data_of("layers.0.feed_forward.w13.weight_scale") + 4, 4, value);
    got = folder.error(bytes);
    CHECK_MESSAGE(contains(got, "is not a usable scale"), got);
  }
}
