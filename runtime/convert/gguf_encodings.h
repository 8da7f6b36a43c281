// Ternary rows as GGUF tensors hold them, one row of the table a type.
#pragma once
#include <cstdint>
#include <span>

namespace bittern::runtime {

struct GgufEncoding {
  const char *target;  // as in --to
  uint32_t type;       // tensor type number
  uint32_t file_type;  // general.file_type
  int64_t block;       // columns that are packed together; rows must be whole blocks
  int64_t block_bytes;
  int64_t tail_bytes;  // after the last row: I2_S has its scale there, as float32, and zeros
  // Packs one block. `scale` is the matrix's, as float16, of which each block of TQ1_0 and TQ2_0 has a copy.
  void (*pack)(const int8_t *trits, uint16_t scale, uint8_t *out);

  bool half_scale() const { return tail_bytes == 0; }  // the file has the scale in float16
};

std::span<const GgufEncoding> gguf_encodings();

}  // namespace bittern::runtime
