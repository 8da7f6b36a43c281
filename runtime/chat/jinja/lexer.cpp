// One pass. Outside tags the next "{%", "{{" or "{#" is looked for; inside, tokens are taken until the tag's end, which
// does not count within brackets.
#include "runtime/chat/jinja/lexer.h"

#include <fmt/format.h>

#include <array>

#include "runtime/chat/jinja/unicode.h"
#include "runtime/error.h"
#include "runtime/io/utf8.h"

namespace bittern::runtime::jinja {
namespace {

// Longest first.
constexpr std::array<std::string_view, 26> kSymbols = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                                       "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                                       ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};

bool digit(char c) { return c >= '0' && c <= '9'; }
bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
int digit_value(char c) {
  if (digit(c)) return c - '0';
  c = static_cast<char>(c | 0x20);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

class Lexer {
 public:
  explicit Lexer(const Source &source) : source_(source), text_(source.text) {}

  std::vector<Token> run() {
    while (at_ < text_.size()) between_tags();
    tokens_.push_back({TokenKind::End, text_.size(), ""});
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(size_t at, const std::string &message) const { fail_at(source_, at, message); }
  std::string_view rest() const { return text_.substr(at_); }
  bool next_is(std::string_view wanted) const { return rest().starts_with(wanted); }
  char peek(size_t i) const { return i < text_.size() ? text_[i] : '\0'; }
  void skip_space() { at_ += space_end(rest()); }
  void put(TokenKind kind, size_t at, std::string text = "") { tokens_.push_back({kind, at, std::move(text)}); }

  void put_text(size_t begin, size_t end) {
    if (begin < end) put(TokenKind::Text, begin, std::string(text_.substr(begin, end - begin)));
  }

  // Where the text before a tag ends, given the sign behind its brace: "-" takes all white space away; without a sign
  // or with lstrip_blocks a tag that is alone at the start of its line loses what stands before it.
  size_t text_end(size_t begin, size_t tag, char sign, bool print) const {
    const std::string_view text = text_.substr(begin, tag - begin);
    if (sign == '-') return begin + space_begin(text);
    if (sign == '+' || print) return tag;
    const size_t newline = text.rfind('\n');
    if (newline == std::string_view::npos && !line_start_) return tag;
    const size_t line = newline == std::string_view::npos ? 0 : newline + 1;
    return space_end(text.substr(line)) == text.size() - line ? begin + line : tag;
  }

  void between_tags() {
    const size_t begin = at_;
    size_t tag = text_.find('{', at_);
    while (tag != std::string_view::npos && peek(tag + 1) != '%' && peek(tag + 1) != '{' && peek(tag + 1) != '#')
      tag = text_.find('{', tag + 1);
    if (tag == std::string_view::npos) {
      put_text(begin, text_.size());
      at_ = text_.size();
      return;
    }
    const char kind = text_[tag + 1], sign = peek(tag + 2);
    put_text(begin, text_end(begin, tag, sign, kind == '{'));
    at_ = tag + 2 + (sign == '-' || sign == '+' ? 1 : 0);
    line_start_ = false;
    if (kind == '#')
      comment(tag);
    else if (kind == '%' && is_raw())
      raw(tag);
    else
      inside_tag(tag, kind == '{');
  }

  // The end of a block or comment, at which at_ stands: its sign, its braces, and the white space or newline that go
  // with it.
  bool take_end(std::string_view braces) {
    const char sign = peek(at_);
    const bool signed_end = (sign == '-' || sign == '+') && text_.substr(at_ + 1).starts_with(braces);
    if (!signed_end && !next_is(braces)) return false;
    at_ += braces.size() + (signed_end ? 1 : 0);
    const size_t end = at_;
    if (signed_end && sign == '-')
      skip_space();
    else if (!signed_end && peek(at_) == '\n')
      ++at_;
    line_start_ = at_ > end && text_[at_ - 1] == '\n';
    return true;
  }

  void comment(size_t tag) {
    for (; at_ < text_.size(); ++at_)
      if (take_end("#}")) return;
    fail(tag, "a comment without its end");
  }

  // Steps over "raw -%}" when that is what follows.
  bool is_raw() {
    const size_t before = at_;
    skip_space();
    if (next_is("raw")) {
      at_ += 3;
      skip_space();
      if (next_is("%}")) {  // here, unlike elsewhere, a newline stays
        at_ += 2;
        return true;
      }
      if (next_is("-%}")) return take_end("%}");
    }
    at_ = before;
    return false;
  }

  void raw(size_t tag) {
    const size_t begin = at_;
    for (size_t end = text_.find("{%", at_); end != std::string_view::npos; end = text_.find("{%", end + 1)) {
      const char sign = peek(end + 2);
      at_ = end + 2 + (sign == '-' || sign == '+' ? 1 : 0);
      skip_space();
      if (!next_is("endraw")) continue;
      at_ += 6;
      skip_space();
      const size_t stop = text_end(begin, end, sign, false);
      if (!take_end("%}")) continue;
      put_text(begin, stop);
      return;
    }
    fail(tag, "a raw block without its end");
  }

  void inside_tag(size_t tag, bool print) {
    put(print ? TokenKind::PrintBegin : TokenKind::BlockBegin, tag);
    std::vector<std::pair<char, size_t>> open;
    while (true) {
      skip_space();
      if (at_ >= text_.size()) fail(tag, print ? "'{{' without '}}'" : "'{%' without '%}'");
      const size_t at = at_;
      if (open.empty() && (print ? take_print_end() : take_end("%}"))) {
        put(print ? TokenKind::PrintEnd : TokenKind::BlockEnd, at);
        return;
      }
      const char c = text_[at_];
      if (letter(c))
        name();
      else if (digit(c))
        number();
      else if (c == '"' || c == '\'')
        string();
      else
        symbol(open);
    }
  }

  bool take_print_end() {
    if (next_is("-}}")) {
      at_ += 3;
      const size_t end = at_;
      skip_space();
      line_start_ = at_ > end && text_[at_ - 1] == '\n';
      return true;
    }
    if (!next_is("}}")) return false;
    at_ += 2;
    return true;
  }

  void name() {
    const size_t begin = at_;
    while (letter(peek(at_)) || digit(peek(at_))) ++at_;
    if (static_cast<unsigned char>(peek(at_)) >= 0x80) fail(at_, "names are made of ASCII letters, digits and '_'");
    put(TokenKind::Name, begin, std::string(text_.substr(begin, at_ - begin)));
  }

  // Digits of a base with single "_" between them, without the "_".
  std::string digits(int base) {
    std::string out;
    while (digit_value(peek(at_)) < base || (peek(at_) == '_' && !out.empty() && digit_value(peek(at_ + 1)) < base)) {
      if (text_[at_] != '_') out += text_[at_];
      ++at_;
    }
    return out;
  }

  void number() {
    const size_t begin = at_;
    const char second = static_cast<char>(peek(at_ + 1) | 0x20);
    const int base = text_[at_] != '0' ? 10 : second == 'x' ? 16 : second == 'o' ? 8 : second == 'b' ? 2 : 10;
    if (base != 10) {
      at_ += 2;
      const std::string text = digits(base);
      if (text.empty()) fail(begin, "a number needs digits after its base");
      int64_t value = 0;
      for (const char c : text)
        if (__builtin_mul_overflow(value, base, &value) || __builtin_add_overflow(value, digit_value(c), &value))
          fail(begin, "the number does not fit in 64 bits");
      put(TokenKind::Integer, begin, std::to_string(value));
      return;
    }
    std::string text = digits(10);
    bool real = false;
    // After a point ("a.0.1") it is an index, never a fraction.
    const bool after_point = begin > 0 && text_[begin - 1] == '.';
    if (!after_point && peek(at_) == '.' && digit(peek(at_ + 1))) {
      ++at_;
      text += '.' + digits(10);
      real = true;
    }
    const size_t sign = peek(at_ + 1) == '+' || peek(at_ + 1) == '-' ? 1 : 0;
    if (!after_point && (peek(at_) | 0x20) == 'e' && digit(peek(at_ + 1 + sign))) {
      text += 'e' + std::string(text_.substr(at_ + 1, sign));
      at_ += 1 + sign;
      text += digits(10);
      real = true;
    }
    if (!real && text.size() > 1 && text[0] == '0' && text.find_first_not_of('0') != std::string::npos)
      fail(begin, "a number may not begin with 0");
    if (letter(peek(at_))) fail(at_, "a letter directly after a number");
    put(real ? TokenKind::Float : TokenKind::Integer, begin, text);
  }

  // \xhh, \uhhhh, \Uhhhhhhhh: `count` digits at at_.
  void escaped_code(std::string &out, size_t start, int count) {
    char32_t code = 0;
    for (int i = 0; i < count; ++i, ++at_) {
      const int value = digit_value(peek(at_));
      if (value > 15) fail(start, fmt::format("this escape needs {} hexadecimal digits", count));
      code = code * 16 + static_cast<char32_t>(value);
    }
    if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) fail(start, "this escape is no Unicode character");
    utf8_append(out, code);
  }

  void escape(std::string &out) {
    constexpr std::string_view kFrom = "\\'\"abfnrtv", kTo = "\\'\"\a\b\f\n\r\t\v";
    const size_t start = at_++;
    const char c = peek(at_);
    if (const size_t simple = kFrom.find(c); c != '\0' && simple != std::string_view::npos) {
      out += kTo[simple];
      ++at_;
    } else if (c == '\n') {
      ++at_;
    } else if (c >= '0' && c <= '7') {
      char32_t code = 0;
      for (int i = 0; i < 3 && peek(at_) >= '0' && peek(at_) <= '7'; ++i, ++at_)
        code = code * 8 + static_cast<char32_t>(text_[at_] - '0');
      utf8_append(out, code);
    } else if (c == 'x' || c == 'u' || c == 'U') {
      ++at_;
      escaped_code(out, start, c == 'x' ? 2 : c == 'u' ? 4 : 8);
    } else if (c == 'N') {
      fail(start, "characters by name (\\N) are not supported");
    } else {
      out += '\\';  // Python keeps what it does not know
    }
  }

  void string() {
    const size_t begin = at_;
    const char quote = text_[at_++];
    std::string out;
    while (peek(at_) != quote || at_ >= text_.size()) {
      if (at_ >= text_.size()) fail(begin, "a string without its end");
      if (text_[at_] == '\\')
        escape(out);
      else
        out += text_[at_++];
    }
    ++at_;
    put(TokenKind::String, begin, std::move(out));
  }

  void symbol(std::vector<std::pair<char, size_t>> &open) {
    for (const std::string_view symbol : kSymbols) {
      if (!next_is(symbol)) continue;
      const char c = symbol[0];
      if (symbol.size() == 1 && (c == '(' || c == '[' || c == '{')) open.emplace_back(c, at_);
      if (c == ')' || c == ']' || c == '}') {
        const char opened = c == ')' ? '(' : c == ']' ? '[' : '{';
        if (open.empty()) fail(at_, fmt::format("'{}' without '{}'", c, opened));
        if (open.back().first != opened) fail(at_, fmt::format("'{}' closes '{}'", c, open.back().first));
        open.pop_back();
      }
      put(TokenKind::Symbol, at_, std::string(symbol));
      at_ += symbol.size();
      return;
    }
    const size_t size = utf8_step(rest()).length;
    fail(at_,
         fmt::format("unexpected '{}'", static_cast<unsigned char>(text_[at_]) < 32 ? "?" : rest().substr(0, size)));
  }

  const Source &source_;
  std::string_view text_;
  size_t at_ = 0;
  bool line_start_ = true;  // at_ begins a line
  std::vector<Token> tokens_;
};

}  // namespace

Source prepare(std::string name, std::string_view text) {
  if (text.size() > kMaxTemplate)
    throw Error(fmt::format("{}: the template has {} bytes, the limit is {}", name, text.size(), kMaxTemplate));
  if (!utf8_valid(text)) throw Error(name + ": the template is not valid UTF-8");
  Source source{std::move(name), ""};
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r') {
      source.text += text[i];
    } else {
      source.text += '\n';
      if (i + 1 < text.size() && text[i + 1] == '\n') ++i;
    }
  }
  if (source.text.ends_with('\n')) source.text.pop_back();
  return source;
}

std::vector<Token> tokenize(const Source &source) { return Lexer(source).run(); }

}  // namespace bittern::runtime::jinja
