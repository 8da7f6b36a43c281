// Properties and one-to-one mappings are the C library's (locale C.UTF-8, which is part of it); what maps to several
// characters is the table here, from the Unicode file SpecialCasing.txt.
#include "runtime/chat/jinja/unicode.h"

#include <locale.h>
#include <wctype.h>

#include <algorithm>
#include <array>

#include "runtime/tokenizer/regex.h"

namespace bittern::runtime::jinja {
namespace {

locale_t unicode_locale() {
  static const locale_t locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  return locale;
}

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
    Expansion{0xFB00, U"FF", U"Ff"},
    Expansion{0xFB01, U"FI", U"Fi"},
    Expansion{0xFB02, U"FL", U"Fl"},
    Expansion{0xFB03, U"FFI", U"Ffi"},
    Expansion{0xFB04, U"FFL", U"Ffl"},
    Expansion{0xFB05, U"ST", U"St"},
    Expansion{0xFB06, U"ST", U"St"},
};
// Characters whose title case is not their upper case: the digraphs of Latin Extended-B.
char32_t digraph_title(char32_t c) {
  if (c >= 0x1C4 && c <= 0x1CC) return 0x1C5 + (c - 0x1C4) / 3 * 3;
  if (c >= 0x1F1 && c <= 0x1F3) return 0x1F2;
  return 0;
}

const Expansion *expansion(char32_t c) {
  const auto found = std::lower_bound(kExpansions.begin(), kExpansions.end(), c,
                                      [](const Expansion &row, char32_t wanted) { return row.from < wanted; });
  return found != kExpansions.end() && found->from == c ? &*found : nullptr;
}
void append_all(std::string &out, std::u32string_view characters) {
  for (const char32_t c : characters) utf8_append(out, c);
}
bool property(char32_t c, int (*test)(wint_t, locale_t)) { return test(static_cast<wint_t>(c), unicode_locale()) != 0; }

}  // namespace

bool is_space(char32_t c) { return is_white_space(c) || (c >= 0x1C && c <= 0x1F); }
bool is_printable(char32_t c) {
  if (c < 0x80) return c >= 0x20 && c < 0x7F;
  return property(c, iswprint_l) && !is_space(c) && c != 0xAD && c != 0x200B && !(c >= 0x200E && c <= 0x200F) &&
         !(c >= 0x202A && c <= 0x202E) && !(c >= 0x2060 && c <= 0x206F) && c != 0xFEFF && !(c >= 0xE000 && c <= 0xF8FF);
}
bool is_alphabetic(char32_t c) { return property(c, iswalpha_l) && !is_decimal(c); }
bool is_decimal(char32_t c) { return c < 0x80 ? c >= '0' && c <= '9' : c >= 0xFF10 && c <= 0xFF19; }
bool is_upper(char32_t c) { return property(c, iswupper_l); }
bool is_lower(char32_t c) { return property(c, iswlower_l); }

void append_upper(std::string &out, char32_t c) {
  if (const Expansion *row = expansion(c)) return append_all(out, row->upper);
  utf8_append(out, static_cast<char32_t>(towupper_l(static_cast<wint_t>(c), unicode_locale())));
}
void append_lower(std::string &out, char32_t c) {
  if (c == 0x130) return append_all(out, U"i\u0307");
  utf8_append(out, static_cast<char32_t>(towlower_l(static_cast<wint_t>(c), unicode_locale())));
}
void append_title(std::string &out, char32_t c) {
  if (const Expansion *row = expansion(c)) return append_all(out, row->title);
  if (const char32_t title = digraph_title(c)) return utf8_append(out, title);
  append_upper(out, c);
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
