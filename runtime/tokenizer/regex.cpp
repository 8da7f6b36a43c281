#include "runtime/tokenizer/regex.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <new>

#include "runtime/error.h"
#include "runtime/io/utf8.h"
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace bittern::runtime {
namespace {

// White_Space as the inside of a character class. PCRE2's own \s differs: it has U+180E.
constexpr std::string_view kWhiteSpace =
    R"(\x09-\x0D\x20\x85\xA0\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";

// Replaces \s and \S by White_Space. Within a class only \s can be: a class cannot contain a complement.
std::string with_white_space(std::string_view pattern) {
  std::string out;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      const char escaped = pattern[++i];
      if (escaped == 's') {
        out += in_class ? std::string(kWhiteSpace) : fmt::format("[{}]", kWhiteSpace);
      } else if (escaped == 'S' && !in_class) {
        out += fmt::format("[^{}]", kWhiteSpace);
      } else {
        out += {c, escaped};
      }
      continue;
    }
    out += c;
    if (!in_class && c == '[') {
      in_class = true;
      // A ']' right after '[' or '[^' is a member, not the end.
      if (i + 1 < pattern.size() && pattern[i + 1] == '^') out += pattern[++i];
      if (i + 1 < pattern.size() && pattern[i + 1] == ']') out += pattern[++i];
    } else if (in_class && c == ']') {
      in_class = false;
    }
  }
  return out;
}

std::string reason(int code) {
  std::array<PCRE2_UCHAR, 256> buffer{};
  pcre2_get_error_message(code, buffer.data(), buffer.size());
  return reinterpret_cast<const char *>(buffer.data());
}

template <typename T, void (*free)(T *)>
struct Free {
  void operator()(T *pointer) const { free(pointer); }
};
using MatchData = std::unique_ptr<pcre2_match_data, Free<pcre2_match_data, pcre2_match_data_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Free<pcre2_match_context, pcre2_match_context_free>>;

// A hostile pattern may backtrack without end. Honest ones need a few steps for each byte of one match.
constexpr uint32_t kStepsAtLeast = 100'000, kHeapKib = 256 << 10;

}  // namespace

struct Regex::Code {
  pcre2_code *compiled = nullptr;
  ~Code() { pcre2_code_free(compiled); }
};

Regex::Regex(const std::string &pattern) {
  const std::string text = with_white_space(pattern);
  int error = 0;
  PCRE2_SIZE at = 0;
  const auto code = std::make_shared<Code>();
  code->compiled = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                 PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &at, nullptr);
  if (!code->compiled) throw Error(fmt::format("pattern: {} (at character {} of '{}')", reason(error), at, text));
  // Without just-in-time code the pattern is interpreted: slower, with the same result.
  pcre2_jit_compile(code->compiled, PCRE2_JIT_COMPLETE);
  code_ = code;
}

void Regex::for_each_match(std::string_view text, const std::function<void(size_t, size_t)> &match) const {
  const MatchData data(pcre2_match_data_create_from_pattern(code_->compiled, nullptr));
  const MatchContext context(pcre2_match_context_create(nullptr));
  if (!data || !context) throw std::bad_alloc();
  const size_t steps = kStepsAtLeast + text.size() * 16;
  pcre2_set_match_limit(context.get(), static_cast<uint32_t>(std::min<size_t>(steps, UINT32_MAX)));
  pcre2_set_heap_limit(context.get(), kHeapKib);
  const PCRE2_SPTR subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  for (size_t at = 0; at < text.size();) {
    uint32_t options = PCRE2_NO_UTF_CHECK;  // the caller's promise
    int found = pcre2_match(code_->compiled, subject, text.size(), at, options, data.get(), context.get());
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) {
      options |= PCRE2_NO_JIT;
      found = pcre2_match(code_->compiled, subject, text.size(), at, options, data.get(), context.get());
    }
    if (found == PCRE2_ERROR_NOMATCH) return;
    if (found < 0) throw Error(fmt::format("pre-tokenizer pattern at byte {} of the text: {}", at, reason(found)));
    const PCRE2_SIZE *range = pcre2_get_ovector_pointer(data.get());
    // \K can put the start before `at` or after the end; such matches count as empty.
    if (range[0] >= at && range[0] < range[1]) {
      match(range[0], range[1]);
      at = range[1];
    } else {
      at = std::max(at, range[1]);
      if (at < text.size()) at += utf8_step(text.substr(at)).length;
    }
  }
}

}  // namespace bittern::runtime
