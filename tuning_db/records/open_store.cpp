#include "tuning_db/records/open_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "tuning_db/records/sqlite_store.h"

namespace bittern::tuning {
namespace {

namespace fs = std::filesystem;

// What SQLite keeps beside a database, and reads when it opens one.
constexpr const char *kFiles[] = {"", "-wal", "-shm", "-journal"};

std::string folder_of(const std::string &path) {
  const std::string folder = fs::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

bool trusted_owner(const struct stat &info) { return info.st_uid == geteuid() || info.st_uid == 0; }

bool others_write(const struct stat &info) { return (info.st_mode & (S_IWGRP | S_IWOTH)) != 0; }

// Held while a database is opened, made or set aside. The folder itself is locked: no file is left behind.
class FolderLock {
 public:
  explicit FolderLock(const std::string &folder) : file_(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    while (file_ >= 0 && flock(file_, LOCK_EX) != 0 && errno == EINTR) {
    }
  }
  ~FolderLock() {
    if (file_ >= 0) close(file_);
  }
  FolderLock(const FolderLock &) = delete;
  FolderLock &operator=(const FolderLock &) = delete;

 private:
  int file_;
};

// Folders that are not there are made for us alone. Our own cache folder is closed to others; a folder that all share
// (with the sticky bit) is not ours to close.
void make_folder(const std::string &folder, bool is_default) {
  std::error_code failed;
  fs::path made;
  for (const fs::path &part : fs::path(folder)) {
    made /= part;
    if (!fs::exists(made, failed) && mkdir(made.c_str(), 0700) != 0 && errno != EEXIST)
      throw Error(fmt::format("tuning database in {}: cannot create its folder: {}", folder, std::strerror(errno)));
  }
  struct stat info{};
  if (is_default && stat(folder.c_str(), &info) == 0 && info.st_uid == geteuid() && others_write(info) &&
      (info.st_mode & S_ISVTX) == 0)
    chmod(folder.c_str(), info.st_mode & 07777 & ~static_cast<mode_t>(S_IWGRP | S_IWOTH));
}

void require_private(const std::string &path) {
  if (const std::string why = foreign_database(path); !why.empty())
    throw Error(fmt::format("tuning database {}: refused, since it holds code that is run: {}", path, why));
}

std::unique_ptr<Store> open_checked(const std::string &path, std::string &notice) {
  require_private(path);
  auto store = std::make_unique<SqliteStore>(path);
  require_private(path);  // files that appeared beside it meanwhile, in a folder that all share
  if (store->migrated_from() != 0)
    notice = fmt::format("tuning database {}: brought from schema {} to this version's; its records are kept", path,
                         store->migrated_from());
  return store;
}

void set_aside(const std::string &path, const std::string &why, std::string &notice) {
  std::string aside;
  for (int i = 1; aside.empty() || fs::exists(aside); ++i) aside = fmt::format("{}.aside-{}", path, i);
  for (const char *suffix : kFiles) {
    std::error_code failed;
    fs::rename(path + suffix, aside + suffix, failed);
    if (failed && *suffix == 0) throw Error(fmt::format("{} (and it cannot be set aside: {})", why, failed.message()));
  }
  notice = fmt::format("{}; kept as {}, starting a fresh one", why, aside);
}

}  // namespace

std::string foreign_database(const std::string &path) {
  struct stat info{};
  const std::string folder = folder_of(path);
  if (stat(folder.c_str(), &info) == 0) {
    if (!trusted_owner(info)) return fmt::format("its folder {} belongs to another user", folder);
    if (others_write(info) && (info.st_mode & S_ISVTX) == 0)
      return fmt::format("its folder {} is writable by other users", folder);
  }
  for (const char *suffix : kFiles) {
    const std::string file = path + suffix;
    if (lstat(file.c_str(), &info) != 0) continue;
    if (!S_ISREG(info.st_mode)) return file + " is not a regular file";
    if (!trusted_owner(info)) return file + " belongs to another user";
    if (others_write(info)) return file + " is writable by other users";
  }
  return {};
}

std::unique_ptr<Store> open_store(const std::string &path, bool is_default, std::string &notice) {
  make_folder(folder_of(path), is_default);
  const FolderLock lock(folder_of(path));
  try {
    return open_checked(path, notice);
  } catch (const UnusableDatabase &error) {
    if (!is_default) throw;  // a file the user named is never moved
    set_aside(path, error.what(), notice);
    return open_checked(path, notice);
  }
}

std::unique_ptr<Store> open_existing_store(const std::string &path, std::string &notice) {
  struct stat info{};
  if (lstat(path.c_str(), &info) != 0) throw Error(fmt::format("tuning database {}: {}", path, std::strerror(errno)));
  if (S_ISREG(info.st_mode) && info.st_size == 0)
    throw Error(fmt::format("tuning database {}: the file is empty", path));
  const FolderLock lock(folder_of(path));
  return open_checked(path, notice);
}

}  // namespace bittern::tuning
