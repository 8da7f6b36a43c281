#include "runtime/io/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "runtime/error.h"

namespace bittern::runtime {

MappedFile::MappedFile(const std::string &path, uint64_t max_bytes) : path_(path) {
  // O_NONBLOCK: opening a FIFO that someone put in the file's place must not hang.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) throw Error(fmt::format("{}: cannot open: {}", path, std::strerror(errno)));
  struct stat info{};
  const bool regular = fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  size_ = regular ? static_cast<uint64_t>(info.st_size) : 0;
  modified_ns_ = static_cast<int64_t>(info.st_mtim.tv_sec) * 1'000'000'000 + info.st_mtim.tv_nsec;
  void *mapping = nullptr;
  if (regular && size_ <= max_bytes && size_ > 0) mapping = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0);
  const int map_error = errno;
  close(fd);
  if (!regular) throw Error(fmt::format("{}: not a regular file", path));
  if (size_ > max_bytes) throw Error(fmt::format("{}: {} bytes, more than the {} allowed", path, size_, max_bytes));
  if (mapping == MAP_FAILED) throw Error(fmt::format("{}: cannot map: {}", path, std::strerror(map_error)));
  data_ = static_cast<uint8_t *>(mapping);
}

MappedFile::~MappedFile() {
  if (data_) munmap(data_, size_);
}

void MappedFile::release(uint64_t begin, uint64_t end) const {
  static const uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  end = std::min(end, size_);
  if (end < size_) end = end / page * page;  // the file's last page belongs to nobody else
  begin = (begin + page - 1) / page * page;
  if (begin < end) madvise(data_ + begin, end - begin, MADV_DONTNEED);
}

}  // namespace bittern::runtime
