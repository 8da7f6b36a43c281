#include "runtime/model/bittern_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "runtime/error.h"
#include "runtime/io/checksum.h"
#include "runtime/io/float_formats.h"
#include "runtime/io/json.h"
#include "runtime/model/base3.h"
#include "runtime/model/bittern_config.h"

namespace bittern::runtime {
namespace {

constexpr uint64_t kMaxBitternHeader = 64 << 20;
constexpr int64_t kMaxSize = int64_t{1} << 48;

// In the order of BitternType; 0 bytes: packed.
constexpr std::array<std::pair<const char *, uint64_t>, 4> kSectionTypes{
    {{"trits", 0}, {"f32", 4}, {"f16", 2}, {"bf16", 2}}};

// Places of sections, for finding overlaps.
struct Place {
  uint64_t begin, end;
  std::string name;
};

class HeaderReader {
 public:
  HeaderReader(uint64_t first, uint64_t file_bytes) : first_(first), file_bytes_(file_bytes) {}

  BitternSection section(const Json &entry) {
    BitternSection s;
    s.name = entry.key();
    s.bytes = static_cast<uint64_t>(entry.get("bytes").integer(0, kMaxSize));
    s.at = place(entry.get("at"), s.bytes, s.name);
    const Json sum = entry.get("sum");
    s.sum = hex(sum);
    return s;
  }

  BitternSection tensor(const Json &entry) {
    BitternSection s = section(entry);
    const Json type = entry.get("type"), shape = entry.get("shape");
    const std::string type_name = type.string();
    const auto row =
        std::find_if(kSectionTypes.begin(), kSectionTypes.end(), [&](const auto &t) { return t.first == type_name; });
    if (row == kSectionTypes.end()) type.fail(fmt::format("'{}' is not known", type_name));
    s.type = static_cast<BitternType>(row - kSectionTypes.begin());
    shape.expect(Json::Type::Array);
    // Sizes this small cannot overflow below.
    for (const Json size : shape) s.shape.push_back(size.integer(1, 1 << 24));
    if (s.shape.empty() || s.shape.size() > 2) shape.fail("expected one or two sizes");
    const bool matrix = s.shape.size() == 2;
    const uint64_t bytes = bittern_bytes(s.type, matrix ? s.shape[0] : 1, s.shape.back());
    if (s.bytes != bytes) entry.get("bytes").fail(fmt::format("{}, but that shape takes {}", s.bytes, bytes));
    if (s.type == BitternType::Trits) {
      if (!matrix) shape.fail("expected two sizes");
      read_scale(entry, s);
    } else if (matrix && entry.find("row_sums_at")) {
      s.row_sums_at = place(entry.get("row_sums_at"), static_cast<uint64_t>(s.shape[0]) * 8, s.name);
    }
    return s;
  }

  void refuse_overlaps(const std::string &path) {
    std::sort(places_.begin(), places_.end(), [](const Place &a, const Place &b) { return a.begin < b.begin; });
    for (size_t i = 1; i < places_.size(); ++i) {
      if (places_[i].begin < places_[i - 1].end) {
        throw Error(fmt::format("{}: '{}' overlaps '{}' at byte {}", path, places_[i].name, places_[i - 1].name,
                                places_[i].begin));
      }
    }
  }

 private:
  static void read_scale(const Json &entry, BitternSection &s) {
    const auto scale = entry.find("scale"), group = entry.find("group");
    if (scale.has_value() == group.has_value()) entry.fail("expected either 'scale' or 'group'");
    if (scale) {
      s.scale = static_cast<float>(scale->number(0, std::numeric_limits<float>::max()));
      if (!(s.scale > 0)) scale->fail(fmt::format("{} is not a usable scale: it must be positive", s.scale));
    } else {
      s.group = group->integer(1, s.shape[1]);
      if (s.shape[1] % s.group != 0) group->fail(fmt::format("{} does not divide {} columns", s.group, s.shape[1]));
    }
  }

  uint64_t place(const Json &at, uint64_t bytes, const std::string &name) {
    const uint64_t begin = static_cast<uint64_t>(at.integer(0, kMaxSize));
    if (begin % kBitternAlign != 0) at.fail(fmt::format("{} is not a multiple of {}", begin, kBitternAlign));
    if (begin < first_) at.fail(fmt::format("{} lies in the header, which ends at {}", begin, first_));
    if (begin > file_bytes_ || bytes > file_bytes_ - begin) {
      at.fail(fmt::format("{} bytes from {} go beyond the file's {}", bytes, begin, file_bytes_));
    }
    if (bytes > 0) places_.push_back({begin, begin + bytes, name});
    return begin;
  }

  static uint64_t hex(const Json &value) {
    const std::string text = value.string();
    uint64_t out = 0;
    if (text.size() != 16) value.fail("expected 16 hexadecimal digits");
    for (const char c : text) {
      const bool digit = c >= '0' && c <= '9';
      if (!digit && !(c >= 'a' && c <= 'f')) value.fail("expected 16 hexadecimal digits");
      out = out << 4 | static_cast<uint64_t>(digit ? c - '0' : c - 'a' + 10);
    }
    return out;
  }

  uint64_t first_, file_bytes_;
  std::vector<Place> places_;
};

}  // namespace

const char *bittern_type_name(BitternType type) { return kSectionTypes[static_cast<size_t>(type)].first; }

uint64_t bittern_bytes(BitternType type, int64_t rows, int64_t cols) {
  const uint64_t each = kSectionTypes[static_cast<size_t>(type)].second;
  return static_cast<uint64_t>(rows) *
         (each ? static_cast<uint64_t>(cols) * each : static_cast<uint64_t>(base3_row_bytes(cols)));
}

BitternFile::BitternFile(const std::string &path) : file_(path) {
  const auto refuse = [&](std::string_view field, const std::string &what, uint64_t at) {
    throw Error(fmt::format("{}: {}: {} at byte {}", path, field, what, at));
  };
  if (file_.size() < kBitternPreamble) {
    refuse("preamble", fmt::format("the file ends, {} bytes expected", kBitternPreamble), file_.size());
  }
  if (!file_.text().starts_with(kBitternMagic)) refuse("magic", "not a Bittern file of version 1", 0);
  const uint64_t header_bytes = load_le<uint64_t>(file_.data() + 8);
  const uint64_t file_bytes = load_le<uint64_t>(file_.data() + 16);
  header_sum_ = load_le<uint64_t>(file_.data() + 24);
  if (file_bytes != file_.size()) {
    refuse("file length", fmt::format("{}, but the file has {} bytes", file_bytes, file_.size()), 16);
  }
  if (header_bytes > kMaxBitternHeader || header_bytes > file_bytes - kBitternPreamble) {
    refuse("header length", fmt::format("{} is more than there is or may be", header_bytes), 8);
  }
  header_end_ = kBitternPreamble + header_bytes;
  if (checksum64(file_.data() + kBitternPreamble, static_cast<int64_t>(header_bytes)) != header_sum_) {
    refuse("header checksum", "the header is damaged", 24);
  }

  const JsonDocument document(file_.text().substr(kBitternPreamble, header_bytes), path, {.depth = 6},
                              kBitternPreamble);
  const Json root = document.root();
  root.expect(Json::Type::Object);
  config_ = read_bittern_config(root.get("config"));
  HeaderReader reader(header_end_, file_bytes);
  const Json tensors = root.get("tensors"), files = root.get("files");
  tensors.expect(Json::Type::Object);
  files.expect(Json::Type::Object);
  for (const Json entry : tensors) {
    entry.expect(Json::Type::Object);
    tensors_.emplace(entry.key(), reader.tensor(entry));
  }
  for (const Json entry : files) {
    entry.expect(Json::Type::Object);
    // Names come from a file that may be hostile, and a folder may be made of them.
    const std::string name = entry.key();
    if (name.empty() || name.size() > 255 || name[0] == '.' || name.find('/') != std::string::npos ||
        name.find('\0') != std::string::npos) {
      entry.fail("not a plain file name");
    }
    files_.emplace(name, reader.section(entry));
  }
  reader.refuse_overlaps(path);
}

const BitternSection &BitternFile::tensor(std::string_view name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) throw Error(fmt::format("{}: tensor '{}' is missing", file_.path(), name));
  return found->second;
}

void BitternFile::fail(const BitternSection &section, const std::string &what, uint64_t offset) const {
  throw Error(fmt::format("{}: '{}': {} at byte {}", file_.path(), section.name, what, section.at + offset));
}

void BitternFile::check(const BitternSection &section) const {
  const bool by_row = section.row_sums_at != 0;
  const uint64_t bytes = by_row ? static_cast<uint64_t>(section.shape[0]) * 8 : section.bytes;
  const uint8_t *from = by_row ? file_.data() + section.row_sums_at : data(section);
  if (checksum64(from, static_cast<int64_t>(bytes)) != section.sum) fail(section, "damaged (checksum differs)");
}

void BitternFile::check_rows(const BitternSection &section, int64_t row0, int64_t count) const {
  const uint64_t row_bytes = section.bytes / static_cast<uint64_t>(section.shape[0]);
  for (int64_t row = row0; row < row0 + count; ++row) {
    const uint64_t offset = static_cast<uint64_t>(row) * row_bytes;
    const uint64_t sum = load_le<uint64_t>(file_.data() + section.row_sums_at + static_cast<uint64_t>(row) * 8);
    if (checksum64(data(section) + offset, static_cast<int64_t>(row_bytes)) != sum) {
      fail(section, fmt::format("row {} is damaged (checksum differs)", row), offset);
    }
  }
}

std::string BitternFile::text(const BitternSection &section) const {
  check(section);
  return std::string(file_.text().substr(section.at, section.bytes));
}

}  // namespace bittern::runtime
