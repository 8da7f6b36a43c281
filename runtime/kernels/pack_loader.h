// Loads kernel packs that bitnet-tune wrote. A pack is machine code from a file, so it is used only when everything
// about it is as it should be: ours, writable by nobody else, the very bytes the manifest hashes, made by this version
// for this processor, every kernel with a proof. The bytes that were hashed are the bytes that run.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "runtime/kernels/dispatch.h"
#include "runtime/machine/machine.h"

namespace bittern::runtime {

class LoadedPack {
 public:
  // Loads the pack whose manifest is `manifest`. Throws Error saying what is wrong with it.
  explicit LoadedPack(const std::string &manifest);
  ~LoadedPack();
  LoadedPack(const LoadedPack &) = delete;
  LoadedPack &operator=(const LoadedPack &) = delete;

  const bt_pack &pack() const { return *pack_; }

 private:
  void unload();
  int memory_ = -1;  // open as long as the library: the dynamic linker takes an equal path for the same library
  void *library_ = nullptr;
  const bt_pack *pack_ = nullptr;
};

// The folder for a machine's packs, <cache>/packs/<fingerprint id>; by default this machine's. Empty without a
// cache folder.
std::string pack_folder(const std::string &fingerprint = machine_fingerprint().id());

// Every valid pack in a folder, newest manifest first; a warning for each that is not, and for a folder that others
// could write to. A folder that does not exist holds no packs.
std::vector<std::unique_ptr<LoadedPack>> load_packs(const std::string &folder, const Warn &warn);

}  // namespace bittern::runtime
