// Quoting is bounded and printable whatever the text holds: long lines are cut around the column, control bytes shown
// as '?', columns counted in characters.
#include "runtime/chat/jinja/source.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/error.h"

namespace bittern::runtime::jinja {
namespace {

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }
size_t characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return !continues(c); }));
}

}  // namespace

void fail_at(const Source &source, size_t at, const std::string &message) {
  constexpr size_t kBefore = 80, kAfter = 80;
  const std::string_view text = source.text;
  at = std::min(at, text.size());
  const size_t newline = at == 0 ? std::string_view::npos : text.rfind('\n', at - 1);
  const size_t begin = newline == std::string_view::npos ? 0 : newline + 1;
  const size_t end = std::min(text.find('\n', at), text.size());
  const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(begin), '\n');
  size_t from = at - begin > kBefore ? at - kBefore : begin, to = std::min(end, at + kAfter);
  while (from < at && continues(text[from])) ++from;
  while (to > at && to < text.size() && continues(text[to])) --to;
  std::string quoted(text.substr(from, to - from));
  for (char &c : quoted)
    if (static_cast<unsigned char>(c) < 32 || c == 127) c = c == '\t' ? ' ' : '?';
  throw Error(fmt::format("{}:{}:{}: {}\n  {}\n  {:>{}}", source.name, line,
                          characters(text.substr(begin, at - begin)) + 1, message, quoted, "^",
                          characters(text.substr(from, at - from)) + 1));
}

}  // namespace bittern::runtime::jinja
