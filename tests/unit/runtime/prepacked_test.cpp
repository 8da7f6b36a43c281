// The prepacked cache gives back exactly what was written, or nothing: damage anywhere, another key or size, and a
// folder that cannot be written must all lead to packing again, with one warning where something is wrong.
#include "runtime/device/cpu/prepacked.h"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "runtime/device/cpu/weights.h"
#include "runtime/engine/engine.h"
#include "runtime/error.h"
#include "runtime/io/checksum.h"
#include "runtime/kernels/scalar/scalar.h"
#include "runtime/program/build.h"
#include "tests/scratch_folder.h"

using namespace bittern::runtime;
using bittern::test::ScratchFolder;
namespace fs = std::filesystem;

namespace {

struct Fixture {
  ScratchFolder folder;
  ThreadPool pool{2};
  std::vector<std::string> warnings;
  Warn warn = [this](const std::string &text) { warnings.push_back(text); };
  std::vector<uint8_t> image;

  explicit Fixture(size_t bytes = (9 << 20) + 77) : image(bytes) {
    for (size_t i = 0; i < image.size(); ++i) image[i] = static_cast<uint8_t>(i * 2654435761u >> 24);
  }
  Prepacked entry(const std::string &key = "key") { return {folder.root() + "/prepacked", key, warn}; }
  bool read(const std::string &key = "key") {
    std::vector<uint8_t> got(image.size());
    const bool found = entry(key).read(got.data(), static_cast<int64_t>(got.size()), pool);
    if (found) CHECK(got == image);
    return found;
  }
  void write(const std::string &key = "key") {
    entry(key).write(image.data(), static_cast<int64_t>(image.size()), pool);
  }
};

void flip(const std::string &path, int64_t at) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(at);
  const char byte = static_cast<char>(file.get() ^ 0x40);
  file.seekp(at);
  file.put(byte);
}

}  // namespace

TEST_CASE("what was written comes back, under its own key only") {
  Fixture f;
  CHECK(!f.read());
  f.write();
  CHECK(f.read());
  CHECK(!f.read("another key"));
  CHECK(f.warnings.empty());
  struct stat info;
  CHECK(stat(f.entry().path().c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
}

TEST_CASE("the key says the version of a layout, not only its name") {
  const auto source = synthetic_model("demo");
  const Program program = build_program(source->config(), with_formats_of(*source, {}));
  const auto key_with = [&](const char *version) {
    bt_layout layout = scalar::kRowsLayout;
    layout.name = "changing";
    layout.version = version;
    bt_kernel kernel = *bt_scalar_pack()->kernels[static_cast<size_t>(Role::W2A8)];
    kernel.layout = &layout;
    const bt_kernel *const kernels[] = {&kernel};
    const bt_pack pack{BT_ABI_VERSION, 1, "test", kernels};
    const KernelSet set(KernelChoice::Tuned, 1, {&pack});
    return prepacked_key(*source, program, Plan(kernel_needs(program), set, 1), false);
  };
  CHECK(key_with("1") == key_with("1"));
  CHECK(key_with("1") != key_with("2"));
}

TEST_CASE("no descriptor stays open after reads and writes, good or bad") {
  Fixture f(1 << 16);
  const auto open_files = [] {
    return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
  };
  f.write();
  const auto before = open_files();
  for (int i = 0; i < 20; ++i) {
    f.write();
    CHECK(f.read());
    CHECK(!f.read("another key"));
    flip(f.entry().path(), 9);
    CHECK(!f.read());
    flip(f.entry().path(), 9);
  }
  CHECK(open_files() == before);
}

TEST_CASE("damage anywhere is found") {
  Fixture f;
  f.write();
  const auto size = static_cast<int64_t>(fs::file_size(f.entry().path()));
  for (int64_t at : {int64_t{0}, int64_t{9}, int64_t{40}, int64_t{100}, int64_t{113}, int64_t{4096},
                     int64_t{4096} + (5 << 20), size - 1}) {
    CAPTURE(at);
    f.warnings.clear();
    flip(f.entry().path(), at);
    CHECK(!f.read());
    CHECK(f.warnings.size() == 1);
    flip(f.entry().path(), at);
    CHECK(f.read());
  }
  f.warnings.clear();
  fs::resize_file(f.entry().path(), static_cast<uintmax_t>(size - 1));
  CHECK(!f.read());
  fs::resize_file(f.entry().path(), 10);
  CHECK(!f.read());
  CHECK(f.warnings.size() == 2);
  f.write();
  CHECK(f.read());
}

TEST_CASE("a link or a folder in the entry's place is not followed") {
  Fixture f;
  f.write();
  fs::rename(f.entry().path(), f.folder.root() + "/elsewhere");
  fs::create_symlink(f.folder.root() + "/elsewhere", f.entry().path());
  CHECK(!f.read());
  fs::remove(f.entry().path());
  fs::create_directory(f.entry().path());
  CHECK(!f.read());
}

TEST_CASE("the longest unused entries go first when the limit is reached") {
  Fixture f(1 << 20);
  setenv("BITTERN_CACHE_LIMIT", "3.5M", 1);
  for (const char *key : {"a", "b", "c"}) {
    f.write(key);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  CHECK(f.read("a"));  // now used later than b
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  f.write("d");
  CHECK(f.read("a"));
  CHECK(!f.read("b"));
  CHECK(f.read("c"));
  CHECK(f.read("d"));
  setenv("BITTERN_CACHE_LIMIT", "100K", 1);  // smaller than one entry: nothing is written, nothing is lost
  f.write("e");
  CHECK(!f.read("e"));
  CHECK(f.read("d"));
  unsetenv("BITTERN_CACHE_LIMIT");
  CHECK(f.warnings.empty());
}

TEST_CASE("the limit is a size or an error") {
  CHECK(prepacked_limit() == int64_t{8} << 30);
  for (const auto &[text, bytes] :
       {std::pair<const char *, int64_t>{"0", 0}, {"12345", 12345}, {"2G", int64_t{2} << 30}}) {
    setenv("BITTERN_CACHE_LIMIT", text, 1);
    CHECK(prepacked_limit() == bytes);
  }
  for (const char *text : {"-1", "big", "1GB", "nan", "1e300"}) {
    setenv("BITTERN_CACHE_LIMIT", text, 1);
    CHECK_THROWS_AS(prepacked_limit(), Error);
  }
  unsetenv("BITTERN_CACHE_LIMIT");
}

TEST_CASE("a folder that cannot be made is one warning") {
  Fixture f;
  std::ofstream(f.folder.root() + "/prepacked") << "a file";
  f.write();
  CHECK(f.warnings.size() == 1);
  CHECK(!f.read());
}

TEST_CASE("the checksum depends on every byte and on the length") {
  std::vector<uint8_t> data(100, 1);
  const uint64_t sum = checksum64(data.data(), 100);
  for (size_t i = 0; i < data.size(); ++i) {
    data[i] ^= 1;
    CHECK(checksum64(data.data(), 100) != sum);
    data[i] ^= 1;
  }
  CHECK(checksum64(data.data(), 100) == sum);
  CHECK(checksum64(data.data(), 99) != sum);
  CHECK(checksum64(data.data(), 0) != checksum64(data.data(), 1));
}

TEST_CASE("an engine's second start reads the entry and gives the same logits; a changed model packs again") {
  ScratchFolder folder;
  setenv("BITTERN_CACHE", (folder.root() + "/cache").c_str(), 1);
  const std::string model = folder.root() + "/model";
  fs::copy(BITTERN_TEST_DATA "/goldens/bitnet_a_packed", model);
  std::vector<std::string> warnings;
  EngineOptions options;
  options.kernels = KernelChoice::Scalar;
  options.threads = 2;
  options.warn = [&](const std::string &text) { warnings.push_back(text); };
  const int32_t tokens[] = {500, 129, 425};
  const auto run = [&](bool expect_cached) {
    Engine engine(open_model(model), options);
    CHECK(engine.prepacked() == expect_cached);
    const auto logits = engine.prefill(tokens);
    return std::vector<float>(logits.begin(), logits.end());
  };
  const std::vector<float> first = run(false);
  CHECK(run(true) == first);
  options.head = HeadType::Int8;  // another image
  const std::vector<float> int8 = run(false);
  CHECK(run(true) == int8);
  options.head = HeadType::File;
  // Touched: time, size or header differ, so the key does.
  fs::last_write_time(model + "/model.safetensors", fs::file_time_type::clock::now() + std::chrono::seconds(5));
  CHECK(run(false) == first);
  CHECK(run(true) == first);
  CHECK(warnings.empty());
  // Damage: one warning, packed again, whole afterwards.
  for (const auto &entry : fs::directory_iterator(folder.root() + "/cache/prepacked"))
    flip(entry.path(), static_cast<int64_t>(entry.file_size()) - 3);
  CHECK(run(false) == first);
  CHECK(warnings.size() == 1);
  CHECK(run(true) == first);
  unsetenv("BITTERN_CACHE");
}
