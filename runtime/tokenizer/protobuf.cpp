#include "runtime/tokenizer/protobuf.h"

#include <fmt/format.h>

#include <bit>

#include "runtime/error.h"

namespace bittern::runtime {
namespace {

constexpr uint64_t kMostNumber = (1 << 29) - 1;

uint64_t little_endian(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

}  // namespace

void ProtoField::fail(const std::string &what) const {
  throw Error(fmt::format("{}: {} at byte {}", *file_, what, at_));
}

uint64_t ProtoField::varint() const {
  if (wire_ != Wire::Varint) fail(fmt::format("field {}: expected a whole number", number_));
  return value_;
}

float ProtoField::float32() const {
  if (wire_ != Wire::Fixed32) fail(fmt::format("field {}: expected a 32-bit number", number_));
  return std::bit_cast<float>(static_cast<uint32_t>(value_));
}

std::string_view ProtoField::bytes() const {
  if (wire_ != Wire::Bytes) fail(fmt::format("field {}: expected bytes", number_));
  return bytes_;
}

ProtoReader::ProtoReader(const ProtoField &field)
    : rest_(field.bytes()), file_(field.file_), at_(field.at_ + field.value_) {}

void ProtoReader::fail(const std::string &what) const {
  throw Error(fmt::format("{}: not a SentencePiece model: {} at byte {}", *file_, what, at_));
}

uint64_t ProtoReader::read_varint() {
  uint64_t value = 0;
  for (size_t i = 0; i < 10; ++i) {
    if (i >= rest_.size()) fail("a number is cut short");
    const uint8_t byte = static_cast<uint8_t>(rest_[i]);
    if (i == 9 && byte > 1) break;
    value |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
    if (byte < 0x80) {
      rest_.remove_prefix(i + 1);
      at_ += i + 1;
      return value;
    }
  }
  fail("a number of more than 64 bits");
}

bool ProtoReader::next(ProtoField &field) {
  if (rest_.empty()) return false;
  field = {};
  field.file_ = file_;
  field.at_ = at_;
  const uint64_t start = at_, tag = read_varint();
  if (tag >> 3 == 0 || tag >> 3 > kMostNumber) fail(fmt::format("field number {}", tag >> 3));
  field.number_ = static_cast<uint32_t>(tag >> 3);
  field.wire_ = static_cast<ProtoField::Wire>(tag & 7);
  const auto take = [&](uint64_t count) {
    if (count > rest_.size())
      fail(fmt::format("field {} needs {} bytes, {} are left", field.number_, count, rest_.size()));
    const std::string_view bytes = rest_.substr(0, count);
    rest_.remove_prefix(count);
    at_ += count;
    return bytes;
  };
  switch (field.wire_) {
    case ProtoField::Wire::Varint:
      field.value_ = read_varint();
      break;
    case ProtoField::Wire::Fixed64:
      field.value_ = little_endian(take(8));
      break;
    case ProtoField::Wire::Fixed32:
      field.value_ = little_endian(take(4));
      break;
    case ProtoField::Wire::Bytes: {
      const uint64_t count = read_varint();
      field.value_ = at_ - start;  // where the bytes begin
      field.bytes_ = take(count);
      break;
    }
    default:
      fail(fmt::format("field {} of wire type {}", field.number_, tag & 7));
  }
  return true;
}

}  // namespace bittern::runtime
