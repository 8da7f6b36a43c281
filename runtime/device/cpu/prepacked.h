// The prepacked cache: one file per (model file, layouts, format version) with the very bytes of the weight image, so
// that a start only reads. Every piece carries a checksum; anything that is not as it should be means packing again.
// The folder is kept below a size limit by dropping what was used longest ago.
#pragma once
#include <cstdint>
#include <string>

#include "runtime/kernels/dispatch.h"
#include "runtime/threads/pool.h"

namespace bittern::runtime {

class Prepacked {
 public:
  // `key` says everything that the bytes depend on. The entry's name is its hash.
  Prepacked(std::string folder, const std::string &key, Warn warn);

  // Fills `image` from the entry, in parallel. False when there is none or it is not whole (said in a warning);
  // `image` may then hold anything.
  bool read(uint8_t *image, int64_t bytes, ThreadPool &pool) const;

  // Writes the entry, whole or not at all, and drops old entries above the limit. A failure is one warning.
  void write(const uint8_t *image, int64_t bytes, ThreadPool &pool) const;

  std::string path() const;

 private:
  void write_entry(const uint8_t *image, int64_t bytes, ThreadPool &pool) const;

  std::string folder_, hash_;
  Warn warn_;
};

// Most bytes that entries may take together: $BITTERN_CACHE_LIMIT (a number, optionally followed by K, M, G or T),
// 8 GiB when unset. 0 turns the cache off. Throws Error when the variable is not a size.
int64_t prepacked_limit();

// Where entries lie, "prepacked" in the cache folder. Empty when the cache is off, or when there is no cache folder,
// which a warning says.
std::string prepacked_folder(const Warn &warn);

}  // namespace bittern::runtime
