// The one encoder and the one decoder of what tuner and workers tell each other. A message lists its fields once
// (T::fields); both directions follow from that list, so they cannot disagree. Decoding is strict: what is missing, not
// known or of another type is one BadMessage that says which field.
#pragma once
#include <fmt/format.h>

#include <concepts>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>
#include <vector>

#include "compiler/error.h"
#include "compiler/ir.h"

namespace bittern::tuning {

// A message that is not what its sender should have sent.
class BadMessage : public Error {
 public:
  using Error::Error;
};

namespace wire {

struct AnyVisit {
  template <typename T>
  void operator()(const char *, T &) const {}
};
template <typename T>
concept Fielded = requires(T &value) { T::fields(value, AnyVisit()); };

template <typename T>
inline constexpr bool kIsVector = false;
template <typename T>
inline constexpr bool kIsVector<std::vector<T>> = true;

template <typename T>
nlohmann::json encode(const T &value) {
  if constexpr (Fielded<T>) {
    nlohmann::json object = nlohmann::json::object();
    T::fields(value, [&](const char *name, const auto &member) { object[name] = encode(member); });
    return object;
  } else if constexpr (kIsVector<T> || std::is_array_v<T>) {
    nlohmann::json list = nlohmann::json::array();
    for (const auto &element : value) list.push_back(encode(element));
    return list;
  } else {
    return value;
  }
}

// "field" is `where` in what is said: a path such as "rows[2].descriptor.tile".
void require(bool good, const std::string &where, const char *what);
void no_others(const nlohmann::json &object, const std::vector<const char *> &known, const std::string &where);
void decode(const nlohmann::json &json, std::string &value, const std::string &where);
void decode(const nlohmann::json &json, bool &value, const std::string &where);
void decode(const nlohmann::json &json, double &value, const std::string &where);
void decode(const nlohmann::json &json, compiler::Sizes &value, const std::string &where);
int64_t decode_integer(const nlohmann::json &json, int64_t least, int64_t most, const std::string &where);

template <std::integral T>
void decode(const nlohmann::json &json, T &value, const std::string &where) {
  constexpr bool kWide = std::is_unsigned_v<T> && sizeof(T) == 8;  // counts; nobody has more than an int64 of them
  constexpr int64_t most =
      kWide ? std::numeric_limits<int64_t>::max() : static_cast<int64_t>(std::numeric_limits<T>::max());
  value = static_cast<T>(decode_integer(json, static_cast<int64_t>(std::numeric_limits<T>::min()), most, where));
}

template <typename T>
void decode(const nlohmann::json &json, std::vector<T> &value, const std::string &where);
template <typename T, size_t N>
void decode(const nlohmann::json &json, T (&value)[N], const std::string &where);

template <Fielded T>
void decode(const nlohmann::json &json, T &value, const std::string &where) {
  require(json.is_object(), where, "is not an object");
  std::vector<const char *> known;
  T::fields(value, [&](const char *name, auto &member) {
    const std::string at = where.empty() ? name : where + "." + name;
    const auto found = json.find(name);
    require(found != json.end(), at, "is missing");
    decode(*found, member, at);
    known.push_back(name);
  });
  no_others(json, known, where);
}

template <typename T>
void decode(const nlohmann::json &json, std::vector<T> &value, const std::string &where) {
  require(json.is_array(), where, "is not a list");
  value.assign(json.size(), T());
  for (size_t i = 0; i < value.size(); ++i) decode(json[i], value[i], fmt::format("{}[{}]", where, i));
}

template <typename T, size_t N>
void decode(const nlohmann::json &json, T (&value)[N], const std::string &where) {
  require(json.is_array() && json.size() == N, where, "is not a list of as many numbers as there are");
  for (size_t i = 0; i < N; ++i) decode(json[i], value[i], fmt::format("{}[{}]", where, i));
}

}  // namespace wire

// A struct with fields as JSON, and back. Decoding throws BadMessage.
template <wire::Fielded T>
nlohmann::json encode(const T &message) {
  return wire::encode(message);
}
template <wire::Fielded T>
T decode(const nlohmann::json &json) {
  T message;
  wire::decode(json, message, "");
  return message;
}

}  // namespace bittern::tuning
