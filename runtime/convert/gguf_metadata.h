// Builds the metadata of a GGUF file, version 3 (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace bittern::runtime {

class GgufMetadata {
 public:
  void u32(std::string_view key, uint32_t value);
  void f32(std::string_view key, float value);
  void boolean(std::string_view key, bool value);
  void string(std::string_view key, std::string_view value);
  void strings(std::string_view key, std::span<const std::string> values);
  void i32s(std::string_view key, std::span<const int32_t> values);
  void u8s(std::string_view key, std::span<const uint8_t> values);
  // Returns where in bytes() the first value stands, for those who know the values later.
  uint64_t f32s(std::string_view key, std::span<const float> values);

  uint64_t count() const { return count_; }
  const std::string &bytes() const { return bytes_; }  // all pairs, as in the file

 private:
  void begin(std::string_view key, uint32_t type);
  void begin_array(std::string_view key, uint32_t item_type, uint64_t items);

  std::string bytes_;
  uint64_t count_ = 0;
};

// Pieces of a GGUF header.
void append_le(std::string &out, uint32_t value);
void append_le(std::string &out, uint64_t value);
void append_gguf_string(std::string &out, std::string_view text);

}  // namespace bittern::runtime
