// A file written from its beginning to its end, with one buffer, and patched where only the end knows (headers with
// checksums or types). Every failure, a full disk above all, is one Error.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/io/descriptor.h"

namespace bittern::runtime {

class OutputFile {
 public:
  // Makes or empties `path`; `name` stands for it in messages.
  OutputFile(const std::string &path, std::string name);
  OutputFile(const OutputFile &) = delete;
  OutputFile &operator=(const OutputFile &) = delete;

  // Asks the file system for `bytes` in all, so that a full disk is known at once and not after minutes.
  void reserve(uint64_t bytes);
  void write(const void *data, size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  // Zeros up to a multiple of `alignment`.
  void align(uint64_t alignment);
  // Writes over what was written before.
  void write_at(uint64_t offset, std::string_view bytes);
  uint64_t size() const { return size_; }  // bytes written so far
  // Everything is on the disk when this returns.
  void finish();

 private:
  [[noreturn]] void fail(int error) const;
  void flush();
  void put(const uint8_t *data, size_t bytes, uint64_t offset);

  std::string name_;
  Descriptor file_;
  uint64_t size_ = 0, flushed_ = 0;
  std::vector<uint8_t> buffer_;
};

}  // namespace bittern::runtime
