// GGUF files, versions 2 and 3 (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): metadata and the places of
// tensors. Nothing in a header is believed: every count, length, offset and size is checked against the file when it
// is opened, and metadata stays where it is, so that a vocabulary of any size costs no memory.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/io/mapped_file.h"

namespace bittern::runtime {

// Types of metadata values, numbered as in the file.
enum class GgufType : uint32_t { U8, I8, U16, I16, U32, I32, F32, Bool, String, Array, U64, I64, F64 };
std::string_view gguf_type_name(GgufType type);

class GgufArray;

// One value of the metadata, or one item of an array: a view of the file, valid as long as the GgufFile. The accessors
// throw Error "file: metadata 'key': what at byte N" when the value is not what is asked for.
class GgufValue {
 public:
  std::string_view key() const { return key_; }
  GgufType type() const { return type_; }
  uint64_t offset() const { return at_; }  // of the value, in the file

  [[noreturn]] void fail(const std::string &what) const;
  // An integer of any width within [least, most].
  int64_t integer(int64_t least, int64_t most) const;
  // A finite number, integer or float, within [least, most].
  double number(double least, double most) const;
  bool boolean() const;
  std::string_view string() const;  // any bytes; GGUF says UTF-8, but vocabularies hold parts of characters
  GgufArray array() const;

 private:
  friend class GgufFile;
  friend class GgufArray;
  GgufValue(const MappedFile *file, std::string_view key, GgufType type, uint64_t at)
      : file_(file), key_(key), type_(type), at_(at) {}
  void expect(GgufType type) const;

  const MappedFile *file_;
  std::string_view key_;
  GgufType type_;
  uint64_t at_;
};

// Items one after another: `for (const GgufValue item : value.array())`. Items of fixed size also by number.
class GgufArray {
 public:
  GgufType type() const { return type_; }
  uint64_t size() const { return size_; }
  // The item with number `index` (< size()); throws Error for arrays of strings or arrays, which have no fixed size.
  GgufValue operator[](uint64_t index) const;

  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = GgufValue;
    using difference_type = std::ptrdiff_t;
    using pointer = const GgufValue *;
    using reference = GgufValue;
    GgufValue operator*() const;
    Iterator &operator++();
    bool operator==(const Iterator &other) const { return left_ == other.left_; }
    bool operator!=(const Iterator &other) const { return left_ != other.left_; }

   private:
    friend class GgufArray;
    Iterator(const GgufArray *array, uint64_t left) : array_(array), left_(left), at_(array->at_) {}
    const GgufArray *array_;
    uint64_t left_, at_;
  };
  Iterator begin() const { return Iterator(this, size_); }
  Iterator end() const { return Iterator(this, 0); }

 private:
  friend class GgufValue;
  GgufArray(const MappedFile *file, std::string_view key, GgufType type, uint64_t size, uint64_t at)
      : file_(file), key_(key), type_(type), size_(size), at_(at) {}

  const MappedFile *file_;
  std::string_view key_;
  GgufType type_;
  uint64_t size_, at_;  // of the first item
};

// A tensor's place. Its type decides how many of its bytes it uses: a type number means different things to different
// programs, so the container knows only where the next tensor begins.
struct GgufTensor {
  std::string_view name;
  uint32_t type = 0;
  uint32_t rank = 0;              // 1 to 4
  std::array<int64_t, 4> dims{};  // fastest first: {columns, rows} of a matrix; each at least 1, 1 beyond the rank
  const MappedFile *file = nullptr;
  uint64_t alignment = 32;           // of tensors' beginnings: their last bytes may be padding
  uint64_t begin = 0, end = 0;       // the bytes that are its own: up to the next tensor or the end of the file
  const GgufTensor *next = nullptr;  // the tensor that begins at `end`; null for the last
  uint64_t info_at = 0, type_at = 0, offset_at = 0;  // where the header has its description, type and offset

  const uint8_t *data() const { return file->data() + begin; }
  int64_t elements() const { return dims[0] * dims[1] * dims[2] * dims[3]; }  // checked not to overflow
  std::string dims_text() const;                                              // "[512, 256]", fastest first
  // Throws Error "file: tensor 'name': what at byte N", N being `offset` bytes into the tensor's data.
  [[noreturn]] void fail(const std::string &what, uint64_t offset = 0) const;
  // The same, N being where the header describes the tensor.
  [[noreturn]] void fail_info(const std::string &what) const;
  // Throws Error unless `bytes` fit: naming the tensor that it would overlap, or the end of the file.
  void require(uint64_t bytes, std::string_view type_name) const;
};

class GgufFile {
 public:
  // Throws Error naming file, field and byte offset for anything that is not a whole, sound header.
  explicit GgufFile(const std::string &path);
  GgufFile(const GgufFile &) = delete;
  GgufFile &operator=(const GgufFile &) = delete;

  const MappedFile &file() const { return file_; }
  uint32_t version() const { return version_; }
  uint64_t alignment() const { return alignment_; }
  // Everything in front of the tensors' data.
  std::string_view header() const { return file_.text().substr(0, header_bytes_); }

  // The value of a key; null when it is not there.
  const GgufValue *find(std::string_view key) const;
  // Throws Error "file: metadata 'key' is missing".
  const GgufValue &get(std::string_view key) const;
  const std::vector<GgufValue> &metadata() const { return metadata_; }  // sorted by key

  const GgufTensor *find_tensor(std::string_view name) const;
  // Throws Error "file: tensor 'name' is missing".
  const GgufTensor &get_tensor(std::string_view name) const;
  const std::vector<GgufTensor> &tensors() const { return tensors_; }  // sorted by name

 private:
  void place_tensors(uint64_t data_begin);

  MappedFile file_;
  uint32_t version_ = 0;
  uint64_t alignment_ = 32, header_bytes_ = 0;
  std::vector<GgufValue> metadata_;
  std::vector<GgufTensor> tensors_;
};

}  // namespace bittern::runtime
