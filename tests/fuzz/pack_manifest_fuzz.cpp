// Any bytes as the manifest of a pack: an Error, or one that describes the pack it is held to. The words HERE, BUILD,
// HASH0 and HASH1 stand for this machine's fingerprint, this version and the hashes of the kernels' texts, which no
// seed can know.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "runtime/error.h"
#include "runtime/kernels/pack_manifest.h"
#include "runtime/kernels/scalar/scalar.h"
#include "runtime/machine/machine.h"

using namespace bittern::runtime;

namespace {

constexpr char kLibrary[] = "library";

std::string with(std::string text, const std::string &word, const std::string &value) {
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + value.size()))
    text.replace(at, word.size(), value);
  return text;
}

// Whether `step` goes through.
template <typename Step>
bool passes(const Step &step) {
  try {
    step();
    return true;
  } catch (const Error &) {
    return false;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const bt_pack two = {BT_ABI_VERSION, 2, "bittern " BITTERN_VERSION, bt_scalar_pack()->kernels};
  std::string text = with({reinterpret_cast<const char *>(data), size}, "HERE", machine_fingerprint().id());
  text = with(text, "BUILD", machine_fingerprint().generator);
  text = with(text, "HASH0", two.kernels[0]->spec_hash);
  text = with(text, "HASH1", two.kernels[1]->spec_hash);
  passes([&] {
    const PackManifest manifest(text);
    if (manifest.file().empty() || manifest.file().find('/') != std::string::npos) std::abort();
    passes([&] { manifest.check_library(kLibrary); });
    if (!passes([&] { manifest.check_kernels(two); })) return;
    // What went through says of both kernels what they are, and that they were proved.
    const auto json = nlohmann::json::parse(text);
    for (size_t i = 0; i < 2; ++i) {
      const auto &row = json.at("kernels").at(i);
      if (row.at("spec_hash") != two.kernels[i]->spec_hash || row.at("proof").at("through_pack") != true) std::abort();
    }
  });
  return 0;
}
