#include "runtime/io/npy.h"

#include <fmt/format.h>

#include <cstring>
#include <string_view>

#include "runtime/error.h"
#include "runtime/io/atomic_file.h"
#include "runtime/io/float_formats.h"
#include "runtime/io/mapped_file.h"

namespace bittern::runtime {
namespace {

constexpr std::string_view kMagic("\x93NUMPY\x01\x00", 8);

// The text after `'name':` in the header's Python dictionary, to its end.
std::string_view field(const std::string &path, std::string_view header, std::string_view name) {
  const size_t at = header.find(fmt::format("'{}':", name));
  if (at == std::string_view::npos) throw Error(fmt::format("{}: header has no '{}'", path, name));
  header.remove_prefix(at + name.size() + 3);
  while (!header.empty() && header[0] == ' ') header.remove_prefix(1);
  return header;
}

std::vector<int64_t> read_shape(const std::string &path, std::string_view text, uint64_t most_elements) {
  const auto fail = [&] { throw Error(fmt::format("{}: 'shape' is not a tuple of sizes that fit the file", path)); };
  if (text.empty() || text[0] != '(') fail();
  text.remove_prefix(1);
  std::vector<int64_t> shape;
  uint64_t elements = 1;
  while (!text.empty() && text[0] != ')') {
    uint64_t size = 0;
    if (text[0] < '0' || text[0] > '9' || shape.size() == 32) fail();
    for (; !text.empty() && text[0] >= '0' && text[0] <= '9'; text.remove_prefix(1)) {
      size = size * 10 + static_cast<uint64_t>(text[0] - '0');
      if (size > uint64_t{1} << 48) fail();
    }
    if (__builtin_mul_overflow(elements, size, &elements) || elements > most_elements) fail();
    shape.push_back(static_cast<int64_t>(size));
    while (!text.empty() && (text[0] == ',' || text[0] == ' ')) text.remove_prefix(1);
  }
  if (text.empty()) fail();
  return shape;
}

}  // namespace

void write_npy(const std::string &path, std::span<const float> data, int64_t rows, int64_t cols) {
  if (rows < 0 || cols < 0 || data.size() != static_cast<uint64_t>(rows) * static_cast<uint64_t>(cols)) {
    throw Error(fmt::format("{}: {} values are not {} x {}", path, data.size(), rows, cols));
  }
  std::string header = fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows, cols);
  // The data begin at a multiple of 64 bytes, after magic, 2 length bytes and a newline.
  const size_t used = kMagic.size() + 2 + header.size() + 1;
  header.append((64 - used % 64) % 64, ' ');
  header += '\n';
  std::string start(kMagic);
  start += static_cast<char>(header.size() & 0xff);
  start += static_cast<char>(header.size() >> 8);
  start += header;

  AtomicFile file(path);
  file.write(start);
  file.write({reinterpret_cast<const char *>(data.data()), data.size_bytes()});
  file.commit();
}

NpyArray read_npy(const std::string &path) {
  const MappedFile file(path);
  const std::string_view text = file.text();
  if (text.substr(0, kMagic.size()) != kMagic) throw Error(fmt::format("{}: not a .npy file of version 1.0", path));
  if (text.size() < 10) throw Error(fmt::format("{}: ends in the header, at byte {}", path, text.size()));
  const size_t header_size = load_le<uint16_t>(file.data() + 8);
  if (text.size() - 10 < header_size) throw Error(fmt::format("{}: ends in the header, at byte {}", path, text.size()));
  const std::string_view header = text.substr(10, header_size);
  if (!field(path, header, "descr").starts_with("'<f4'")) throw Error(fmt::format("{}: 'descr' is not '<f4'", path));
  if (!field(path, header, "fortran_order").starts_with("False")) {
    throw Error(fmt::format("{}: 'fortran_order' is not False", path));
  }
  const std::string_view bytes = text.substr(10 + header_size);
  NpyArray array;
  array.shape = read_shape(path, field(path, header, "shape"), bytes.size() / sizeof(float));
  size_t count = 1;
  for (const int64_t size : array.shape) count *= static_cast<size_t>(size);
  if (bytes.size() != count * sizeof(float)) {
    throw Error(fmt::format("{}: {} bytes of data, {} expected", path, bytes.size(), count * sizeof(float)));
  }
  array.data.resize(count);
  if (count > 0) std::memcpy(array.data.data(), bytes.data(), bytes.size());
  return array;
}

}  // namespace bittern::runtime
