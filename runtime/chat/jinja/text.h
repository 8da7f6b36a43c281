// Python's string operations on text with marks, shared by filters and methods.
#pragma once
#include <optional>
#include <string_view>
#include <vector>

#include "runtime/chat/jinja/interpreter.h"

namespace bittern::runtime::jinja {

Str upper(const Str &text);
Str lower(const Str &text);
Str capitalize(const Str &text);   // first character in title case, the others lower
Str title(const Str &text);        // str.title: every run of letters
Str title_words(const Str &text);  // Jinja's filter: words end at white space, "-", and opening brackets only

// Without `chars` white space; with it, any of its characters.
Str strip(const Str &text, const std::optional<Str> &chars, bool left, bool right);
// `count` < 0: all.
Str replace(Interpreter &interpreter, const Str &text, const Str &from, const Str &to, int64_t count);
// Without `separator` at runs of white space. `most` < 0: no limit. Throws Fault for an empty separator.
std::vector<Str> split(const Str &text, const std::optional<Str> &separator, int64_t most);
std::vector<Str> split_from_right(const Str &text, const std::optional<Str> &separator, int64_t most);
std::vector<Str> split_lines(const Str &text, bool keep_ends);
Str join(Interpreter &interpreter, const Str &separator, const std::vector<Str> &parts);

bool all_characters(const Str &text, bool (*test)(char32_t));  // false for ""
bool is_lower_text(const Str &text);
bool is_upper_text(const Str &text);

}  // namespace bittern::runtime::jinja
