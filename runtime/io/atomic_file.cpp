#include "runtime/io/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "runtime/error.h"

namespace bittern::runtime {
namespace {

constexpr int kMaxLinks = 40;  // as many as the kernel follows

[[noreturn]] void fail_at(const std::string &path, const char *what, int error) {
  throw Error(fmt::format("{}: cannot {}: {}", path, what, std::strerror(error)));
}

// What `path` names behind its links. Link by link, since the last may name a file that is not there yet.
std::string behind_links(const std::string &path) {
  std::string place = path;
  std::error_code status;
  for (int links = 0; std::filesystem::is_symlink(place, status); ++links) {
    if (links == kMaxLinks) fail_at(path, "create", ELOOP);
    const std::filesystem::path target = std::filesystem::read_symlink(place, status);
    if (status) fail_at(path, "create", status.value());
    place = (std::filesystem::path(place).parent_path() / target).string();
  }
  return place;
}

}  // namespace

AtomicFile::Way AtomicFile::find_way(const std::string &path, AtomicFileOptions options) {
  Way way;
  way.place = path;
  if (options.ours) {
    way.mode = 0600;
  } else if (struct stat info{}; stat(path.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) fail_at(path, "write", EISDIR);
    if (!S_ISREG(info.st_mode)) return way;
    way.mode = info.st_mode & 0777;
    way.keeps_mode = true;
  }
  if (!options.ours) way.place = behind_links(path);
  way.temporary = fmt::format("{}.{}.part", way.place, getpid());
  return way;
}

int AtomicFile::open_way(const std::string &path, const Way &way) {
  int fd = -1;
  if (way.temporary.empty()) {
    fd = open(way.place.c_str(), O_WRONLY | O_CLOEXEC);
  } else {
    unlink(way.temporary.c_str());  // left by a killed process of the same id
    fd = open(way.temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, way.mode);
  }
  if (fd < 0) fail_at(path, way.temporary.empty() ? "open" : "create", errno);
  // The umask does not count then; a file system without modes has none to keep.
  if (way.keeps_mode && fchmod(fd, way.mode) != 0) errno = 0;
  return fd;
}

AtomicFile::AtomicFile(const std::string &path, AtomicFileOptions options)
    : path_(path), options_(options), way_(find_way(path, options)), file_(open_way(path, way_)) {}

AtomicFile::~AtomicFile() {
  if (!committed_ && !way_.temporary.empty()) unlink(way_.temporary.c_str());
}

void AtomicFile::write(std::string_view bytes) {
  if (!write_all(file_.fd(), bytes)) fail_at(path_, "write", errno);
}

void AtomicFile::commit() {
  const bool beside = !way_.temporary.empty();
  // Devices have no disk to be on.
  if ((options_.on_disk && beside && fsync(file_.fd()) != 0) || !file_.close() ||
      (beside && rename(way_.temporary.c_str(), way_.place.c_str()) != 0))
    fail_at(path_, "write", errno);
  committed_ = true;
  if (!options_.on_disk || !beside) return;
  const std::string folder = std::filesystem::path(way_.place).parent_path().string();
  sync_folder(folder.empty() ? "." : folder);
}

void write_file_atomically(const std::string &path, std::string_view bytes, AtomicFileOptions options) {
  AtomicFile file(path, options);
  file.write(bytes);
  file.commit();
}

void sync_folder(const std::string &folder) {
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);  // some file systems cannot; then the rename is as safe as they make it
  close(fd);
}

}  // namespace bittern::runtime
