// Categories and one-to-one mappings are utf8proc's; what maps to several characters is the table here, from the
// Unicode file SpecialCasing.txt.
#include "runtime/chat/jinja/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>

namespace bittern::runtime::jinja {
namespace {

struct Expansion {
  char32_t from;
  std::u32string_view upper, title;
};
constexpr std::array kExpansions = {
    Expansion{0xDF, U"SS", U"Ss"},
    Expansion{0x149, U"\u02BCN", U"\u02BCN"},
    Expansion{0x1F0, U"J\u030C", U"J\u030C"},
    Expansion{0x390, U"\u0399\u0308\u0301", U"\u0399\u0308\u0301"},
    Expansion{0x3B0, U"\u03A5\u0308\u0301", U"\u03A5\u0308\u0301"},
    Expansion{0x587, U"\u0535\u0552", U"\u0535\u0582"},
    Expansion{0x1E96, U"H\u0331", U"H\u0331"},
    Expansion{0x1E97, U"T\u0308", U"T\u0308"},
    Expansion{0x1E98, U"W\u030A", U"W\u030A"},
    Expansion{0x1E99, U"Y\u030A", U"Y\u030A"},
    Expansion{0x1E9A, U"A\u02BE", U"A\u02BE"},
    Expansion{0x1F50, U"\u03A5\u0313", U"\u03A5\u0313"},
    Expansion{0x1F52, U"\u03A5\u0313\u0300", U"\u03A5\u0313\u0300"},
    Expansion{0x1F54, U"\u03A5\u0313\u0301", U"\u03A5\u0313\u0301"},
    Expansion{0x1F56, U"\u03A5\u0313\u0342", U"\u03A5\u0313\u0342"},
    Expansion{0x1F80, U"\u1F08\u0399", U"\u1F88"},
    Expansion{0x1F81, U"\u1F09\u0399", U"\u1F89"},
    Expansion{0x1F82, U"\u1F0A\u0399", U"\u1F8A"},
    Expansion{0x1F83, U"\u1F0B\u0399", U"\u1F8B"},
    Expansion{0x1F84, U"\u1F0C\u0399", U"\u1F8C"},
    Expansion{0x1F85, U"\u1F0D\u0399", U"\u1F8D"},
    Expansion{0x1F86, U"\u1F0E\u0399", U"\u1F8E"},
    Expansion{0x1F87, U"\u1F0F\u0399", U"\u1F8F"},
    Expansion{0x1F88, U"\u1F08\u0399", U"\u1F88"},
    Expansion{0x1F89, U"\u1F09\u0399", U"\u1F89"},
    Expansion{0x1F8A, U"\u1F0A\u0399", U"\u1F8A"},
    Expansion{0x1F8B, U"\u1F0B\u0399", U"\u1F8B"},
    Expansion{0x1F8C, U"\u1F0C\u0399", U"\u1F8C"},
    Expansion{0x1F8D, U"\u1F0D\u0399", U"\u1F8D"},
    Expansion{0x1F8E, U"\u1F0E\u0399", U"\u1F8E"},
    Expansion{0x1F8F, U"\u1F0F\u0399", U"\u1F8F"},
    Expansion{0x1F90, U"\u1F28\u0399", U"\u1F98"},
    Expansion{0x1F91, U"\u1F29\u0399", U"\u1F99"},
    Expansion{0x1F92, U"\u1F2A\u0399", U"\u1F9A"},
    Expansion{0x1F93, U"\u1F2B\u0399", U"\u1F9B"},
    Expansion{0x1F94, U"\u1F2C\u0399", U"\u1F9C"},
    Expansion{0x1F95, U"\u1F2D\u0399", U"\u1F9D"},
    Expansion{0x1F96, U"\u1F2E\u0399", U"\u1F9E"},
    Expansion{0x1F97, U"\u1F2F\u0399", U"\u1F9F"},
    Expansion{0x1F98, U"\u1F28\u0399", U"\u1F98"},
    Expansion{0x1F99, U"\u1F29\u0399", U"\u1F99"},
    Expansion{0x1F9A, U"\u1F2A\u0399", U"\u1F9A"},
    Expansion{0x1F9B, U"\u1F2B\u0399", U"\u1F9B"},
    Expansion{0x1F9C, U"\u1F2C\u0399", U"\u1F9C"},
    Expansion{0x1F9D, U"\u1F2D\u0399", U"\u1F9D"},
    Expansion{0x1F9E, U"\u1F2E\u0399", U"\u1F9E"},
    Expansion{0x1F9F, U"\u1F2F\u0399", U"\u1F9F"},
    Expansion{0x1FA0, U"\u1F68\u0399", U"\u1FA8"},
    Expansion{0x1FA1, U"\u1F69\u0399", U"\u1FA9"},
    Expansion{0x1FA2, U"\u1F6A\u0399", U"\u1FAA"},
    Expansion{0x1FA3, U"\u1F6B\u0399", U"\u1FAB"},
    Expansion{0x1FA4, U"\u1F6C\u0399", U"\u1FAC"},
    Expansion{0x1FA5, U"\u1F6D\u0399", U"\u1FAD"},
    Expansion{0x1FA6, U"\u1F6E\u0399", U"\u1FAE"},
    Expansion{0x1FA7, U"\u1F6F\u0399", U"\u1FAF"},
    Expansion{0x1FA8, U"\u1F68\u0399", U"\u1FA8"},
    Expansion{0x1FA9, U"\u1F69\u0399", U"\u1FA9"},
    Expansion{0x1FAA, U"\u1F6A\u0399", U"\u1FAA"},
    Expansion{0x1FAB, U"\u1F6B\u0399", U"\u1FAB"},
    Expansion{0x1FAC, U"\u1F6C\u0399", U"\u1FAC"},
    Expansion{0x1FAD, U"\u1F6D\u0399", U"\u1FAD"},
    Expansion{0x1FAE, U"\u1F6E\u0399", U"\u1FAE"},
    Expansion{0x1FAF, U"\u1F6F\u0399", U"\u1FAF"},
    Expansion{0x1FB2, U"\u1FBA\u0399", U"\u1FBA\u0345"},
    Expansion{0x1FB3, U"\u0391\u0399", U"\u1FBC"},
    Expansion{0x1FB4, U"\u0386\u0399", U"\u0386\u0345"},
    Expansion{0x1FB6, U"\u0391\u0342", U"\u0391\u0342"},
    Expansion{0x1FB7, U"\u0391\u0342\u0399", U"\u0391\u0342\u0345"},
    Expansion{0x1FBC, U"\u0391\u0399", U"\u1FBC"},
    Expansion{0x1FC2, U"\u1FCA\u0399", U"\u1FCA\u0345"},
    Expansion{0x1FC3, U"\u0397\u0399", U"\u1FCC"},
    Expansion{0x1FC4, U"\u0389\u0399", U"\u0389\u0345"},
    Expansion{0x1FC6, U"\u0397\u0342", U"\u0397\u0342"},
    Expansion{0x1FC7, U"\u0397\u0342\u0399", U"\u0397\u0342\u0345"},
    Expansion{0x1FCC, U"\u0397\u0399", U"\u1FCC"},
    Expansion{0x1FD2, U"\u0399\u0308\u0300", U"\u0399\u0308\u0300"},
    Expansion{0x1FD3, U"\u0399\u0308\u0301", U"\u0399\u0308\u0301"},
    Expansion{0x1FD6, U"\u0399\u0342", U"\u0399\u0342"},
    Expansion{0x1FD7, U"\u0399\u0308\u0342", U"\u0399\u0308\u0342"},
    Expansion{0x1FE2, U"\u03A5\u0308\u0300", U"\u03A5\u0308\u0300"},
    Expansion{0x1FE3, U"\u03A5\u0308\u0301", U"\u03A5\u0308\u0301"},
    Expansion{0x1FE4, U"\u03A1\u0313", U"\u03A1\u0313"},
    Expansion{0x1FE6, U"\u03A5\u0342", U"\u03A5\u0342"},
    Expansion{0x1FE7, U"\u03A5\u0308\u0342", U"\u03A5\u0308\u0342"},
    Expansion{0x1FF2, U"\u1FFA\u0399", U"\u1FFA\u0345"},
    Expansion{0x1FF3, U"\u03A9\u0399", U"\u1FFC"},
    Expansion{0x1FF4, U"\u038F\u0399", U"\u038F\u0345"},
    Expansion{0x1FF6, U"\u03A9\u0342", U"\u03A9\u0342"},
    Expansion{0x1FF7, U"\u03A9\u0342\u0399", U"\u03A9\u0342\u0345"},
    Expansion{0x1FFC, U"\u03A9\u0399", U"\u1FFC"},
    Expansion{0xFB00, U"FF", U"Ff"},
    Expansion{0xFB01, U"FI", U"Fi"},
    Expansion{0xFB02, U"FL", U"Fl"},
    Expansion{0xFB03, U"FFI", U"Ffi"},
    Expansion{0xFB04, U"FFL", U"Ffl"},
    Expansion{0xFB05, U"ST", U"St"},
    Expansion{0xFB06, U"ST", U"St"},
    Expansion{0xFB13, U"\u0544\u0546", U"\u0544\u0576"},
    Expansion{0xFB14, U"\u0544\u0535", U"\u0544\u0565"},
    Expansion{0xFB15, U"\u0544\u053B", U"\u0544\u056B"},
    Expansion{0xFB16, U"\u054E\u0546", U"\u054E\u0576"},
    Expansion{0xFB17, U"\u0544\u053D", U"\u0544\u056D"},
};
// Upper and lower case that are no letters of that category (Other_Uppercase, Other_Lowercase of PropList.txt).
struct Range {
  char32_t first, last;
};
constexpr Range kOtherUpper[] = {
    {0x2160, 0x216F}, {0x24B6, 0x24CF}, {0x1F130, 0x1F149}, {0x1F150, 0x1F169}, {0x1F170, 0x1F189}};
constexpr Range kOtherLower[] = {
    {0xAA, 0xAA},     {0xBA, 0xBA},     {0x2B0, 0x2B8},     {0x2C0, 0x2C1},     {0x2E0, 0x2E4},     {0x345, 0x345},
    {0x37A, 0x37A},   {0x1D2C, 0x1D6A}, {0x1D78, 0x1D78},   {0x1D9B, 0x1DBF},   {0x2071, 0x2071},   {0x207F, 0x207F},
    {0x2090, 0x209C}, {0x2170, 0x217F}, {0x24D0, 0x24E9},   {0x2C7C, 0x2C7D},   {0xA69C, 0xA69D},   {0xA770, 0xA770},
    {0xA7F8, 0xA7F9}, {0xAB5C, 0xAB5F}, {0x10780, 0x10780}, {0x10783, 0x10785}, {0x10787, 0x107B0}, {0x107B2, 0x107BA}};
template <size_t count>
bool within(const Range (&ranges)[count], char32_t c) {
  return std::any_of(ranges, ranges + count, [&](const Range &range) { return c >= range.first && c <= range.last; });
}

const Expansion *expansion(char32_t c) {
  const auto found = std::lower_bound(kExpansions.begin(), kExpansions.end(), c,
                                      [](const Expansion &row, char32_t wanted) { return row.from < wanted; });
  return found != kExpansions.end() && found->from == c ? &*found : nullptr;
}
void append_all(std::string &out, std::u32string_view characters) {
  for (const char32_t c : characters) utf8_append(out, c);
}
utf8proc_category_t category(char32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)); }
char32_t mapped(char32_t c, utf8proc_int32_t (*map)(utf8proc_int32_t)) {
  return static_cast<char32_t>(map(static_cast<utf8proc_int32_t>(c)));
}

}  // namespace

bool is_space(char32_t c) { return is_white_space(c) || (c >= 0x1C && c <= 0x1F); }
bool is_printable(char32_t c) {
  const utf8proc_category_t kind = category(c);
  return c == ' ' || (kind != UTF8PROC_CATEGORY_CN && kind < UTF8PROC_CATEGORY_ZS);
}
bool is_alphabetic(char32_t c) {
  const utf8proc_category_t kind = category(c);
  return kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO;
}
bool is_decimal(char32_t c) { return category(c) == UTF8PROC_CATEGORY_ND; }
bool is_upper(char32_t c) { return category(c) == UTF8PROC_CATEGORY_LU || within(kOtherUpper, c); }
bool is_lower(char32_t c) { return category(c) == UTF8PROC_CATEGORY_LL || within(kOtherLower, c); }

void append_upper(std::string &out, char32_t c) {
  if (const Expansion *row = expansion(c)) return append_all(out, row->upper);
  utf8_append(out, mapped(c, utf8proc_toupper));
}
void append_lower(std::string &out, char32_t c) {
  if (c == 0x130) return append_all(out, U"i\u0307");
  utf8_append(out, mapped(c, utf8proc_tolower));
}
void append_title(std::string &out, char32_t c) {
  if (const Expansion *row = expansion(c)) return append_all(out, row->title);
  utf8_append(out, mapped(c, utf8proc_totitle));
}

int64_t length(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

size_t byte_of(std::string_view text, int64_t index) {
  size_t at = 0;
  for (; at < text.size() && index > 0; --index) at += utf8_step(text.substr(at)).length;
  return at;
}

size_t space_end(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const size_t size = utf8_step(text.substr(at)).length;
    if (!is_space(utf8_code_point(text.substr(at, size)))) break;
    at += size;
  }
  return at;
}

size_t space_begin(std::string_view text) {
  size_t end = text.size();
  while (end > 0) {
    size_t begin = end - 1;
    while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
    if (!is_space(utf8_code_point(text.substr(begin, end - begin)))) break;
    end = begin;
  }
  return end;
}

}  // namespace bittern::runtime::jinja
