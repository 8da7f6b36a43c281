// Quoting is bounded and printable whatever the text holds: long lines are cut around the column, control bytes shown
// as '?'.
#include "compiler/source.h"

#include <fmt/format.h>

#include <algorithm>

#include "compiler/error.h"

namespace bittern::compiler {

void fail_at(const Source &source, Location at, const std::string &message) {
  if (at.line <= 0) throw Error(fmt::format("{}: {}", source.name, message));
  size_t begin = 0;
  for (int line = 1; line < at.line && begin != std::string::npos; ++line) {
    begin = source.text.find('\n', begin);
    if (begin != std::string::npos) ++begin;
  }
  if (source.text.empty() || begin == std::string::npos || begin > source.text.size())
    throw Error(fmt::format("{}:{}:{}: {}", source.name, at.line, at.column, message));
  std::string quoted = source.text.substr(begin, source.text.find('\n', begin) - begin);
  size_t column = static_cast<size_t>(std::max(at.column, 1)) - 1;
  constexpr size_t kWidth = 160, kBefore = 80;
  if (column > kWidth - kBefore) {
    const size_t cut = std::min(column - kBefore, quoted.size());
    quoted.erase(0, cut);
    column -= cut;
  }
  quoted.resize(std::min(quoted.size(), kWidth));
  for (char &c : quoted)
    if (static_cast<unsigned char>(c) < 32 || c == 127) c = c == '\t' ? ' ' : '?';
  throw Error(
      fmt::format("{}:{}:{}: {}\n  {}\n  {:>{}}", source.name, at.line, at.column, message, quoted, "^", column + 1));
}

}  // namespace bittern::compiler
