#include "runtime/convert/gguf_metadata.h"

#include <bit>

namespace bittern::runtime {
namespace {

// Type numbers of values.
constexpr uint32_t kU8 = 0, kU32 = 4, kI32 = 5, kF32 = 6, kBool = 7, kString = 8, kArray = 9;

template <typename T>
void append_integer(std::string &out, T value) {
  for (size_t i = 0; i < sizeof value; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
}

}  // namespace

void append_le(std::string &out, uint32_t value) { append_integer(out, value); }
void append_le(std::string &out, uint64_t value) { append_integer(out, value); }
void append_gguf_string(std::string &out, std::string_view text) {
  append_le(out, static_cast<uint64_t>(text.size()));
  out += text;
}

void GgufMetadata::begin(std::string_view key, uint32_t type) {
  append_gguf_string(bytes_, key);
  append_le(bytes_, type);
  ++count_;
}

void GgufMetadata::begin_array(std::string_view key, uint32_t item_type, uint64_t items) {
  begin(key, kArray);
  append_le(bytes_, item_type);
  append_le(bytes_, items);
}

void GgufMetadata::u32(std::string_view key, uint32_t value) {
  begin(key, kU32);
  append_le(bytes_, value);
}

void GgufMetadata::f32(std::string_view key, float value) {
  begin(key, kF32);
  append_le(bytes_, std::bit_cast<uint32_t>(value));
}

void GgufMetadata::boolean(std::string_view key, bool value) {
  begin(key, kBool);
  bytes_ += static_cast<char>(value);
}

void GgufMetadata::string(std::string_view key, std::string_view value) {
  begin(key, kString);
  append_gguf_string(bytes_, value);
}

void GgufMetadata::strings(std::string_view key, std::span<const std::string> values) {
  begin_array(key, kString, values.size());
  for (const std::string &value : values) append_gguf_string(bytes_, value);
}

void GgufMetadata::i32s(std::string_view key, std::span<const int32_t> values) {
  begin_array(key, kI32, values.size());
  for (const int32_t value : values) append_le(bytes_, static_cast<uint32_t>(value));
}

void GgufMetadata::u8s(std::string_view key, std::span<const uint8_t> values) {
  begin_array(key, kU8, values.size());
  for (const uint8_t value : values) bytes_ += static_cast<char>(value);
}

uint64_t GgufMetadata::f32s(std::string_view key, std::span<const float> values) {
  begin_array(key, kF32, values.size());
  const uint64_t at = bytes_.size();
  for (const float value : values) append_le(bytes_, std::bit_cast<uint32_t>(value));
  return at;
}

}  // namespace bittern::runtime
