// Kernel packs: a good one is used, and everything that could be wrong with one is refused with a warning that says
// what, leaving the built-in kernels. A pack whose kernels compute wrong numbers is caught by the startup self-check.
#include "runtime/kernels/pack_loader.h"

#include <dlfcn.h>
#include <doctest/doctest.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>

#include "runtime/engine/engine.h"
#include "runtime/machine/machine.h"
#include "tests/scratch_folder.h"

using namespace bittern::runtime;
namespace fs = std::filesystem;

namespace {

std::string read_file(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// A pack folder in a cache of its own, as bitnet-tune would leave it.
class PackFolder {
 public:
  explicit PackFolder(const std::string &variant) {
    setenv("BITTERN_CACHE", root_.root().c_str(), 1);
    fs::create_directories(pack_folder());
    chmod(pack_folder().c_str(), 0700);
    add(variant, "pack-1");
  }
  ~PackFolder() { unsetenv("BITTERN_CACHE"); }

  std::string library(const std::string &name = "pack-1") const { return pack_folder() + "/" + name + ".so"; }
  std::string manifest(const std::string &name = "pack-1") const { return pack_folder() + "/" + name + ".json"; }

  void add(const std::string &variant, const std::string &name) {
    fs::copy_file(std::string(BITTERN_TEST_BIN "/libhandmade_") + variant + ".so", library(name));
    chmod(library(name).c_str(), 0600);
    void *handle = dlopen(library(name).c_str(), RTLD_NOW | RTLD_LOCAL);
    REQUIRE(handle);
    const auto *pack = static_cast<const bt_pack *>(dlsym(handle, "bt_pack_table"));
    nlohmann::json json = {{"format", 1},
                           {"generator", machine_fingerprint().generator},
                           {"fingerprint", machine_fingerprint().id()},
                           {"file", name + ".so"},
                           {"kernels", nlohmann::json::array()}};
    for (uint32_t i = 0; i < pack->count; ++i) {
      const bt_kernel &k = *pack->kernels[i];
      json["kernels"].push_back({{"index", i},
                                 {"spec", k.spec},
                                 {"spec_hash", k.spec_hash},
                                 {"sizes", nlohmann::json::object()},
                                 {"m_min", k.m_min},
                                 {"m_max", k.m_max},
                                 {"threads", k.threads},
                                 {"backend", k.backend},
                                 {"schedule", k.schedule},
                                 {"layout", k.layout ? k.layout->name : ""},
                                 {"proof", {{"id", k.proof}, {"through_pack", true}}}});
    }
    dlclose(handle);
    write_manifest(json, name);
    sign(name);
  }
  nlohmann::json json(const std::string &name = "pack-1") const {
    return nlohmann::json::parse(read_file(manifest(name)));
  }
  void write_manifest(const nlohmann::json &json, const std::string &name = "pack-1") const {
    std::ofstream(manifest(name)) << json.dump(1);
    chmod(manifest(name).c_str(), 0600);
  }
  // Makes the manifest's size and hash those of the file.
  void sign(const std::string &name = "pack-1") const {
    const std::string bytes = read_file(library(name));
    unsigned char hash[32];
    crypto_hash_sha256(hash, reinterpret_cast<const unsigned char *>(bytes.data()), bytes.size());
    char hex[65];
    sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
    nlohmann::json j = json(name);
    j["bytes"] = bytes.size();
    j["sha256"] = hex;
    write_manifest(j, name);
  }

 private:
  bittern::test::ScratchFolder root_;
};

// Loads the folder; returns the warnings.
std::vector<std::string> warnings_of(size_t expected_packs) {
  std::vector<std::string> warnings;
  const auto packs = load_packs(pack_folder(), [&](const std::string &text) { warnings.push_back(text); });
  CHECK(packs.size() == expected_packs);
  return warnings;
}

}  // namespace

TEST_CASE("a pack that is as it should be is loaded, and its kernels are chosen") {
  PackFolder folder("right");
  CHECK(warnings_of(1).empty());
  std::vector<std::string> warnings;
  const KernelSet kernels(KernelChoice::Tuned, 1, [&](const std::string &text) { warnings.push_back(text); });
  const bt_kernel *kernel = kernels.find(Role::W2A8, {1, 64, 64});
  CHECK(std::string(kernel->schedule) == "handmade");
  CHECK(kernels.origin(kernel) == KernelOrigin::Tuned);
  CHECK(std::string(kernels.find(Role::RmsNorm, {1, 64})->schedule) != "handmade");
  const KernelSet plain(KernelChoice::Default, 1);
  CHECK(std::string(plain.find(Role::W2A8, {1, 64, 64})->schedule) != "handmade");
  CHECK(warnings.empty());
}

TEST_CASE("two packs are two libraries") {
  PackFolder folder("right");
  folder.add("wrong", "pack-2");
  CHECK(warnings_of(2).empty());
  const auto packs = load_packs(pack_folder(), [](const std::string &) {});
  REQUIRE(packs.size() == 2);
  CHECK(&packs[0]->pack() != &packs[1]->pack());
  CHECK((packs[0]->pack().kernels[0]->fn != packs[1]->pack().kernels[0]->fn));
}

TEST_CASE("no folder means no packs and no words") {
  PackFolder folder("right");
  fs::remove_all(pack_folder());
  CHECK(warnings_of(0).empty());
}

TEST_CASE("everything that can be wrong is refused with its reason") {
  struct Case {
    const char *expect;
    std::function<void(PackFolder &)> spoil;
  };
  const auto edit = [](const std::function<void(nlohmann::json &)> &change) {
    return [change](PackFolder &f) {
      nlohmann::json json = f.json();
      change(json);
      f.write_manifest(json);
    };
  };
  const std::vector<Case> cases = {
      {"another hash",
       [](PackFolder &f) {
         std::fstream file(f.library(), std::ios::in | std::ios::out | std::ios::binary);
         file.seekp(2000);
         file.put('\x5a');
       }},
      {"another size", [](PackFolder &f) { fs::resize_file(f.library(), fs::file_size(f.library()) - 1); }},
      {"dynamic linker",
       [](PackFolder &f) {
         std::ofstream(f.library(), std::ios::binary) << "not a library";
         f.sign();
       }},
      {"cannot open", [](PackFolder &f) { fs::remove(f.library()); }},
      {"writable by other users", [](PackFolder &f) { chmod(f.library().c_str(), 0620); }},
      {"writable by other users", [](PackFolder &f) { chmod(f.manifest().c_str(), 0602); }},
      {"the folder is writable by other users", [](PackFolder &) { chmod(pack_folder().c_str(), 0777); }},
      {"cannot open",
       [](PackFolder &f) {
         fs::rename(f.library(), f.library() + ".real");
         fs::create_symlink(f.library() + ".real", f.library());
       }},
      {"cannot open",
       [](PackFolder &f) {
         fs::rename(f.manifest(), f.manifest() + ".real");
         fs::create_symlink(f.manifest() + ".real", f.manifest());
       }},
      {"not a regular file",
       [](PackFolder &f) {
         fs::remove(f.library());
         fs::create_directory(f.library());
       }},
      {"another machine", edit([](auto &j) { j["fingerprint"] = "0000000000000000"; })},
      {"was made by bittern 0.0.1", edit([](auto &j) { j["generator"] = "bittern 0.0.1"; })},
      {"another format", edit([](auto &j) { j["format"] = 2; })},
      {"outside its folder", edit([](auto &j) { j["file"] = "../pack-1.so"; })},
      {"manifest is damaged", edit([](auto &j) { j.erase("sha256"); })},
      {"manifest is damaged", edit([](auto &j) { j["file"] = 7; })},
      {"manifest is damaged", [](PackFolder &f) { std::ofstream(f.manifest()) << "{\"format\": 1,"; }},
      {"manifest is damaged", [](PackFolder &f) { std::ofstream(f.manifest()) << ""; }},
      {"another number of kernels", edit([](auto &j) { j["kernels"].erase(1); })},
      {"another row", edit([](auto &j) { j["kernels"][1]["index"] = 0; })},
      {"another spec hash", edit([](auto &j) { j["kernels"][0]["spec_hash"] = "00"; })},
      {"another spec", edit([](auto &j) { j["kernels"][0]["spec"] = "rope"; })},
      {"another schedule", edit([](auto &j) { j["kernels"][0]["schedule"] = "x"; })},
      {"another backend", edit([](auto &j) { j["kernels"][0]["backend"] = "llvm"; })},
      {"another layout", edit([](auto &j) { j["kernels"][0]["layout"] = "i2-rows"; })},
      {"range of M", edit([](auto &j) { j["kernels"][0]["m_max"] = 1; })},
      {"thread count", edit([](auto &j) { j["kernels"][0]["threads"] = 2; })},
      {"no proof", edit([](auto &j) { j["kernels"][0]["proof"]["id"] = "ffff"; })},
      {"no proof", edit([](auto &j) { j["kernels"][0]["proof"]["through_pack"] = false; })},
      {"manifest is damaged", edit([](auto &j) { j["kernels"][0].erase("proof"); })},
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    CAPTURE(i);
    CAPTURE(cases[i].expect);
    PackFolder folder("right");
    cases[i].spoil(folder);
    const std::vector<std::string> warnings = warnings_of(0);
    REQUIRE(warnings.size() == 1);
    CHECK_MESSAGE(warnings[0].find(cases[i].expect) != std::string::npos, warnings[0]);
    CHECK(warnings[0].find("built-in kernels") != std::string::npos);
    // A good pack beside it is not affected, unless the folder itself is bad.
    if (std::string(cases[i].expect).find("the folder") != std::string::npos) continue;
    folder.add("right", "pack-2");
    CHECK(warnings_of(1).size() == 1);
  }
}

TEST_CASE("a pack of another user is refused") {
  if (geteuid() != 0) return;  // only root can give a file away
  for (int which = 0; which < 3; ++which) {
    PackFolder folder("right");
    const std::string path = which == 0 ? folder.library() : which == 1 ? folder.manifest() : pack_folder();
    REQUIRE(chown(path.c_str(), 12345, 12345) == 0);
    const std::vector<std::string> warnings = warnings_of(0);
    REQUIRE(warnings.size() == 1);
    CHECK_MESSAGE(warnings[0].find("belongs to another user") != std::string::npos, warnings[0]);
  }
}

TEST_CASE("a pack that needs other instructions is refused") {
  PackFolder folder("foreign");
  const std::vector<std::string> warnings = warnings_of(0);
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0].find("instructions that this processor lacks") != std::string::npos);
}

TEST_CASE("planned kernels keep their pack loaded") {
  PackFolder folder("right");
  const auto source = open_model(BITTERN_TEST_DATA "/goldens/bitnet_a_packed");
  const PlannedKernels planned = planned_kernels(*source, {});
  int handmade = 0;
  for (const KernelUse &use : planned.uses) handmade += std::string(use.kernel->schedule) == "handmade";
  CHECK(handmade == 5);  // four matrices and the activation, each for every M
}

TEST_CASE("the self-check finds wrong kernels, says so, and the logits stay right") {
  const int32_t tokens[] = {500, 129, 425, 7};
  const auto run = [&](KernelChoice choice, std::vector<std::string> &warnings, std::string &origins) {
    EngineOptions options;
    options.kernels = choice;
    options.threads = 2;
    options.prepacked_cache = false;
    options.warn = [&](const std::string &text) { warnings.push_back(text); };
    Engine engine(open_model(BITTERN_TEST_DATA "/goldens/bitnet_a_packed"), options);
    origins = engine.origin_summary();
    const auto logits = engine.prefill(tokens);
    return std::vector<float>(logits.begin(), logits.end());
  };
  std::vector<std::string> warnings;
  std::string origins;
  const std::vector<float> scalar = run(KernelChoice::Scalar, warnings, origins);
  CHECK(origins == "scalar");
  {
    PackFolder folder("right");
    CHECK(run(KernelChoice::Tuned, warnings, origins) == scalar);
    CHECK(origins.find("tuned") != std::string::npos);
    CHECK(warnings.empty());
  }
  {
    PackFolder folder("wrong");
    CHECK(run(KernelChoice::Tuned, warnings, origins) == scalar);
    CHECK(origins.find("tuned") == std::string::npos);
    CHECK(warnings.size() == 2);  // one for each wrong kernel
    for (const std::string &warning : warnings) CHECK(warning.find("fails the self-check") != std::string::npos);
  }
}
