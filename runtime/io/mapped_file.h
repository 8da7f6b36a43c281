// A whole file mapped read-only. Model files are read through mappings so that pages can be dropped as soon as their
// weights are packed, and nothing is read that is not used.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace bittern::runtime {

class MappedFile {
 public:
  // Maps a regular file. Throws Error naming the file when it cannot be opened, is not a regular file or is larger
  // than `max_bytes`.
  explicit MappedFile(const std::string &path, uint64_t max_bytes = UINT64_MAX);
  ~MappedFile();
  MappedFile(const MappedFile &) = delete;
  MappedFile &operator=(const MappedFile &) = delete;

  const std::string &path() const { return path_; }
  const uint8_t *data() const { return data_; }
  uint64_t size() const { return size_; }
  int64_t modified_ns() const { return modified_ns_; }  // since the epoch
  std::string_view text() const { return {reinterpret_cast<const char *>(data_), size_}; }

  // Drops the pages that lie wholly inside [begin, end) from this process; a later read brings them back.
  void release(uint64_t begin, uint64_t end) const;

 private:
  std::string path_;
  uint8_t *data_ = nullptr;
  uint64_t size_ = 0;
  int64_t modified_ns_ = 0;
};

}  // namespace bittern::runtime
