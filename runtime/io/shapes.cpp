// See shapes.h.
#include "runtime/io/shapes.h"

#include <fmt/format.h>

#include <charconv>

#include "runtime/error.h"

namespace bittern::runtime {
namespace {

int64_t parse_count(std::string_view item, int64_t most, const std::string &option) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(item.data(), item.data() + item.size(), value);
  if (item.empty() || error != std::errc() || end != item.data() + item.size() || value < 1 || value > most) {
    throw Error(fmt::format("{}: '{}' is not a whole number from 1 to {}", option, item, most));
  }
  return value;
}

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> items;
  while (true) {
    const size_t comma = text.find(',');
    std::string_view item = text.substr(0, comma);
    while (item.starts_with(' ')) item.remove_prefix(1);
    while (item.ends_with(' ')) item.remove_suffix(1);
    items.push_back(item);
    if (comma == std::string_view::npos) return items;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace

std::vector<int64_t> parse_counts(const std::string &text, int64_t most, const std::string &option) {
  std::vector<int64_t> counts;
  for (std::string_view item : split(text)) counts.push_back(parse_count(item, most, option));
  return counts;
}

std::vector<Shape> parse_shapes(const std::string &text, const std::string &option) {
  const std::string where = fmt::format("{} '{}'", option, text);
  std::vector<Shape> shapes;
  for (std::string_view item : split(text)) {
    const size_t x = item.find('x');
    if (x == std::string_view::npos) {
      throw Error(fmt::format("{}: '{}' is not a shape such as 6912x2560 (rows x columns)", where, item));
    }
    shapes.push_back(
        {parse_count(item.substr(0, x), kMaxShapeSize, where), parse_count(item.substr(x + 1), kMaxShapeSize, where)});
  }
  return shapes;
}

std::string print_shape(const Shape &shape) { return fmt::format("{}x{}", shape.n, shape.k); }

}  // namespace bittern::runtime
