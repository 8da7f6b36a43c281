#include "runtime/tokenizer/normal_forms.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <vector>

#include "runtime/error.h"
#include "runtime/io/utf8.h"

namespace bittern::runtime {

std::string normal_form(std::string_view text, bool compose, bool compatibility) {
  const auto ascii = [](char c) { return static_cast<uint8_t>(c) < 0x80; };
  if (std::all_of(text.begin(), text.end(), ascii)) return std::string(text);
  const int options = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | (compatibility ? UTF8PROC_COMPAT : 0);
  std::vector<utf8proc_int32_t> points;
  points.reserve(text.size());
  std::array<utf8proc_int32_t, 32> one{};  // the longest decomposition has 18
  for (size_t i = 0; i < text.size();) {
    const size_t length = utf8_step(text.substr(i)).length;
    int boundary = 0;
    const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(utf8_code_point(text.substr(i, length))),
                                               one.data(), static_cast<utf8proc_ssize_t>(one.size()),
                                               static_cast<utf8proc_option_t>(options), &boundary);
    if (count < 0 || static_cast<size_t>(count) > one.size()) throw Error("cannot decompose a character");
    points.insert(points.end(), one.begin(), one.begin() + count);
    i += length;
  }
  // Canonical order: within a run of combining marks by class, equal ones as they are.
  const auto combining = [](utf8proc_int32_t c) { return utf8proc_get_property(c)->combining_class; };
  for (size_t i = 0; i < points.size();) {
    size_t end = i;
    while (end < points.size() && combining(points[end]) != 0) ++end;
    std::stable_sort(points.begin() + static_cast<ptrdiff_t>(i), points.begin() + static_cast<ptrdiff_t>(end),
                     [&](utf8proc_int32_t a, utf8proc_int32_t b) { return combining(a) < combining(b); });
    i = std::max(end, i + 1);
  }
  if (compose) {
    const auto count = utf8proc_normalize_utf32(points.data(), static_cast<utf8proc_ssize_t>(points.size()),
                                                static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    if (count < 0) throw Error("cannot compose a text");
    points.resize(static_cast<size_t>(count));
  }
  std::string out;
  out.reserve(text.size());
  for (const utf8proc_int32_t c : points) utf8_append(out, static_cast<char32_t>(c));
  return out;
}

}  // namespace bittern::runtime
