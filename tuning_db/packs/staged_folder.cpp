#include "tuning_db/packs/staged_folder.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "compiler/error.h"

namespace bittern::tuning {

namespace fs = std::filesystem;

StagedFolder::StagedFolder(const std::string &path) {
  std::error_code failed;
  fs::path whole = fs::absolute(path, failed).lexically_normal();
  if (failed || path.empty()) throw Error(fmt::format("output folder '{}': not a path", path));
  if (!whole.has_filename()) whole = whole.parent_path();  // "folder/"
  path_ = whole;
  if (fs::symlink_status(whole).type() != fs::file_type::not_found) {
    if (!fs::is_directory(whole, failed)) throw Error(fmt::format("output folder {}: it is there and no folder", path));
    const bool empty = fs::is_empty(whole, failed);
    if (failed) throw Error(fmt::format("output folder {}: {}", path, failed.message()));
    if (!empty) throw Error(fmt::format("output folder {}: it is not empty; name a new one", path));
    if (access(path_.c_str(), W_OK) != 0) throw Error(fmt::format("output folder {}: {}", path, std::strerror(errno)));
  }
  stage_ = fmt::format("{}/.{}.emit-{}", whole.parent_path().string(), whole.filename().string(), getpid());
  // Told now, not after the work; made again when there is something to write, so that a kill leaves nothing.
  if (mkdir(stage_.c_str(), 0777) != 0 || rmdir(stage_.c_str()) != 0)
    throw Error(fmt::format("output folder {}: cannot create it: {}", path, std::strerror(errno)));
}

StagedFolder::~StagedFolder() {
  std::error_code ignored;
  if (!committed_) fs::remove_all(stage_, ignored);
}

void StagedFolder::write(const std::string &name, const std::string &bytes) {
  const fs::path file = fs::path(stage_) / name;
  std::error_code failed;
  fs::create_directories(file.parent_path(), failed);
  std::ofstream out(file, std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out) throw Error(fmt::format("output folder {}: cannot write {}: {}", path_, name, std::strerror(errno)));
}

void StagedFolder::commit() {
  // An empty folder of that name is replaced.
  if (std::rename(stage_.c_str(), path_.c_str()) != 0)
    throw Error(fmt::format("output folder {}: cannot create it: {}", path_, std::strerror(errno)));
  committed_ = true;
}

}  // namespace bittern::tuning
