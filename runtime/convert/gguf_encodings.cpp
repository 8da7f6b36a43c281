// The layouts follow their public descriptions: TQ1_0, TQ2_0 and F16 as in the `gguf` Python package (quants.py) and
// ggml's block_tq1_0 and block_tq2_0; I2_S as in bitnet.cpp's utils/convert-hf-to-gguf-bitnet.py.
#include "runtime/convert/gguf_encodings.h"

#include <array>
#include <cstring>

namespace bittern::runtime {
namespace {

unsigned code(int8_t trit) { return static_cast<unsigned>(trit + 1); }

// Byte j holds values j, 32 + j, 64 + j and 96 + j, the first in the top two bits.
void pack_i2_s(const int8_t *trits, uint16_t, uint8_t *out) {
  for (int64_t j = 0; j < 32; ++j) {
    out[j] = static_cast<uint8_t>(code(trits[j]) << 6 | code(trits[32 + j]) << 4 | code(trits[64 + j]) << 2 |
                                  code(trits[96 + j]));
  }
}

// Two halves of 128; in each, byte j holds values j, 32 + j, 64 + j and 96 + j, the first in the lowest two bits.
void pack_tq2_0(const int8_t *trits, uint16_t scale, uint8_t *out) {
  for (int64_t half = 0; half < 2; ++half, trits += 128, out += 32) {
    for (int64_t j = 0; j < 32; ++j) {
      out[j] = static_cast<uint8_t>(code(trits[j]) | code(trits[32 + j]) << 2 | code(trits[64 + j]) << 4 |
                                    code(trits[96 + j]) << 6);
    }
  }
  std::memcpy(out, &scale, sizeof scale);
}

// Values of base three from the most significant digit, as a fraction of 256 rounded up, so that multiplying by three
// brings out digit after digit.
uint8_t fraction(unsigned digits) { return static_cast<uint8_t>((digits * 256 + 242) / 243); }

// Three runs: 32 bytes of five values 32 apart, 16 bytes of five values 16 apart, 4 bytes of four values 4 apart.
void pack_tq1_0(const int8_t *trits, uint16_t scale, uint8_t *out) {
  struct Run {
    int64_t bytes, values;
  };
  for (const Run run : std::array<Run, 3>{{{32, 5}, {16, 5}, {4, 4}}}) {
    for (int64_t j = 0; j < run.bytes; ++j) {
      unsigned digits = 0;
      for (int64_t i = 0; i < 5; ++i) digits = digits * 3 + (i < run.values ? code(trits[i * run.bytes + j]) : 0);
      *out++ = fraction(digits);
    }
    trits += run.bytes * run.values;
  }
  std::memcpy(out, &scale, sizeof scale);
}

void pack_f16(const int8_t *trits, uint16_t scale, uint8_t *out) {
  const uint16_t value = static_cast<uint16_t>(*trits == 0 ? 0 : *trits < 0 ? scale | 0x8000u : scale);
  std::memcpy(out, &value, sizeof value);
}

constexpr std::array<GgufEncoding, 4> kEncodings{{{"gguf-i2_s", 36, 40, 128, 32, 32, pack_i2_s},
                                                  {"gguf-tq1_0", 34, 36, 256, 54, 0, pack_tq1_0},
                                                  {"gguf-tq2_0", 35, 37, 256, 66, 0, pack_tq2_0},
                                                  {"gguf-f16", 1, 1, 1, 2, 0, pack_f16}}};

}  // namespace

std::span<const GgufEncoding> gguf_encodings() { return kEncodings; }

}  // namespace bittern::runtime
