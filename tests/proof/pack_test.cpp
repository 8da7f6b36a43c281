// A pack from tuning to loading: the runtime takes it as written and refuses it after any tampering.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>

#include "runtime/error.h"
#include "runtime/kernels/dispatch.h"
#include "runtime/kernels/launch.h"
#include "runtime/kernels/pack_loader.h"
#include "runtime/machine/machine.h"
#include "tests/proof/worker_process.h"
#include "tests/scratch_folder.h"
#include "tuning_db/commands/commands.h"
#include "tuning_db/proof/problem.h"

using namespace bittern;
using namespace bittern::tuning;
namespace fs = std::filesystem;

namespace {

std::string slurp(const fs::path &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void spill(const fs::path &path, const std::string &bytes) { std::ofstream(path, std::ios::binary) << bytes; }

// One pack, made once by the tuner with no timing; each test gets a copy to spoil.
struct Packs {
  test::ScratchFolder scratch;
  fs::path cache = scratch.root(), folder;
  std::string name;  // without its ending
  Packs() {
    setenv("BITTERN_CACHE", cache.c_str(), 1);
    TuneCommand tune;
    tune.work.shapes = "48x192";
    tune.work.batch = {1, 8};
    tune.threads = {1, 2};
    tune.patience = "estimate";
    tune.quiet = tune.json = true;
    tune.worker = test_worker();
    REQUIRE(run_tune(tune, nullptr) == 0);
    folder = runtime::pack_folder();
    for (const auto &entry : fs::directory_iterator(folder))
      if (entry.path().extension() == ".json") name = entry.path().stem();
    REQUIRE_FALSE(name.empty());
  }
};

const Packs &packs() {
  static const Packs made;
  return made;
}

struct Copy {
  fs::path folder, manifest, library;
  Copy() {
    const Packs &source = packs();
    folder = source.cache / "copy";
    fs::remove_all(folder);
    fs::create_directory(folder);
    chmod(folder.c_str(), 0700);
    manifest = folder / (source.name + ".json");
    library = folder / (source.name + ".so");
    for (const fs::path &path : {manifest, library}) {
      fs::copy_file(source.folder / path.filename(), path);
      chmod(path.c_str(), 0600);
    }
  }
  ~Copy() { fs::remove_all(folder); }

  // What the loader says; empty when it takes the pack.
  std::string refusal() const {
    std::string warnings;
    const auto loaded = runtime::load_packs(folder, [&](const std::string &text) { warnings += text; });
    CHECK(loaded.empty() == !warnings.empty());
    return warnings;
  }
  void edit(const std::function<void(nlohmann::json &)> &change) const {
    nlohmann::json json = nlohmann::json::parse(slurp(manifest));
    change(json);
    spill(manifest, json.dump());
  }
};

}  // namespace

TEST_CASE("the pack as written is taken, holds every winner, and carries its proofs") {
  const Copy copy;
  CHECK(copy.refusal().empty());
  const runtime::LoadedPack loaded(copy.manifest);
  CHECK(loaded.pack().count == 4);
  std::string layout;
  for (uint32_t i = 0; i < loaded.pack().count; ++i) {
    const bt_kernel &kernel = *loaded.pack().kernels[i];
    CHECK(std::string(kernel.proof).size() == 16);
    CHECK((kernel.threads == 1 || kernel.threads == 2));
    CHECK(kernel.fixed[0] == -1);
    CHECK(kernel.fixed[1] == 48);
    CHECK(kernel.fixed[2] == 192);
    REQUIRE(kernel.layout != nullptr);
    if (layout.empty()) layout = kernel.layout->name;
    CHECK(layout == kernel.layout->name);  // one layout for all batch sizes
  }
  const nlohmann::json manifest = nlohmann::json::parse(slurp(copy.manifest));
  CHECK(manifest.at("sha256") == sha256_hex(slurp(copy.library)));
  CHECK(manifest.at("fingerprint") == runtime::machine_fingerprint().id());
  for (const auto &row : manifest.at("kernels")) {
    CHECK(row.at("proof").at("through_pack") == true);
    CHECK(row.at("proof").at("inputs").size() >= 8);
  }
}

TEST_CASE(
    "a kernel that bears an engine's kernel's name but has another text is tuned, loaded, and never taken for it") {
  const Packs &made = packs();
  const test::ScratchFolder folder;
  const std::string text = folder.path("own.bk"), output = folder.path("packs");
  // Other sizes in another order, other tensors, no scalar.
  spill(text,
        "kernel attention(Cols, Rows) { in X : f32[Rows, Cols] out Y : f32[Rows, Cols] Y[r, c] = X[r, c] * 2.0 }");
  TuneCommand tune;
  tune.work.kernel_file = text;
  tune.work.dims = "Rows=3,Cols=70";
  tune.threads = {1};
  tune.patience = "estimate";
  tune.quiet = tune.json = true;
  tune.worker = test_worker();
  tune.output = output;
  REQUIRE(run_tune(tune, nullptr) == 0);
  std::string warnings;
  const auto loaded = runtime::load_packs(output, [&](const std::string &warning) { warnings += warning; });
  CHECK(warnings.empty());
  REQUIRE(loaded.size() == 1);
  REQUIRE(loaded[0]->pack().count == 1);
  const bt_kernel &kernel = *loaded[0]->pack().kernels[0];
  CHECK(std::string(kernel.spec) == "attention");
  CHECK(kernel.fixed[0] == 70);  // compiled for these columns and any number of rows
  CHECK(kernel.fixed[1] == -1);
  const runtime::KernelSet set(runtime::KernelChoice::Tuned, 1, std::vector<const bt_pack *>{&loaded[0]->pack()});
  CHECK(set.find(runtime::Role::Attention, {3, 70, 1, 8, 1, 1, 1}) != &kernel);
  // It runs: twice every element, and nothing in what lies between the rows.
  std::vector<float> in(3 * 72, 1.5f), out(3 * 72, -1);
  const bt_tensor tensors[] = {runtime::tensor(in.data(), {72, 1}), runtime::tensor(out.data(), {72, 1})};
  const int64_t sizes[] = {70, 3};
  runtime::Scratch scratch(1);
  scratch.reserve(kernel, sizes);
  runtime::launch_serial(kernel, tensors, sizes, nullptr, scratch);
  for (size_t i = 0; i < out.size(); ++i) CHECK(out[i] == (i % 72 < 70 ? 3.0f : -1.0f));
  CHECK(fs::exists(made.folder));
}

TEST_CASE("files and folder are for their owner alone") {
  const Packs &source = packs();
  struct stat info{};
  REQUIRE(stat(source.folder.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0700);
  for (const char *ending : {".so", ".json"}) {
    REQUIRE(stat((source.folder / (source.name + ending)).c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0600);
  }
}

TEST_CASE("dispatch chooses the tuned kernel for its shape and thread count, and only for that") {
  const Copy copy;
  const runtime::LoadedPack loaded(copy.manifest);
  const runtime::KernelSet kernels(runtime::KernelChoice::Tuned, 2, {&loaded.pack()});
  const bt_kernel *tuned = kernels.find(runtime::Role::W2A8, {1, 48, 192});
  CHECK(kernels.origin(tuned) == runtime::KernelOrigin::Tuned);
  CHECK(tuned->threads == 2);
  CHECK(kernels.origin(kernels.find(runtime::Role::W2A8, {1, 48, 193})) != runtime::KernelOrigin::Tuned);
  // Three threads were not tuned: the nearest count serves.
  const runtime::KernelSet three(runtime::KernelChoice::Tuned, 3, {&loaded.pack()});
  CHECK(three.find(runtime::Role::W2A8, {1, 48, 192})->threads == 2);
}

TEST_CASE("any tampering is refused with a reason") {
  const auto refused = [](const char *why, const std::function<void(const Copy &)> &spoil) {
    const Copy copy;
    spoil(copy);
    const std::string refusal = copy.refusal();
    CAPTURE(why);
    CAPTURE(refusal);
    CHECK_FALSE(refusal.empty());
    CHECK(refusal.find(why) != std::string::npos);
  };
  refused("hash", [](const Copy &copy) {
    std::string bytes = slurp(copy.library);
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
    spill(copy.library, bytes);
  });
  refused("size", [](const Copy &copy) { spill(copy.library, slurp(copy.library).substr(0, 2000)); });
  refused("writable", [](const Copy &copy) { chmod(copy.library.c_str(), 0666); });
  refused("writable", [](const Copy &copy) { chmod(copy.manifest.c_str(), 0620); });
  refused("writable", [](const Copy &copy) { chmod(copy.folder.c_str(), 0770); });
  refused("cannot open", [](const Copy &copy) { fs::remove(copy.library); });
  refused("cannot open", [](const Copy &copy) {
    fs::rename(copy.library, copy.folder / "real.so");
    fs::create_symlink(copy.folder / "real.so", copy.library);
  });
  refused("another machine",
          [](const Copy &copy) { copy.edit([](nlohmann::json &json) { json["fingerprint"] = "0123456789abcdef"; }); });
  refused("made by",
          [](const Copy &copy) { copy.edit([](nlohmann::json &json) { json["generator"] = "bittern 0.0.0"; }); });
  refused("no proof",
          [](const Copy &copy) { copy.edit([](nlohmann::json &json) { json["kernels"][0]["proof"]["id"] = ""; }); });
  refused("no proof", [](const Copy &copy) {
    copy.edit([](nlohmann::json &json) { json["kernels"][0]["proof"]["through_pack"] = false; });
  });
  refused("schedule", [](const Copy &copy) {
    copy.edit([](nlohmann::json &json) { json["kernels"][1]["schedule"] = "llvm.gemv{rows=99}"; });
  });
  refused("outside its folder", [](const Copy &copy) {
    copy.edit([](nlohmann::json &json) { json["file"] = "../" + json["file"].get<std::string>(); });
  });
  refused("damaged", [](const Copy &copy) { spill(copy.manifest, slurp(copy.manifest).substr(0, 300)); });
  refused("damaged", [](const Copy &copy) { spill(copy.manifest, "[]"); });
}
