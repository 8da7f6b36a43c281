// Lists as users type them: "1,8,128" and "2560x2560, 6912x2560" (rows x columns of a weight matrix, N x K).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace bittern::runtime {

struct Shape {
  int64_t n = 0, k = 0;
  bool operator==(const Shape &) const = default;
};
constexpr int64_t kMaxShapeSize = int64_t{1} << 24;  // either of the two

// Both throw Error that names `option` and quotes the item that is wrong. Spaces may stand around an item. Each count
// must lie in 1 .. `most`.
std::vector<int64_t> parse_counts(const std::string &text, int64_t most, const std::string &option);
std::vector<Shape> parse_shapes(const std::string &text, const std::string &option);
std::string print_shape(const Shape &);

}  // namespace bittern::runtime
