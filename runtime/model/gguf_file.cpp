#include "runtime/model/gguf_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

#include "runtime/error.h"
#include "runtime/io/float_formats.h"
#include "runtime/io/utf8.h"

namespace bittern::runtime {
namespace {

constexpr std::string_view kMagic = "GGUF";
constexpr uint64_t kMaxEntries = 1 << 16;  // metadata keys, and tensors: a 100B model has a thousand
constexpr uint64_t kMaxKey = 65535;        // the format's own limit
constexpr uint64_t kMaxName = 255;         // the format says 64; some programs raise it
constexpr int64_t kMaxAlignment = 1 << 30;
constexpr int kMaxDepth = 4;  // arrays within arrays

struct ValueType {
  std::string_view name;
  uint64_t bytes;  // 0: no fixed size
};
// In the order of GgufType.
constexpr std::array<ValueType, 13> kValueTypes{{{"U8", 1},
                                                 {"I8", 1},
                                                 {"U16", 2},
                                                 {"I16", 2},
                                                 {"U32", 4},
                                                 {"I32", 4},
                                                 {"F32", 4},
                                                 {"Bool", 1},
                                                 {"String", 0},
                                                 {"Array", 0},
                                                 {"U64", 8},
                                                 {"I64", 8},
                                                 {"F64", 8}}};
uint64_t fixed_bytes(GgufType type) { return kValueTypes[static_cast<size_t>(type)].bytes; }

// Goes through a header; `what` names the field in messages.
class Cursor {
 public:
  Cursor(const MappedFile &file, uint64_t at) : file_(file), at_(at) {}

  uint64_t at() const { return at_; }
  uint64_t left() const { return file_.size() - at_; }

  [[noreturn]] void fail(const std::string &what, uint64_t at) const {
    throw Error(fmt::format("{}: {} at byte {}", file_.path(), what, at));
  }
  // The next `bytes` bytes.
  const uint8_t *take(uint64_t bytes, std::string_view what) {
    if (bytes > left()) {
      fail(fmt::format("{}: the file ends after {} bytes, {} expected", what, left(), bytes), at_);
    }
    at_ += bytes;
    return file_.data() + (at_ - bytes);
  }
  template <typename T>
  T read(std::string_view what) {
    return load_le<T>(take(sizeof(T), what));
  }
  std::string_view read_string(std::string_view what) {
    const uint64_t start = at_, length = read<uint64_t>(what);
    if (length > left()) {
      fail(fmt::format("{}: a string of {} bytes, but the file ends after {}", what, length, left()), start);
    }
    return {reinterpret_cast<const char *>(take(length, what)), length};
  }
  // A name that messages and look-ups can use.
  std::string_view read_name(std::string_view what, uint64_t most) {
    const uint64_t start = at_;
    const std::string_view name = read_string(what);
    if (name.empty() || name.size() > most) {
      fail(fmt::format("{}: {} bytes long, expected 1 to {}", what, name.size(), most), start);
    }
    const bool control =
        std::any_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < 32; });
    if (control || !utf8_valid(name)) fail(fmt::format("{}: not plain UTF-8", what), start + 8);
    return name;
  }
  GgufType read_type(std::string_view what) {
    const uint64_t start = at_;
    const uint32_t type = read<uint32_t>(what);
    if (type >= kValueTypes.size()) fail(fmt::format("{}: unknown type {}", what, type), start);
    return static_cast<GgufType>(type);
  }

  // Passes a value and checks all that its accessors rely on.
  void skip_value(GgufType type, const std::string &what, int depth = 0) {
    if (type == GgufType::String) {
      read_string(what);
    } else if (type == GgufType::Array) {
      skip_array(what, depth);
    } else {
      const uint64_t start = at_;
      const uint8_t *bytes = take(fixed_bytes(type), what);
      if (type == GgufType::Bool && *bytes > 1) fail(fmt::format("{}: {} is not a Bool", what, *bytes), start);
    }
  }

 private:
  void skip_array(const std::string &what, int depth) {
    const uint64_t start = at_;
    if (depth == kMaxDepth) fail(fmt::format("{}: arrays nested deeper than {}", what, kMaxDepth), start);
    const GgufType type = read_type(what);
    const uint64_t count = read<uint64_t>(what);
    // Strings have at least their length field, arrays a type and a length.
    const uint64_t least = type == GgufType::String ? 8 : type == GgufType::Array ? 12 : fixed_bytes(type);
    if (count > left() / least) {
      fail(fmt::format("{}: {} items of type {}, but the file ends after {} bytes", what, count, gguf_type_name(type),
                       left()),
           start + 4);
    }
    if (fixed_bytes(type) != 0 && type != GgufType::Bool) {
      take(count * fixed_bytes(type), what);
      return;
    }
    for (uint64_t i = 0; i < count; ++i) skip_value(type, what, depth + 1);
  }

  const MappedFile &file_;
  uint64_t at_;
};

// Where the value at `at` ends. Everything was checked when the file was opened.
uint64_t value_end(const MappedFile &file, GgufType type, uint64_t at) {
  const uint8_t *bytes = file.data() + at;
  if (type == GgufType::String) return at + 8 + load_le<uint64_t>(bytes);
  if (type != GgufType::Array) return at + fixed_bytes(type);
  const GgufType item = static_cast<GgufType>(load_le<uint32_t>(bytes));
  const uint64_t count = load_le<uint64_t>(bytes + 4);
  at += 12;
  if (fixed_bytes(item) != 0) return at + count * fixed_bytes(item);
  for (uint64_t i = 0; i < count; ++i) at = value_end(file, item, at);
  return at;
}

uint64_t read_count(Cursor &cursor, std::string_view what) {
  const uint64_t start = cursor.at(), count = cursor.read<uint64_t>(what);
  if (count > kMaxEntries) {
    cursor.fail(fmt::format("{}: {} is more than the {} allowed", what, count, kMaxEntries), start);
  }
  return count;
}

GgufTensor read_tensor(Cursor &cursor, const MappedFile &file, uint64_t number) {
  GgufTensor tensor;
  tensor.file = &file;
  tensor.info_at = cursor.at();
  tensor.name = cursor.read_name(fmt::format("name of tensor {}", number), kMaxName);
  const std::string what = fmt::format("tensor '{}'", tensor.name);
  const uint64_t rank_at = cursor.at();
  tensor.rank = cursor.read<uint32_t>(what + ": number of dimensions");
  if (tensor.rank < 1 || tensor.rank > tensor.dims.size()) {
    cursor.fail(fmt::format("{}: {} dimensions, expected 1 to {}", what, tensor.rank, tensor.dims.size()), rank_at);
  }
  tensor.dims.fill(1);
  int64_t elements = 1;
  for (uint32_t i = 0; i < tensor.rank; ++i) {
    const uint64_t at = cursor.at(), size = cursor.read<uint64_t>(what + ": dimensions");
    if (size == 0 || size > INT64_MAX) cursor.fail(fmt::format("{}: dimension {} is {}", what, i, size), at);
    tensor.dims[i] = static_cast<int64_t>(size);
    if (__builtin_mul_overflow(elements, tensor.dims[i], &elements)) {
      cursor.fail(fmt::format("{}: the product of its dimensions overflows", what), at);
    }
  }
  tensor.type_at = cursor.at();
  tensor.type = cursor.read<uint32_t>(what + ": type");
  tensor.offset_at = cursor.at();
  tensor.begin = cursor.read<uint64_t>(what + ": offset");  // from the data's begin: see place_tensors
  return tensor;
}

}  // namespace

std::string_view gguf_type_name(GgufType type) { return kValueTypes[static_cast<size_t>(type)].name; }

void GgufValue::fail(const std::string &what) const {
  throw Error(fmt::format("{}: metadata '{}': {} at byte {}", file_->path(), key_, what, at_));
}

void GgufValue::expect(GgufType type) const {
  if (type_ != type) fail(fmt::format("type {}, expected {}", gguf_type_name(type_), gguf_type_name(type)));
}

int64_t GgufValue::integer(int64_t least, int64_t most) const {
  const uint8_t *bytes = file_->data() + at_;
  int64_t value = 0;
  switch (type_) {
    case GgufType::U8:
      value = *bytes;
      break;
    case GgufType::I8:
      value =
          static_cast<int64_t>(load_le<int8_t>(bytes));  // NOLINT(bugprone-signed-char-misuse): a number, no character
      break;
    case GgufType::U16:
      value = load_le<uint16_t>(bytes);
      break;
    case GgufType::I16:
      value = load_le<int16_t>(bytes);
      break;
    case GgufType::U32:
      value = load_le<uint32_t>(bytes);
      break;
    case GgufType::I32:
      value = load_le<int32_t>(bytes);
      break;
    case GgufType::I64:
      value = load_le<int64_t>(bytes);
      break;
    case GgufType::U64: {
      const uint64_t wide = load_le<uint64_t>(bytes);
      if (wide > INT64_MAX) fail(fmt::format("{} is outside {}..{}", wide, least, most));
      value = static_cast<int64_t>(wide);
      break;
    }
    default:
      fail(fmt::format("type {}, expected an integer", gguf_type_name(type_)));
  }
  if (value < least || value > most) fail(fmt::format("{} is outside {}..{}", value, least, most));
  return value;
}

double GgufValue::number(double least, double most) const {
  const uint8_t *bytes = file_->data() + at_;
  double value = 0;
  if (type_ == GgufType::F32) {
    value = static_cast<double>(load_le<float>(bytes));
  } else if (type_ == GgufType::F64) {
    value = load_le<double>(bytes);
  } else {
    value = static_cast<double>(integer(INT64_MIN, INT64_MAX));
  }
  if (!(value >= least && value <= most) || !std::isfinite(value)) {
    fail(fmt::format("{} is outside {}..{}", value, least, most));
  }
  return value;
}

bool GgufValue::boolean() const {
  expect(GgufType::Bool);
  return file_->data()[at_] != 0;
}

std::string_view GgufValue::string() const {
  expect(GgufType::String);
  return file_->text().substr(at_ + 8, load_le<uint64_t>(file_->data() + at_));
}

GgufArray GgufValue::array() const {
  expect(GgufType::Array);
  const uint8_t *bytes = file_->data() + at_;
  return {file_, key_, static_cast<GgufType>(load_le<uint32_t>(bytes)), load_le<uint64_t>(bytes + 4), at_ + 12};
}

GgufValue GgufArray::operator[](uint64_t index) const {
  const uint64_t bytes = fixed_bytes(type_);
  const GgufValue item(file_, key_, type_, at_ + (bytes && index < size_ ? index * bytes : 0));
  if (bytes == 0) item.fail(fmt::format("items of type {} have no fixed size", gguf_type_name(type_)));
  if (index >= size_) item.fail(fmt::format("item {} of {}", index, size_));
  return item;
}

GgufValue GgufArray::Iterator::operator*() const { return {array_->file_, array_->key_, array_->type_, at_}; }

GgufArray::Iterator &GgufArray::Iterator::operator++() {
  at_ = value_end(*array_->file_, array_->type_, at_);
  --left_;
  return *this;
}

std::string GgufTensor::dims_text() const {
  std::string out = "[";
  for (uint32_t i = 0; i < rank; ++i) out += fmt::format("{}{}", i ? ", " : "", dims[i]);
  return out + "]";
}

void GgufTensor::fail(const std::string &what, uint64_t offset) const {
  throw Error(fmt::format("{}: tensor '{}': {} at byte {}", file->path(), name, what, begin + offset));
}

void GgufTensor::fail_info(const std::string &what) const {
  throw Error(fmt::format("{}: tensor '{}': {} at byte {}", file->path(), name, what, info_at));
}

void GgufTensor::require(uint64_t bytes, std::string_view type_name) const {
  if (bytes <= end - begin) return;
  const std::string takes = fmt::format("{} of {} takes {} bytes", dims_text(), type_name, bytes);
  if (next) fail(fmt::format("{}: overlaps tensor '{}' after {}", takes, next->name, end - begin));
  fail(fmt::format("{}, but the file ends after {}", takes, end - begin));
}

GgufFile::GgufFile(const std::string &path) : file_(path) {
  Cursor cursor(file_, 0);
  const uint8_t *magic = cursor.take(kMagic.size(), "magic");
  if (!std::equal(kMagic.begin(), kMagic.end(), magic)) cursor.fail("magic: not a GGUF file", 0);
  version_ = cursor.read<uint32_t>("version");
  if (version_ == 0x02000000 || version_ == 0x03000000) cursor.fail("version: big-endian files are not supported", 4);
  if (version_ != 2 && version_ != 3) {
    cursor.fail(fmt::format("version: {} is not supported (supported: 2, 3)", version_), 4);
  }
  const uint64_t tensor_count = read_count(cursor, "tensor count");
  const uint64_t key_count = read_count(cursor, "metadata count");

  for (uint64_t i = 0; i < key_count; ++i) {
    const std::string_view key = cursor.read_name(fmt::format("metadata key {}", i), kMaxKey);
    const std::string what = fmt::format("metadata '{}'", key);
    const GgufType type = cursor.read_type(what);
    metadata_.push_back(GgufValue(&file_, key, type, cursor.at()));
    cursor.skip_value(type, what);
    if (key == "general.alignment") {
      alignment_ = static_cast<uint64_t>(metadata_.back().integer(8, kMaxAlignment));
      if (!std::has_single_bit(alignment_)) metadata_.back().fail(fmt::format("{} is no power of two", alignment_));
    }
  }
  std::sort(metadata_.begin(), metadata_.end(), [](const GgufValue &a, const GgufValue &b) {
    return a.key() != b.key() ? a.key() < b.key() : a.offset() < b.offset();
  });
  for (size_t i = 1; i < metadata_.size(); ++i) {
    if (metadata_[i].key() == metadata_[i - 1].key()) metadata_[i].fail("the same key twice");
  }

  for (uint64_t i = 0; i < tensor_count; ++i) tensors_.push_back(read_tensor(cursor, file_, i));
  std::sort(tensors_.begin(), tensors_.end(), [](const GgufTensor &a, const GgufTensor &b) {
    return a.name != b.name ? a.name < b.name : a.info_at < b.info_at;
  });
  for (size_t i = 1; i < tensors_.size(); ++i) {
    if (tensors_[i].name == tensors_[i - 1].name) tensors_[i].fail_info("the same name twice");
  }
  const uint64_t padding = (alignment_ - cursor.at() % alignment_) % alignment_;
  if (tensor_count > 0 && padding > cursor.left()) {
    cursor.fail(fmt::format("padding: the file ends after {} bytes, {} expected", cursor.left(), padding), cursor.at());
  }
  header_bytes_ = std::min(cursor.at() + padding, file_.size());
  place_tensors(header_bytes_);
}

// Offsets become places in the file, and every tensor gets the bytes up to the next one.
void GgufFile::place_tensors(uint64_t data_begin) {
  const uint64_t data_size = file_.size() - data_begin;
  std::vector<GgufTensor *> in_order;
  for (GgufTensor &tensor : tensors_) {
    const std::string where = fmt::format("tensor '{}': offset", tensor.name);
    const Cursor cursor(file_, 0);
    if (tensor.begin % alignment_ != 0) {
      cursor.fail(fmt::format("{}: {} is not a multiple of the alignment {}", where, tensor.begin, alignment_),
                  tensor.offset_at);
    }
    if (tensor.begin >= data_size) {
      cursor.fail(
          fmt::format("{}: {} lies beyond the file, which has {} bytes of data", where, tensor.begin, data_size),
          tensor.offset_at);
    }
    tensor.begin += data_begin;
    tensor.alignment = alignment_;
    in_order.push_back(&tensor);
  }
  std::sort(in_order.begin(), in_order.end(), [](const GgufTensor *a, const GgufTensor *b) {
    return a->begin != b->begin ? a->begin < b->begin : a->info_at < b->info_at;
  });
  for (size_t i = 0; i < in_order.size(); ++i) {
    GgufTensor &tensor = *in_order[i];
    tensor.next = i + 1 < in_order.size() ? in_order[i + 1] : nullptr;
    tensor.end = tensor.next ? tensor.next->begin : file_.size();
    if (tensor.begin == tensor.end) {  // no tensor is empty
      const Cursor cursor(file_, 0);
      cursor.fail(fmt::format("tensor '{}': offset: overlaps tensor '{}'", tensor.next->name, tensor.name),
                  tensor.next->offset_at);
    }
  }
}

const GgufValue *GgufFile::find(std::string_view key) const {
  const auto found = std::lower_bound(metadata_.begin(), metadata_.end(), key,
                                      [](const GgufValue &value, std::string_view k) { return value.key() < k; });
  return found != metadata_.end() && found->key() == key ? &*found : nullptr;
}

const GgufValue &GgufFile::get(std::string_view key) const {
  const GgufValue *value = find(key);
  if (!value) throw Error(fmt::format("{}: metadata '{}' is missing", file_.path(), key));
  return *value;
}

const GgufTensor *GgufFile::find_tensor(std::string_view name) const {
  const auto found = std::lower_bound(tensors_.begin(), tensors_.end(), name,
                                      [](const GgufTensor &tensor, std::string_view n) { return tensor.name < n; });
  return found != tensors_.end() && found->name == name ? &*found : nullptr;
}

const GgufTensor &GgufFile::get_tensor(std::string_view name) const {
  const GgufTensor *tensor = find_tensor(name);
  if (!tensor) throw Error(fmt::format("{}: tensor '{}' is missing", file_.path(), name));
  return *tensor;
}

}  // namespace bittern::runtime
