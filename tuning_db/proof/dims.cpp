// See dims.h.
#include "tuning_db/proof/dims.h"

#include <fmt/format.h>

#include <charconv>
#include <vector>

#include "compiler/error.h"

namespace bittern::tuning {
namespace {

constexpr int64_t kMaxDimension = int64_t{1} << 24;

int64_t parse_number(const std::string &text, const std::string &whole, const char *what) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1 || value > kMaxDimension)
    throw Error(fmt::format("{} '{}': '{}' is not a number from 1 to {}", what, whole, text, kMaxDimension));
  return value;
}

std::vector<std::string> split(const std::string &text, char separator) {
  std::vector<std::string> parts(1);
  for (char c : text) {
    if (c == separator)
      parts.emplace_back();
    else if (c != ' ')
      parts.back() += c;
  }
  return parts;
}

}  // namespace

compiler::Sizes parse_dims(const std::string &text) {
  compiler::Sizes sizes;
  for (const std::string &part : split(text, ',')) {
    const size_t equals = part.find('=');
    if (equals == std::string::npos || equals == 0)
      throw Error(fmt::format("dims '{}': '{}' is not of the form NAME=NUMBER, for example M=1", text, part));
    if (!sizes.emplace(part.substr(0, equals), parse_number(part.substr(equals + 1), text, "dims")).second)
      throw Error(fmt::format("dims '{}': {} is given twice", text, part.substr(0, equals)));
  }
  return sizes;
}

}  // namespace bittern::tuning
