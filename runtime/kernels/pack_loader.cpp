// See pack_loader.h.
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

#include "runtime/error.h"
#include "runtime/io/descriptor.h"
#include "runtime/kernels/pack_manifest.h"
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
  if (!read_all_at(file.fd(), bytes.data(), static_cast<int64_t>(bytes.size()), 0))
    throw Error(errno != 0 ? "cannot read it: " + reason() : std::string("ends early"));
  return bytes;
}

// A memory file with these bytes that nobody can change any more.
int seal(const std::string &bytes) {
  const int fd = memfd_create("bittern-pack", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) throw Error("cannot make a memory file: " + reason());
  if (!write_all(fd, bytes)) {
    const std::string why = reason();
    close(fd);
    throw Error("cannot write a memory file: " + why);
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

LoadedPack::LoadedPack(const std::string &path) {
  const PackManifest manifest(read_private(path, kLargestManifest));
  const std::string bytes = read_private(path.substr(0, path.rfind('/') + 1) + manifest.file(), kLargestPack);
  manifest.check_library(bytes);
  try {
    memory_ = seal(bytes);
    library_ = load_library(memory_);
    pack_ = static_cast<const bt_pack *>(dlsym(library_, "bt_pack_table"));
    if (!pack_) throw Error(manifest.file() + " has no table of kernels");
    manifest.check_kernels(*pack_);
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

std::string pack_folder(const std::string &fingerprint) {
  const std::string cache = cache_folder();
  return cache.empty() ? cache : cache + "/packs/" + fingerprint;
}

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
