// Any bytes as an entry of the prepacked cache: it is refused with a warning, or it is whole. An input is a list of
// changes to a good entry, since no mutation of bytes would get past three checksums: the first byte says which of them
// are made right again, the second how much is cut off or added, then come places (two bytes) and values.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "runtime/device/cpu/prepacked.h"
#include "runtime/io/checksum.h"
#include "tests/scratch_folder.h"

using namespace bittern::runtime;

namespace {

// The header is a magic of 8 bytes, format and reserved of 4, bytes of the image and of a piece of 8, a hash of 64, the
// checksum of the table and its own.
constexpr size_t kImage = 200, kTableSum = 96, kHeaderSum = 104, kTable = 112, kPage = 4096;

struct Entry {
  bittern::test::ScratchFolder folder;
  ThreadPool pool{1};
  std::string said;
  Prepacked cache{folder.root(), "key", [this](const std::string &text) { said = text; }};
  std::vector<uint8_t> image = std::vector<uint8_t>(kImage), good;

  Entry() {
    for (size_t i = 0; i < kImage; ++i) image[i] = static_cast<uint8_t>(i * 37);
    cache.write(image.data(), kImage, pool);
    std::ifstream in(cache.path(), std::ios::binary);
    good.assign(std::istreambuf_iterator<char>(in), {});
    if (good.size() != kPage + kImage) std::abort();
  }
};

void mend(std::vector<uint8_t> &bytes, size_t from, size_t count, size_t to) {
  if (bytes.size() < from + count || bytes.size() < to + 8) return;
  const uint64_t sum = checksum64(bytes.data() + from, static_cast<int64_t>(count));
  std::memcpy(bytes.data() + to, &sum, sizeof sum);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static Entry entry;
  if (size < 2) return 0;
  std::vector<uint8_t> bytes = entry.good;
  for (size_t at = 2; at + 3 <= size; at += 3) bytes[(data[at] | data[at + 1] << 8) % bytes.size()] = data[at + 2];
  if (data[0] & 1) mend(bytes, kPage, kImage, kTable);
  if (data[0] & 2) mend(bytes, kTable, 8, kTableSum);
  if (data[0] & 4) mend(bytes, 0, kHeaderSum, kHeaderSum);
  if (data[1] < 128)
    bytes.resize(bytes.size() - std::min<size_t>(bytes.size(), size_t{data[1]} * 40));
  else
    bytes.resize(bytes.size() + data[1] - 128);
  std::ofstream(entry.cache.path(), std::ios::binary | std::ios::trunc)
      .write(reinterpret_cast<const char *>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  std::vector<uint8_t> image(kImage);
  entry.said.clear();
  const bool taken = entry.cache.read(image.data(), kImage, entry.pool);
  if (taken != entry.said.empty()) std::abort();  // refused means told
  if (taken && (bytes.size() != entry.good.size() || std::memcmp(image.data(), bytes.data() + kPage, kImage) != 0))
    std::abort();
  if (taken && (data[0] & 7) == 0 && image != entry.image) std::abort();
  return 0;
}
