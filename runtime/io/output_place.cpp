#include "runtime/io/output_place.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "runtime/error.h"
#include "runtime/io/atomic_file.h"

namespace bittern::runtime {
namespace {

constexpr std::string_view kSuffix = ".part";

bool exists(const std::string &path, struct stat &info) { return lstat(path.c_str(), &info) == 0; }

bool all_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

OutputPlace::OutputPlace(std::string path, Kind kind, bool force, std::vector<std::string> replaceable)
    : path_(std::move(path)), kind_(kind), force_(force), replaceable_(std::move(replaceable)) {
  while (path_.size() > 1 && path_.back() == '/') path_.pop_back();
  const std::filesystem::path name(path_);
  if (path_.empty() || name.filename().empty() || name.filename() == "." || name.filename() == "..") {
    throw Error(fmt::format("{}: not a name for a result", path_));
  }
  parent_ = name.has_parent_path() ? name.parent_path().string() : ".";
  refuse_unreplaceable();
  remove_left_over();
  temporary_ = fmt::format("{}.{}{}", path_, getpid(), kSuffix);
  // Between making and locking it, another process may take it for left over; then it is made again.
  for (int attempt = 0; !make_temporary(); ++attempt) {
    if (attempt == 10) throw Error(fmt::format("{}: something keeps removing {}", path_, temporary_));
  }
}

OutputPlace::~OutputPlace() {
  std::error_code ignored;
  if (!committed_) std::filesystem::remove_all(temporary_, ignored);
  if (lock_ >= 0) close(lock_);
}

bool OutputPlace::make_temporary() {
  std::error_code ignored;
  std::filesystem::remove_all(temporary_, ignored);  // a dead process had our number
  if (kind_ == Kind::Folder && mkdir(temporary_.c_str(), 0777) != 0) {
    throw Error(fmt::format("{}: cannot create: {}", path_, std::strerror(errno)));
  }
  const int flags = kind_ == Kind::File ? O_WRONLY | O_CREAT | O_EXCL : O_RDONLY | O_DIRECTORY;
  lock_ = open(temporary_.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (lock_ < 0) throw Error(fmt::format("{}: cannot create: {}", path_, std::strerror(errno)));
  flock(lock_, LOCK_EX);
  struct stat ours{}, there{};
  if (fstat(lock_, &ours) == 0 && exists(temporary_, there) && ours.st_ino == there.st_ino) return true;
  close(std::exchange(lock_, -1));
  return false;
}

void OutputPlace::refuse_unreplaceable() const {
  struct stat info{};
  if (!exists(path_, info)) return;
  const bool folder = S_ISDIR(info.st_mode);
  if (kind_ == Kind::File && folder) throw Error(fmt::format("{}: is a folder; the result is a file", path_));
  if (kind_ == Kind::Folder && !folder) throw Error(fmt::format("{}: is not a folder; the result is one", path_));
  if (!folder && !S_ISREG(info.st_mode) && !S_ISLNK(info.st_mode)) {
    throw Error(fmt::format("{}: is not a regular file", path_));
  }
  if (!force_) throw Error(fmt::format("{}: exists already (--force replaces it)", path_));
  if (!folder) return;
  std::error_code status;
  for (const auto &entry : std::filesystem::directory_iterator(path_, status)) {
    const std::string name = entry.path().filename().string();
    if (std::find(replaceable_.begin(), replaceable_.end(), name) == replaceable_.end()) {
      throw Error(fmt::format("{}: holds '{}', which a model folder of ours does not: not replaced", path_, name));
    }
  }
  if (status) throw Error(fmt::format("{}: cannot read: {}", path_, status.message()));
}

// Whoever still writes holds its temporary's lock; one that can be locked belongs to nobody.
void OutputPlace::remove_left_over() const {
  const std::string prefix = std::filesystem::path(path_).filename().string() + ".";
  std::error_code status;
  for (const auto &entry : std::filesystem::directory_iterator(parent_, status)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(prefix) || !name.ends_with(kSuffix) || name.size() <= prefix.size() + kSuffix.size() ||
        !all_digits(std::string_view(name).substr(prefix.size(), name.size() - prefix.size() - kSuffix.size()))) {
      continue;
    }
    const int fd = open(entry.path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) continue;
    std::error_code ignored;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) std::filesystem::remove_all(entry.path(), ignored);
    close(fd);
  }
}

void OutputPlace::commit() {
  if (kind_ == Kind::Folder) sync_folder(temporary_);
  const auto move = [&](unsigned flags) {
    return renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, path_.c_str(), flags) == 0;
  };
  const auto fail = [&](int error) {
    if (error == EEXIST) throw Error(fmt::format("{}: appeared meanwhile (--force replaces it)", path_));
    throw Error(fmt::format("{}: cannot put the result in its place: {}", path_, std::strerror(error)));
  };
  struct stat info{};
  if (!force_) {
    // Not every file system can refuse to replace; there the look before has to do.
    if (!move(RENAME_NOREPLACE) && (errno != EINVAL || exists(path_, info) || !move(0))) fail(errno);
  } else if (kind_ == Kind::Folder && exists(path_, info)) {
    // The two change places in one step; then what was there has the temporary's name.
    if (!move(RENAME_EXCHANGE)) fail(errno);
    std::error_code ignored;
    std::filesystem::remove_all(temporary_, ignored);
  } else if (!move(0)) {
    fail(errno);
  }
  committed_ = true;
  sync_folder(parent_);
}

}  // namespace bittern::runtime
