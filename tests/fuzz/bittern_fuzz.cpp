// Any bytes as a Bittern file: one Error, or a model that can be read to its last weight. Lengths and the header's
// checksum are made right first, since no mutation would.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "runtime/error.h"
#include "runtime/io/checksum.h"
#include "runtime/model/bittern_file.h"
#include "runtime/model/labels.h"
#include "runtime/model/model_source.h"

using namespace bittern::runtime;

namespace {

void mend(std::vector<uint8_t> &bytes) {
  if (bytes.size() < kBitternPreamble) return;
  std::memcpy(bytes.data(), kBitternMagic.data(), kBitternMagic.size());
  const uint64_t size = bytes.size();
  uint64_t header = 0;
  std::memcpy(&header, bytes.data() + 8, sizeof header);
  if (header > size - kBitternPreamble) return;
  std::memcpy(bytes.data() + 16, &size, sizeof size);
  const uint64_t sum = checksum64(bytes.data() + kBitternPreamble, static_cast<int64_t>(header));
  std::memcpy(bytes.data() + 24, &sum, sizeof sum);
}

// Whatever a model has; what is damaged says so.
template <typename Read>
void try_to(const Read &read) {
  try {
    read();
  } catch (const Error &) {
  }
}

void use(const ModelSource &source) {
  const ModelConfig &c = source.config();
  for (int64_t layer = 0; layer < std::min<int64_t>(c.layers, 4); ++layer) {
    for (const Linear which : kLinears) {
      try_to([&] {
        const TernaryMatrix m = source.linear(layer, which);
        std::vector<int8_t> row(static_cast<size_t>(m.cols));
        for (int64_t i = 0; i < m.rows; ++i) m.decode(i, 1, row.data(), m.cols);
        for (const int8_t trit : row) {
          if (trit < -1 || trit > 1) std::abort();
        }
        if (m.group == 0) return;
        std::vector<float> scales(static_cast<size_t>(m.cols / m.group));
        for (int64_t i = 0; i < m.rows; ++i) m.group_scales(i, 1, scales.data());
      });
      if (c.linear_norms) try_to([&] { source.linear_norm(layer, which); });
    }
    for (const Vector which : layer_vectors(c)) try_to([&] { source.vector(layer, which); });
  }
  for (const bool head : {false, true}) {
    if (head && !c.has_head) continue;
    try_to([&] {
      const FloatMatrix m = head ? source.head() : source.embedding();
      std::vector<uint8_t> row(static_cast<size_t>(m.cols) * 4);
      for (int64_t i = 0; i < m.rows; ++i) m.fill(i, 1, row.data());
    });
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const int fd = memfd_create("fuzz", MFD_CLOEXEC);
  static const std::string path = "/proc/self/fd/" + std::to_string(fd);
  std::vector<uint8_t> bytes(data, data + size);
  mend(bytes);
  if (ftruncate(fd, 0) != 0 || pwrite(fd, bytes.data(), size, 0) != static_cast<ssize_t>(size)) std::abort();
  try_to([&] {
    const BitternFile file(path);
    for (const auto &[name, section] : file.files()) try_to([&] { file.text(section); });
  });
  try_to([&] { use(*open_model(path)); });
  return 0;
}
