// The wire format of protocol buffers (https://protobuf.dev/programming-guides/encoding), as much as reading one known
// message takes: fields one after another, nothing copied, nothing believed about lengths.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace bittern::runtime {

// One field of a message. The accessors throw Error "file: what at byte N" when the field is of another wire type.
class ProtoField {
 public:
  uint32_t number() const { return number_; }
  [[noreturn]] void fail(const std::string &what) const;

  uint64_t varint() const;
  bool boolean() const { return varint() != 0; }
  int32_t int32() const { return static_cast<int32_t>(varint()); }  // protobuf cuts off what is above, and so do all
  float float32() const;
  std::string_view bytes() const;

 private:
  friend class ProtoReader;
  enum class Wire : uint8_t { Varint = 0, Fixed64 = 1, Bytes = 2, Fixed32 = 5 };
  const std::string *file_ = nullptr;
  uint64_t at_ = 0;  // of the field, in the file
  uint32_t number_ = 0;
  Wire wire_ = Wire::Varint;
  uint64_t value_ = 0;
  std::string_view bytes_;
};

// Reads the fields of a message in their order.
class ProtoReader {
 public:
  // `offset`: the place of the message in the file, which `file` names and outlives the reader.
  ProtoReader(std::string_view message, const std::string &file, uint64_t offset = 0)
      : rest_(message), file_(&file), at_(offset) {}
  // The fields of a field that is a message itself.
  explicit ProtoReader(const ProtoField &field);

  // The next field, or false at the end. Throws Error for what is no field, or one longer than what is left.
  bool next(ProtoField &field);

 private:
  uint64_t read_varint();
  [[noreturn]] void fail(const std::string &what) const;

  std::string_view rest_;
  const std::string *file_;
  uint64_t at_;  // of rest_, in the file
};

}  // namespace bittern::runtime
