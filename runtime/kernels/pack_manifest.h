// What lies beside a pack of tuned kernels and says whose it is: made by this version for this machine, with this hash,
// and for each kernel everything that its descriptor says too, and its proof. Any bytes may stand in such a file.
#pragma once
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "runtime/abi/kernel_abi.h"

namespace bittern::runtime {

class PackManifest {
 public:
  // Reads a manifest's text. Throws Error when it is damaged, of another format or version, or for another machine.
  explicit PackManifest(std::string_view text);
  ~PackManifest();
  PackManifest(const PackManifest &) = delete;
  PackManifest &operator=(const PackManifest &) = delete;

  const std::string &file() const { return file_; }  // of the library, in the manifest's folder

  // Throw Error unless these are the bytes of the library, and its kernels those that are described.
  void check_library(std::string_view bytes) const;
  void check_kernels(const bt_pack &pack) const;

 private:
  std::unique_ptr<const nlohmann::json> json_;
  std::string file_;
};

}  // namespace bittern::runtime
