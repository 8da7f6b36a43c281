// See text.h. Results are made slice by slice, so that marks stay with the bytes they belong to.
#include "runtime/chat/jinja/text.h"

#include <algorithm>

#include "runtime/chat/jinja/unicode.h"

namespace bittern::runtime::jinja {
namespace {

// Greek sigma at the end of a word has a form of its own in lower case.
bool ends_word(std::string_view text, size_t begin, size_t end) {
  bool before = false, after = false;
  for_each_character(text.substr(0, begin), [&](char32_t c, size_t, size_t) { before = is_alphabetic(c); });
  if (end < text.size()) after = is_alphabetic(utf8_code_point(text.substr(end, utf8_step(text.substr(end)).length)));
  return before && !after;
}

void append_mapped(Str &out, const Str &text, char32_t c, size_t begin, size_t end,
                   void (*map)(std::string &, char32_t)) {
  std::string mapped;
  if (map == append_lower && c == 0x3A3 && ends_word(text.text, begin, end))
    utf8_append(mapped, 0x3C2);
  else
    map(mapped, c);
  out.append(mapped, text.marked(begin, end));
}

// `map(code point, position)` chooses how each character is written.
template <typename Choose>
Str map_characters(const Str &text, Choose choose) {
  Str out;
  for_each_character(text.text, [&](char32_t c, size_t begin, size_t end) {
    append_mapped(out, text, c, begin, end, choose(c, begin));
  });
  return out;
}
using Map = void (*)(std::string &, char32_t);

bool cased(char32_t c) { return is_upper(c) || is_lower(c); }

std::vector<std::string_view> characters_of(const Str &chars) {
  std::vector<std::string_view> out;
  for_each_character(chars.text, [&](char32_t, size_t begin, size_t end) {
    out.push_back(std::string_view(chars.text).substr(begin, end - begin));
  });
  return out;
}

// Where white space begins at or after `at`, and where it ends.
std::pair<size_t, size_t> next_space(std::string_view text, size_t at) {
  while (at < text.size()) {
    const size_t size = utf8_step(text.substr(at)).length;
    if (is_space(utf8_code_point(text.substr(at, size)))) return {at, at + space_end(text.substr(at))};
    at += size;
  }
  return {text.size(), text.size()};
}

void check_separator(const Str &separator) {
  if (separator.text.empty()) throw Fault{"empty separator"};
}

size_t line_break(std::string_view text, size_t at) {
  const size_t size = utf8_step(text.substr(at)).length;
  const char32_t c = utf8_code_point(text.substr(at, size));
  if (c == '\r' && at + 1 < text.size() && text[at + 1] == '\n') return 2;
  const bool breaks = (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
  return breaks ? size : 0;
}

}  // namespace

Str upper(const Str &text) {
  return map_characters(text, [](char32_t, size_t) -> Map { return append_upper; });
}
Str lower(const Str &text) {
  return map_characters(text, [](char32_t, size_t) -> Map { return append_lower; });
}
Str capitalize(const Str &text) {
  return map_characters(text, [](char32_t, size_t at) -> Map { return at == 0 ? append_title : append_lower; });
}
Str title(const Str &text) {
  bool inside = false;
  return map_characters(text, [&](char32_t c, size_t) -> Map {
    const Map map = inside ? append_lower : append_title;
    inside = cased(c);
    return map;
  });
}
Str title_words(const Str &text) {
  Str out;
  size_t word = 0;  // where the present one begins
  const auto put = [&](size_t begin, size_t end) {
    if (begin == end) return;
    const size_t first = begin + utf8_step(std::string_view(text.text).substr(begin)).length;
    out.append(upper(text.slice(begin, first)));
    out.append(lower(text.slice(first, end)));
  };
  for_each_character(text.text, [&](char32_t c, size_t begin, size_t end) {
    if (!is_space(c) && c != '-' && c != '(' && c != '{' && c != '[' && c != '<') return;
    put(word, begin);
    out.append(text.slice(begin, end));
    word = end;
  });
  put(word, text.text.size());
  return out;
}

Str strip(const Str &text, const std::optional<Str> &chars, bool left, bool right) {
  const std::string_view all = text.text;
  size_t begin = 0, end = all.size();
  if (!chars) {
    if (left) begin = space_end(all);
    if (right) end = std::max(begin, space_begin(all));
    return text.slice(begin, end);
  }
  const std::vector<std::string_view> set = characters_of(*chars);
  const auto strip_one = [&](bool front) {
    const std::string_view rest = all.substr(begin, end - begin);
    for (const std::string_view character : set) {
      if (!(front ? rest.starts_with(character) : rest.ends_with(character))) continue;
      (front ? begin : end) += front ? character.size() : -character.size();
      return true;
    }
    return false;
  };
  while (left && begin < end && strip_one(true)) {
  }
  while (right && begin < end && strip_one(false)) {
  }
  return text.slice(begin, end);
}

Str replace(Interpreter &interpreter, const Str &text, const Str &from, const Str &to, int64_t count) {
  const std::string_view all = text.text;
  interpreter.work(all.size());
  Str out;
  size_t done = 0;
  const auto put = [&](size_t end) {
    interpreter.charge(end - done + to.text.size());
    interpreter.work(to.text.size());
    out.append(text.slice(done, end));
    out.append(to);
  };
  if (from.text.empty()) {  // before every character and at the end
    for (size_t at = 0; count != 0 && at <= all.size(); --count) {
      put(at);
      done = at;
      if (at == all.size()) break;
      at += utf8_step(all.substr(at)).length;
    }
  } else {
    for (size_t at = all.find(from.text); count != 0 && at != std::string_view::npos; at = all.find(from.text, done)) {
      put(at);
      done = at + from.text.size();
      --count;
    }
  }
  out.append(text.slice(done, all.size()));
  return out;
}

std::vector<Str> split(const Str &text, const std::optional<Str> &separator, int64_t most) {
  const std::string_view all = text.text;
  std::vector<Str> out;
  if (separator) {
    check_separator(*separator);
    size_t done = 0;
    for (size_t at = all.find(separator->text); most != 0 && at != std::string_view::npos;
         at = all.find(separator->text, done), --most) {
      out.push_back(text.slice(done, at));
      done = at + separator->text.size();
    }
    out.push_back(text.slice(done, all.size()));
    return out;
  }
  size_t at = space_end(all);
  while (at < all.size()) {
    if (most-- == 0) {
      out.push_back(text.slice(at, all.size()));  // as it is, white space at the end included
      break;
    }
    const auto [begin, end] = next_space(all, at);
    out.push_back(text.slice(at, begin));
    at = end;
  }
  return out;
}

std::vector<Str> split_from_right(const Str &text, const std::optional<Str> &separator, int64_t most) {
  const std::string_view all = text.text;
  std::vector<Str> out;
  size_t end = all.size();
  if (separator) {
    check_separator(*separator);
    const size_t size = separator->text.size();
    for (; most != 0; --most) {
      const size_t at = end < size ? std::string_view::npos : all.rfind(separator->text, end - size);
      if (at == std::string_view::npos) break;
      out.push_back(text.slice(at + size, end));
      end = at;
    }
    out.push_back(text.slice(0, end));
  } else {
    end = space_begin(all);
    while (end > 0) {
      if (most-- == 0) {
        out.push_back(text.slice(0, end));
        break;
      }
      size_t begin = end;
      while (begin > 0) {
        size_t start = begin - 1;
        while (start > 0 && (static_cast<unsigned char>(all[start]) & 0xC0) == 0x80) --start;
        if (is_space(utf8_code_point(all.substr(start, begin - start)))) break;
        begin = start;
      }
      out.push_back(text.slice(begin, end));
      end = space_begin(all.substr(0, begin));
    }
  }
  std::reverse(out.begin(), out.end());
  return out;
}

std::vector<Str> split_lines(const Str &text, bool keep_ends) {
  std::vector<Str> out;
  const std::string_view all = text.text;
  size_t done = 0;
  for (size_t at = 0; at < all.size();) {
    const size_t size = line_break(all, at);
    if (size == 0) {
      at += utf8_step(all.substr(at)).length;
      continue;
    }
    out.push_back(text.slice(done, keep_ends ? at + size : at));
    at += size;
    done = at;
  }
  if (done < all.size()) out.push_back(text.slice(done, all.size()));
  return out;
}

Str join(Interpreter &interpreter, const Str &separator, const std::vector<Str> &parts) {
  Str out;
  for (size_t i = 0; i < parts.size(); ++i) {
    interpreter.charge(parts[i].text.size() + separator.text.size());
    interpreter.work(parts[i].text.size() + separator.text.size());
    if (i) out.append(separator);
    out.append(parts[i]);
  }
  return out;
}

bool all_characters(const Str &text, bool (*test)(char32_t)) {
  bool all = !text.text.empty();
  for_each_character(text.text, [&](char32_t c, size_t, size_t) { all = all && test(c); });
  return all;
}
bool is_lower_text(const Str &text) {
  bool any = false, other = false;
  for_each_character(text.text, [&](char32_t c, size_t, size_t) {
    any = any || is_lower(c);
    other = other || is_upper(c);
  });
  return any && !other;
}
bool is_upper_text(const Str &text) {
  bool any = false, other = false;
  for_each_character(text.text, [&](char32_t c, size_t, size_t) {
    any = any || is_upper(c);
    other = other || is_lower(c);
  });
  return any && !other;
}

}  // namespace bittern::runtime::jinja
