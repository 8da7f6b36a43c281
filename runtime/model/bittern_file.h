// Bittern's own model file: one file with everything that a model is, in the canonical form that every reader makes of
// every other format, so that nothing is left to interpret and nothing is rounded. Version 1, little-endian:
//
//   0   8 bytes   "BITTERN1"
//   8   u64       bytes of the header (JSON text, filled up with spaces)
//   16  u64       bytes of the file
//   24  u64       checksum64 of the header
//   32            the header; after it the sections, each beginning at a multiple of 64
//
//   {"config": {...},                                      ModelConfig (bittern_config.h)
//    "tensors": {
//      "layers.0.q": {"type": "trits", "shape": [rows, cols], "at": N, "bytes": N, "sum": "16 hex digits",
//                     "scale": x}                          or "group": g, and f32 scales [rows, cols / g] in
//                                                          "layers.0.q.scales"
//      "layers.0.input_norm": {"type": "f32", "shape": [n], ...}      norms as multipliers; "layers.0.q.norm" is the
//                                                                     norm inside a linear layer
//      "embedding": {"type": "bf16", "shape": [rows, cols], ..., "row_sums_at": N}},
//    "files": {"tokenizer.json": {"at": N, "bytes": N, "sum": ...}}}  as they stood beside the model
//
// Trits are packed five a byte, row after row (base3.h). "sum" is the checksum64 of the section; of a float matrix
// (type f32, f16 or bf16, the precision of the file it came from) it is that of a table of its rows' checksums (u64
// each) at "row_sums_at", so that single rows can be read and checked. Checksums are checked whenever data is read.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/io/mapped_file.h"
#include "runtime/model/model_source.h"

namespace bittern::runtime {

inline constexpr std::string_view kBitternMagic = "BITTERN1";
inline constexpr uint64_t kBitternPreamble = 32, kBitternAlign = 64;

enum class BitternType { Trits, F32, F16, BF16 };
const char *bittern_type_name(BitternType type);
uint64_t bittern_bytes(BitternType type, int64_t rows, int64_t cols);

// A piece of the file. Its place lies within the file and overlaps nothing.
struct BitternSection {
  std::string name;
  uint64_t at = 0, bytes = 0, sum = 0;
  BitternType type = BitternType::F32;
  std::vector<int64_t> shape;
  float scale = 0;           // of trits without groups
  int64_t group = 0;         // of trits with groups
  uint64_t row_sums_at = 0;  // of matrices of floats
};

class BitternFile {
 public:
  // Reads and checks the header. Throws Error naming file, field and offset.
  explicit BitternFile(const std::string &path);

  const MappedFile &file() const { return file_; }
  const ModelConfig &config() const { return config_; }
  uint64_t header_sum() const { return header_sum_; }
  // Throws Error when there is none of that name.
  const BitternSection &tensor(std::string_view name) const;
  const std::map<std::string, BitternSection, std::less<>> &tensors() const { return tensors_; }
  const std::map<std::string, BitternSection, std::less<>> &files() const { return files_; }

  const uint8_t *data(const BitternSection &section) const { return file_.data() + section.at; }
  // Throws Error unless the section's bytes have their checksum (of a float matrix: the table of its rows').
  void check(const BitternSection &section) const;
  // Throws Error unless rows [row0, row0 + count) of a float matrix have theirs.
  void check_rows(const BitternSection &section, int64_t row0, int64_t count) const;
  // Throws Error "file: tensor 'name': what at byte N", N being `offset` bytes into it.
  [[noreturn]] void fail(const BitternSection &section, const std::string &what, uint64_t offset = 0) const;
  // A file that stands in it, checked.
  std::string text(const BitternSection &section) const;

 private:
  MappedFile file_;
  uint64_t header_sum_ = 0, header_end_ = 0;
  ModelConfig config_;
  std::map<std::string, BitternSection, std::less<>> tensors_, files_;
};

}  // namespace bittern::runtime
