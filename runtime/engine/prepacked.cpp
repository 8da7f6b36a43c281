// See prepacked.h. File: Header, one checksum per piece of the image, padding to a page, the image.
#include "runtime/engine/prepacked.h"

#include <dirent.h>
#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "runtime/error.h"
#include "runtime/io/checksum.h"

namespace bittern::runtime {
namespace {

constexpr uint32_t kFormat = 1;
// A piece stays in the second-level cache between reading it and adding it up.
constexpr int64_t kPiece = int64_t{256} << 10, kPage = 4096;
constexpr char kSuffix[] = ".weights";

struct Header {
  char magic[8];  // "bittern" and a zero
  uint32_t format, reserved;
  int64_t image_bytes, piece_bytes;
  char key[64];              // hex SHA-256 of the key
  uint64_t table_checksum;   // of the pieces' checksums
  uint64_t header_checksum;  // of all before
};
static_assert(sizeof(Header) == 112);

int64_t pieces_of(int64_t bytes) { return (bytes + kPiece - 1) / kPiece; }
int64_t image_offset(int64_t bytes) {
  return (static_cast<int64_t>(sizeof(Header)) + pieces_of(bytes) * 8 + kPage - 1) / kPage * kPage;
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor &) = delete;
  Descriptor &operator=(const Descriptor &) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

// Whole transfers at an offset; false on an error or an early end.
bool read_all(int fd, void *data, int64_t bytes, int64_t offset) {
  for (auto *to = static_cast<uint8_t *>(data); bytes > 0;) {
    const ssize_t got = pread(fd, to, static_cast<size_t>(bytes), offset);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    to += got, bytes -= got, offset += got;
  }
  return true;
}
bool write_all(int fd, const void *data, int64_t bytes, int64_t offset) {
  for (auto *from = static_cast<const uint8_t *>(data); bytes > 0;) {
    const ssize_t put = pwrite(fd, from, static_cast<size_t>(bytes), offset);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    from += put, bytes -= put, offset += put;
  }
  return true;
}

uint64_t header_checksum(const Header &header) {
  return checksum64(reinterpret_cast<const uint8_t *>(&header), offsetof(Header, header_checksum));
}

// Makes a folder and its parents, private to us; true when it is there afterwards.
bool make_folders(const std::string &path) {
  for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string part = path.substr(0, slash);
    if (mkdir(part.c_str(), 0700) != 0 && errno != EEXIST) return false;
    if (slash == std::string::npos) return true;
  }
}

struct Entry {
  int64_t used_ns, bytes;
  std::string path;
};

// Entries and left-over temporary files in a folder, longest unused first.
std::vector<Entry> entries_of(const std::string &folder) {
  std::vector<Entry> entries;
  if (DIR *directory = opendir(folder.c_str())) {
    while (const dirent *item = readdir(directory)) {
      const std::string name = item->d_name, path = folder + "/" + name;
      struct stat info;
      if (name.find(kSuffix) == std::string::npos || lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode))
        continue;
      entries.push_back({info.st_mtim.tv_sec * 1000000000LL + info.st_mtim.tv_nsec, info.st_size, path});
    }
    closedir(directory);
  }
  std::sort(entries.begin(), entries.end(),
            [](const Entry &a, const Entry &b) { return std::tie(a.used_ns, a.path) < std::tie(b.used_ns, b.path); });
  return entries;
}

// Drops the longest unused entries until `incoming` bytes fit below the limit; `keep` stays.
void make_room(const std::string &folder, int64_t incoming, int64_t limit, const std::string &keep) {
  const std::vector<Entry> entries = entries_of(folder);
  int64_t total = incoming;
  for (const Entry &entry : entries)
    if (entry.path != keep) total += entry.bytes;
  for (const Entry &entry : entries) {
    if (total <= limit) return;
    if (entry.path == keep) continue;
    if (unlink(entry.path.c_str()) == 0) total -= entry.bytes;
  }
}

}  // namespace

int64_t prepacked_limit() {
  const char *text = std::getenv("BITTERN_CACHE_LIMIT");
  if (!text || !*text) return int64_t{8} << 30;
  char *end = nullptr;
  errno = 0;
  const double number = std::strtod(text, &end);
  constexpr std::pair<char, int> kUnits[] = {{'\0', 0}, {'K', 10}, {'M', 20}, {'G', 30}, {'T', 40}};
  for (const auto &[letter, shift] : kUnits)
    if (end != text && errno == 0 && number >= 0 && number < 1e9 * (shift ? 1 : 1e9) && *end == letter &&
        (letter == '\0' || end[1] == '\0'))
      return static_cast<int64_t>(number * static_cast<double>(int64_t{1} << shift));
  throw Error(std::string("BITTERN_CACHE_LIMIT is not a size: \"") + text + "\" (example: 8G)");
}

Prepacked::Prepacked(std::string folder, const std::string &key, Warn warn)
    : folder_(std::move(folder)), warn_(std::move(warn)) {
  unsigned char hash[crypto_hash_sha256_BYTES];
  crypto_hash_sha256(hash, reinterpret_cast<const unsigned char *>(key.data()), key.size());
  char hex[2 * sizeof hash + 1];
  sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
  hash_ = hex;
}

std::string Prepacked::path() const { return folder_ + "/" + hash_.substr(0, 32) + kSuffix; }

bool Prepacked::read(uint8_t *image, int64_t bytes, ThreadPool &pool) const {
  const Descriptor file(open(path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (file.fd() < 0) return false;
  const auto damaged = [&](const char *why) {
    warn_("prepacked weights " + path() + " " + why + "; packing the model again");
    return false;
  };
  struct stat info;
  if (fstat(file.fd(), &info) != 0 || !S_ISREG(info.st_mode)) return damaged("are not a regular file");
  Header header;
  if (info.st_size != image_offset(bytes) + bytes || !read_all(file.fd(), &header, sizeof header, 0))
    return damaged("have the wrong size");
  if (header_checksum(header) != header.header_checksum || std::memcmp(header.magic, "bittern", 8) != 0 ||
      header.format != kFormat || header.image_bytes != bytes || header.piece_bytes != kPiece ||
      std::memcmp(header.key, hash_.data(), sizeof header.key) != 0)
    return damaged("have a damaged header");
  std::vector<uint64_t> table(static_cast<size_t>(pieces_of(bytes)));
  const auto table_bytes = static_cast<int64_t>(table.size() * 8);
  if (!read_all(file.fd(), table.data(), table_bytes, sizeof header) ||
      checksum64(reinterpret_cast<const uint8_t *>(table.data()), table_bytes) != header.table_checksum)
    return damaged("have a damaged header");
  std::atomic<bool> good{true};
  pool.parallel(pieces_of(bytes), [&](int64_t piece, int) {
    if (!good.load(std::memory_order_relaxed)) return;
    const int64_t at = piece * kPiece, size = std::min(kPiece, bytes - at);
    if (!read_all(file.fd(), image + at, size, image_offset(bytes) + at) ||
        checksum64(image + at, size) != table[static_cast<size_t>(piece)])
      good = false;
  });
  if (!good) return damaged("are damaged");
  futimens(file.fd(), nullptr);  // used now
  return true;
}

void Prepacked::write(const uint8_t *image, int64_t bytes, ThreadPool &pool) const {
  const int64_t size = image_offset(bytes) + bytes, limit = prepacked_limit();
  if (size > limit) return;
  const auto failed = [&](const std::string &what) {
    warn_("cannot keep prepacked weights: " + what + ": " + std::strerror(errno) +
          "; the next start will pack the model again");
  };
  if (!make_folders(folder_)) return failed(folder_);
  make_room(folder_, size, limit, path());
  const std::string temporary = path() + "." + std::to_string(getpid()) + ".tmp";
  const Descriptor file(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file.fd() < 0) return failed(temporary);

  std::vector<uint64_t> table(static_cast<size_t>(pieces_of(bytes)));
  std::atomic<int> error{0};
  pool.parallel(pieces_of(bytes), [&](int64_t piece, int) {
    if (error.load(std::memory_order_relaxed)) return;
    const int64_t at = piece * kPiece, count = std::min(kPiece, bytes - at);
    table[static_cast<size_t>(piece)] = checksum64(image + at, count);
    if (!write_all(file.fd(), image + at, count, image_offset(bytes) + at)) error = errno ? errno : EIO;
  });
  const auto table_bytes = static_cast<int64_t>(table.size() * 8);
  Header header{};
  std::memcpy(header.magic, "bittern", 8);
  header.format = kFormat;
  header.image_bytes = bytes;
  header.piece_bytes = kPiece;
  std::memcpy(header.key, hash_.data(), sizeof header.key);
  header.table_checksum = checksum64(reinterpret_cast<const uint8_t *>(table.data()), table_bytes);
  header.header_checksum = header_checksum(header);
  if (!error && (!write_all(file.fd(), &header, sizeof header, 0) ||
                 !write_all(file.fd(), table.data(), table_bytes, sizeof header) ||
                 rename(temporary.c_str(), path().c_str()) != 0))
    error = errno ? errno : EIO;
  if (error) {
    unlink(temporary.c_str());
    errno = error;
    failed(path());
  }
}

}  // namespace bittern::runtime
