#include "runtime/io/descriptor.h"

#include <unistd.h>

#include <cerrno>
#include <utility>

namespace bittern::runtime {

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

bool Descriptor::close() { return ::close(std::exchange(fd_, -1)) == 0; }

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(fd, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return false;
    bytes.remove_prefix(static_cast<size_t>(wrote));
  }
  return true;
}

bool write_all_at(int fd, const void *data, int64_t bytes, int64_t offset) {
  for (auto *from = static_cast<const uint8_t *>(data); bytes > 0;) {
    const ssize_t wrote = pwrite(fd, from, static_cast<size_t>(bytes), offset);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return false;
    from += wrote, bytes -= wrote, offset += wrote;
  }
  return true;
}

bool read_all_at(int fd, void *data, int64_t bytes, int64_t offset) {
  for (auto *to = static_cast<uint8_t *>(data); bytes > 0;) {
    const ssize_t got = pread(fd, to, static_cast<size_t>(bytes), offset);
    if (got < 0 && errno == EINTR) continue;
    if (got == 0) errno = 0;
    if (got <= 0) return false;
    to += got, bytes -= got, offset += got;
  }
  return true;
}

}  // namespace bittern::runtime
