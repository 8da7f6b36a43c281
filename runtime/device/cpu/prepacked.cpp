// See prepacked.h. File: Header, one checksum per piece of the image, padding to a page, the image.
#include "runtime/device/cpu/prepacked.h"

#include <dirent.h>
#include <fcntl.h>
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
#include "runtime/io/atomic_file.h"
#include "runtime/io/checksum.h"
#include "runtime/io/sha256.h"
#include "runtime/machine/machine.h"

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

std::string prepacked_folder(const Warn &warn) {
  if (prepacked_limit() == 0) return {};
  const std::string cache = cache_folder();
  if (!cache.empty()) return cache + "/prepacked";
  warn("there is no cache folder, since HOME is not set: packed weights are not kept");
  return {};
}

Prepacked::Prepacked(std::string folder, const std::string &key, Warn warn)
    : folder_(std::move(folder)), warn_(std::move(warn)) {
  hash_ = sha256_hex(key);
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
  if (info.st_size != image_offset(bytes) + bytes || !read_all_at(file.fd(), &header, sizeof header, 0))
    return damaged("have the wrong size");
  if (header_checksum(header) != header.header_checksum || std::memcmp(header.magic, "bittern", 8) != 0 ||
      header.format != kFormat || header.image_bytes != bytes || header.piece_bytes != kPiece ||
      std::memcmp(header.key, hash_.data(), sizeof header.key) != 0)
    return damaged("have a damaged header");
  std::vector<uint64_t> table(static_cast<size_t>(pieces_of(bytes)));
  const auto table_bytes = static_cast<int64_t>(table.size() * 8);
  if (!read_all_at(file.fd(), table.data(), table_bytes, sizeof header) ||
      checksum64(reinterpret_cast<const uint8_t *>(table.data()), table_bytes) != header.table_checksum)
    return damaged("have a damaged header");
  std::atomic<bool> good{true};
  pool.parallel(pieces_of(bytes), [&](int64_t piece, int) {
    if (!good.load(std::memory_order_relaxed)) return;
    const int64_t at = piece * kPiece, size = std::min(kPiece, bytes - at);
    if (!read_all_at(file.fd(), image + at, size, image_offset(bytes) + at) ||
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
  try {
    if (!make_folders(folder_)) throw Error(folder_ + ": " + std::strerror(errno));
    make_room(folder_, size, limit, path());
    write_entry(image, bytes, pool);
  } catch (const Error &error) {
    warn_(std::string("cannot keep prepacked weights: ") + error.what() + "; the next start will pack the model again");
  }
}

void Prepacked::write_entry(const uint8_t *image, int64_t bytes, ThreadPool &pool) const {
  AtomicFile file(path(), {.ours = true});
  std::vector<uint64_t> table(static_cast<size_t>(pieces_of(bytes)));
  std::atomic<int> error{0};
  const auto put = [&](const void *data, int64_t count, int64_t offset) {
    if (!write_all_at(file.fd(), data, count, offset)) error = errno;
  };
  pool.parallel(pieces_of(bytes), [&](int64_t piece, int) {
    if (error.load(std::memory_order_relaxed)) return;
    const int64_t at = piece * kPiece, count = std::min(kPiece, bytes - at);
    table[static_cast<size_t>(piece)] = checksum64(image + at, count);
    put(image + at, count, image_offset(bytes) + at);
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
  put(&header, sizeof header, 0);
  put(table.data(), table_bytes, sizeof header);
  if (error) throw Error(path() + ": cannot write: " + std::strerror(error));
  file.commit();
}

}  // namespace bittern::runtime
