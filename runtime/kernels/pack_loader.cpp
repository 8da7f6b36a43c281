// See pack_loader.h. The manifest's format is fixed by the pack writer in tuning_db/.
#include "runtime/kernels/pack_loader.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "runtime/error.h"
#include "runtime/io/descriptor.h"
#include "runtime/io/sha256.h"
#include "runtime/machine/machine.h"

namespace bittern::runtime {
namespace {

constexpr int64_t kLargestPack = int64_t{256} << 20, kLargestManifest = int64_t{64} << 20;

std::string reason() { return std::strerror(errno); }

// Why somebody else could have written this file or folder; empty when nobody could.
std::string foreign(const struct stat &info) {
  if (info.st_uid != geteuid()) return "belongs to another user";
  if (info.st_mode & (S_IWGRP | S_IWOTH)) return "is writable by other users";
  return {};
}

// Reads a whole regular file that only we can write.
std::string read_private(const std::string &path, int64_t limit) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (file.fd() < 0) throw Error("cannot open it: " + reason());
  struct stat info;
  if (fstat(file.fd(), &info) != 0 || !S_ISREG(info.st_mode)) throw Error("is not a regular file");
  if (const std::string why = foreign(info); !why.empty()) throw Error(why);
  if (info.st_size > limit) throw Error("is larger than " + std::to_string(limit >> 20) + " MiB");
  std::string bytes(static_cast<size_t>(info.st_size), '\0');
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = read(file.fd(), bytes.data() + done, bytes.size() - done);
    if (got < 0) throw Error("cannot read it: " + reason());
    if (got == 0) throw Error("ends early");
    done += static_cast<size_t>(got);
  }
  return bytes;
}

void require(bool condition, const std::string &what) {
  if (!condition) throw Error(what);
}

// A manifest row and the kernel it stands for must say the same.
void compare(const nlohmann::json &row, const bt_kernel *kernel, size_t index) {
  const std::string at = "kernel " + std::to_string(index) + ": ";
  require(kernel != nullptr && kernel->fn != nullptr, at + "is missing");
  require(kernel->abi_version == BT_ABI_VERSION, at + "has another ABI version");
  require(kernel->spec && kernel->spec_hash && kernel->schedule && kernel->backend && kernel->target && kernel->proof,
          at + "its descriptor is incomplete");
  require(kernel->size_count >= 1 && kernel->size_count <= BT_MAX_SIZES && kernel->tile_size_index >= 0 &&
              kernel->tile_size_index < kernel->size_count && kernel->tile >= 1,
          at + "its descriptor is inconsistent");
  require(row.at("index").get<size_t>() == index, at + "stands in another row of the manifest");
  require(row.at("spec") == kernel->spec, at + "the manifest names another spec");
  require(row.at("spec_hash") == kernel->spec_hash, at + "the manifest has another spec hash");
  require(row.at("schedule") == kernel->schedule, at + "the manifest names another schedule");
  require(row.at("backend") == kernel->backend, at + "the manifest names another backend");
  require(row.at("layout") == (kernel->layout ? kernel->layout->name : ""), at + "the manifest names another layout");
  require(row.at("m_min") == kernel->m_min && row.at("m_max") == kernel->m_max,
          at + "the manifest has another range of M");
  require(row.at("threads") == kernel->threads, at + "the manifest has another thread count");
  const auto &proof = row.at("proof");
  require(kernel->proof[0] != '\0' && proof.at("id") == kernel->proof && proof.at("through_pack") == true,
          at + "has no proof");
  require((kernel->isa_needs & ~machine_isa()) == 0, at + "needs instructions that this processor lacks");
  const auto &sizes = row.at("sizes");
  const RoleInfo *role = find_role(kernel->spec_hash);
  if (!role) return;  // a kernel of the user's own, whatever its name: never dispatched to
  require(static_cast<size_t>(kernel->size_count) == role->sizes.size() && kernel->tensor_count == role->tensors &&
              kernel->scalar_count == role->scalars,
          at + "takes other arguments than its spec");
  for (size_t i = 0; i < role->sizes.size() && i < BT_MAX_SIZES; ++i)
    if (kernel->fixed[i] >= 0)
      require(sizes.contains(role->sizes[i]) && sizes.at(role->sizes[i]) == kernel->fixed[i],
              at + "the manifest has another " + role->sizes[i]);
}

// A memory file with these bytes that nobody can change any more.
int seal(const std::string &bytes) {
  const int fd = memfd_create("bittern-pack", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) throw Error("cannot make a memory file: " + reason());
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t put = write(fd, bytes.data() + done, bytes.size() - done);
    if (put <= 0) {
      const std::string why = reason();
      close(fd);
      throw Error("cannot write a memory file: " + why);
    }
    done += static_cast<size_t>(put);
  }
  fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  return fd;
}

void *load_library(int fd) {
  void *library = dlopen(("/proc/self/fd/" + std::to_string(fd)).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char *message = dlerror();
    throw Error(std::string("the dynamic linker refuses it: ") + (message ? message : "no reason given"));
  }
  return library;
}

}  // namespace

LoadedPack::LoadedPack(const std::string &manifest) {
  nlohmann::json json;
  std::string bytes;
  try {
    json = nlohmann::json::parse(read_private(manifest, kLargestManifest));
    require(json.at("format") == 1, "has another format version");
    require(json.at("generator") == machine_fingerprint().generator,
            "was made by " + json.at("generator").get<std::string>() + ", this is " + machine_fingerprint().generator);
    require(json.at("fingerprint") == machine_fingerprint().id(), "was made for another machine");
    const std::string name = json.at("file").get<std::string>();
    require(!name.empty() && name.find('/') == std::string::npos, "names a file outside its folder");
    bytes = read_private(manifest.substr(0, manifest.rfind('/') + 1) + name, kLargestPack);
    require(json.at("bytes") == bytes.size(), name + " has another size than the manifest says");
    require(json.at("sha256") == sha256_hex(bytes), name + " has another hash than the manifest says");
    memory_ = seal(bytes);
    library_ = load_library(memory_);
    pack_ = static_cast<const bt_pack *>(dlsym(library_, "bt_pack_table"));
    require(pack_ != nullptr, name + " has no table of kernels");
    require(pack_->abi_version == BT_ABI_VERSION, name + " has another ABI version");
    require(pack_->generator != nullptr && json.at("generator") == pack_->generator, name + " has another generator");
    const auto &rows = json.at("kernels");
    require(rows.is_array() && rows.size() == pack_->count && pack_->kernels != nullptr,
            name + " has another number of kernels than the manifest says");
    for (size_t i = 0; i < rows.size(); ++i) compare(rows[i], pack_->kernels[i], i);
  } catch (const nlohmann::json::exception &e) {
    unload();
    throw Error(std::string("its manifest is damaged: ") + e.what());
  } catch (const Error &) {
    unload();
    throw;
  }
}

LoadedPack::~LoadedPack() { unload(); }

void LoadedPack::unload() {
  if (library_) dlclose(library_);
  if (memory_ >= 0) close(memory_);
}

std::string pack_folder(const std::string &fingerprint) { return cache_folder() + "/packs/" + fingerprint; }

std::vector<std::unique_ptr<LoadedPack>> load_packs(const std::string &folder, const Warn &warn) {
  std::vector<std::unique_ptr<LoadedPack>> packs;
  struct stat info;
  if (lstat(folder.c_str(), &info) != 0) return packs;
  const std::string why = S_ISDIR(info.st_mode) ? foreign(info) : "is not a folder";
  if (!why.empty()) {
    warn("kernel packs in " + folder + " are not used: the folder " + why + "; using the built-in kernels");
    return packs;
  }
  std::vector<std::pair<int64_t, std::string>> manifests;  // negative time, path: newest first, then by name
  if (DIR *directory = opendir(folder.c_str())) {
    while (const dirent *entry = readdir(directory)) {
      const std::string name = entry->d_name;
      if (name.size() < 6 || name.compare(name.size() - 5, 5, ".json") != 0 || name[0] == '.') continue;
      const std::string path = folder + "/" + name;
      if (lstat(path.c_str(), &info) != 0) continue;
      manifests.emplace_back(-(info.st_mtim.tv_sec * 1000000000LL + info.st_mtim.tv_nsec), path);
    }
    closedir(directory);
  }
  std::sort(manifests.begin(), manifests.end());
  for (const auto &[time, path] : manifests) {
    try {
      packs.push_back(std::make_unique<LoadedPack>(path));
    } catch (const Error &e) {
      warn("kernel pack " + path + " is not used: " + e.what() + "; using the built-in kernels");
    }
  }
  return packs;
}

}  // namespace bittern::runtime
