// GGUF files of metadata alone, for tests of what is read from it.
#pragma once
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

namespace bittern::test {

class GgufMetadata {
 public:
  GgufMetadata &add(const std::string &key, const std::string &value) {
    head(key, 8);
    string(value);
    return *this;
  }
  GgufMetadata &add(const std::string &key, const char *value) { return add(key, std::string(value)); }
  template <typename T>
    requires std::is_arithmetic_v<T>
  GgufMetadata &add(const std::string &key, T value) {
    head(key, type_of<T>());
    raw(value);
    return *this;
  }
  template <typename T>
  GgufMetadata &add(const std::string &key, const std::vector<T> &values) {
    head(key, 9);
    if constexpr (std::is_same_v<T, std::string>)
      raw(uint32_t{8});
    else
      raw(type_of<T>());
    raw(static_cast<uint64_t>(values.size()));
    for (const T &value : values) {
      if constexpr (std::is_same_v<T, std::string>)
        string(value);
      else
        raw(value);
    }
    return *this;
  }
  // The whole file.
  std::string bytes() const {
    GgufMetadata header;
    header.bytes_ = "GGUF";
    header.raw(uint32_t{3});
    header.raw(uint64_t{0});
    header.raw(count_);
    return header.bytes_ + bytes_;
  }

 private:
  template <typename T>
  static uint32_t type_of() {
    if constexpr (std::is_same_v<T, bool>) return 7;
    if constexpr (std::is_same_v<T, uint8_t>) return 0;
    if constexpr (std::is_same_v<T, float>) return 6;
    if constexpr (std::is_same_v<T, uint32_t>) return 4;
    return 5;  // int32_t
  }
  template <typename T>
  void raw(T value) {
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    bytes_.append(bytes, sizeof value);
  }
  void string(const std::string &text) {
    raw(static_cast<uint64_t>(text.size()));
    bytes_ += text;
  }
  void head(const std::string &key, uint32_t type) {
    string(key);
    raw(type);
    ++count_;
  }

  std::string bytes_;
  uint64_t count_ = 0;
};

}  // namespace bittern::test
