// A file descriptor with an owner, and transfers that are whole: the kernel may move less than it was asked for.
#pragma once
#include <cstdint>
#include <string_view>

namespace bittern::runtime {

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor();
  Descriptor(const Descriptor &) = delete;
  Descriptor &operator=(const Descriptor &) = delete;
  int fd() const { return fd_; }  // negative: none
  // Closes it; false, with errno, when that says that a write was lost.
  bool close();

 private:
  int fd_;
};

// Each is false, with errno, when not all could be moved; an end of file leaves errno 0.
bool write_all(int fd, std::string_view bytes);  // at the file's position
bool write_all_at(int fd, const void *data, int64_t bytes, int64_t offset);
bool read_all_at(int fd, void *data, int64_t bytes, int64_t offset);

}  // namespace bittern::runtime
