#include "runtime/io/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "runtime/error.h"

namespace bittern::runtime {
namespace {

constexpr size_t kBuffer = 1 << 20;

}  // namespace

OutputFile::OutputFile(const std::string &path, std::string name)
    : name_(std::move(name)), file_(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666)) {
  if (file_.fd() < 0) throw Error(fmt::format("{}: cannot create: {}", name_, std::strerror(errno)));
  buffer_.reserve(kBuffer);
}

void OutputFile::fail(int error) const {
  throw Error(fmt::format("{}: cannot write, after {} bytes: {}", name_, flushed_, std::strerror(error)));
}

void OutputFile::reserve(uint64_t bytes) {
  // Not every file system can; then the writes will tell. The size is kept, so that a reader never sees zeros as data.
  if (bytes > 0 && fallocate(file_.fd(), FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(bytes)) != 0 &&
      (errno == ENOSPC || errno == EFBIG || errno == EDQUOT)) {
    throw Error(fmt::format("{}: cannot write {} bytes: {}", name_, bytes, std::strerror(errno)));
  }
}

void OutputFile::put(const uint8_t *data, size_t bytes, uint64_t offset) {
  if (!write_all_at(file_.fd(), data, static_cast<int64_t>(bytes), static_cast<int64_t>(offset))) fail(errno);
}

void OutputFile::flush() {
  put(buffer_.data(), buffer_.size(), flushed_);
  flushed_ += buffer_.size();
  buffer_.clear();
}

void OutputFile::write(const void *data, size_t bytes) {
  const uint8_t *from = static_cast<const uint8_t *>(data);
  if (buffer_.size() + bytes > kBuffer) flush();
  if (bytes >= kBuffer) {
    put(from, bytes, flushed_);
    flushed_ += bytes;
  } else {
    buffer_.insert(buffer_.end(), from, from + bytes);
  }
  size_ += bytes;
}

void OutputFile::align(uint64_t alignment) {
  const std::vector<uint8_t> zeros((alignment - size_ % alignment) % alignment);
  write(zeros.data(), zeros.size());
}

void OutputFile::write_at(uint64_t offset, std::string_view bytes) {
  flush();
  put(reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size(), offset);
}

void OutputFile::finish() {
  flush();
  if (fsync(file_.fd()) != 0 && errno != EINVAL && errno != EROFS) fail(errno);
  if (!file_.close()) fail(errno);
}

}  // namespace bittern::runtime
