// The parser: one pass, an explicit stack, every value one node. It accepts RFC 8259 and nothing else; lone surrogates,
// invalid UTF-8, duplicate keys and a byte order mark are errors, since files that have them mean different things to
// different readers.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "runtime/error.h"
#include "runtime/io/json.h"
#include "runtime/io/utf8.h"

namespace bittern::runtime {

class JsonParser {
 public:
  JsonParser(JsonDocument &document, const JsonLimits &limits)
      : document_(document), text_(document.text_), limits_(limits) {}

  void parse() {
    skip_space();
    value();
    while (!open_.empty()) {
      skip_space();
      const bool object = top_is(Json::Type::Object);
      if (peek() == (object ? '}' : ']')) {
        close();
      } else if (peek() == ',') {
        ++at_;
        skip_space();
        if (object) key();
        value();
      } else {
        fail(object ? "expected ',' or '}'" : "expected ',' or ']'");
      }
    }
    skip_space();
    if (at_ != text_.size()) fail("expected the end of the file");
  }

 private:
  using Type = Json::Type;

  [[noreturn]] void fail(std::string_view what) const {
    throw Error(fmt::format("{}: not valid JSON: {}{} at byte {}", document_.name_, what,
                            at_ == text_.size() ? ", the text ends" : "", document_.offset_ + at_));
  }
  int peek() const { return at_ < text_.size() ? static_cast<unsigned char>(text_[at_]) : -1; }
  void skip_space() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r')) {
      ++at_;
    }
  }
  bool top_is(Type type) const { return document_.nodes_[open_.back()].type == static_cast<uint32_t>(type); }

  uint32_t add(Type type, size_t begin, size_t end, bool escaped) {
    if (document_.nodes_.size() >= limits_.values) fail(fmt::format("more than {} values", limits_.values));
    const uint32_t node = static_cast<uint32_t>(document_.nodes_.size());
    JsonDocument::Node made{};
    made.begin = static_cast<uint32_t>(begin);
    made.end = static_cast<uint32_t>(end);
    made.next = node + 1;
    made.parent = open_.empty() ? 0 : open_.back();
    made.type = static_cast<uint32_t>(type);
    made.escaped = escaped;
    document_.nodes_.push_back(made);
    return node;
  }

  // A value and, when it opens a container, everything up to the first scalar or empty container within.
  void value() {
    for (;;) {
      const int c = peek();
      if (!open_.empty()) ++document_.nodes_[open_.back()].count;
      if (c != '{' && c != '[') return scalar(c);
      if (open_.size() >= static_cast<size_t>(limits_.depth)) fail(fmt::format("nested deeper than {}", limits_.depth));
      open_.push_back(add(c == '{' ? Type::Object : Type::Array, at_, at_ + 1, false));
      ++at_;
      skip_space();
      if (peek() == (c == '{' ? '}' : ']')) return close();
      if (c == '{') key();
    }
  }

  void close() {
    const uint32_t node = open_.back();
    document_.nodes_[node].end = static_cast<uint32_t>(++at_);
    document_.nodes_[node].next = static_cast<uint32_t>(document_.nodes_.size());
    if (top_is(Type::Object)) document_.refuse_duplicates(node);
    open_.pop_back();
  }

  void key() {
    if (peek() != '"') fail("expected a key in quotes");
    string();
    skip_space();
    if (peek() != ':') fail("expected ':'");
    ++at_;
    skip_space();
  }

  void scalar(int c) {
    if (c == '"') return string();
    if (c == '-' || (c >= '0' && c <= '9')) return number();
    for (const auto &[word, type] :
         {std::pair{std::string_view("null"), Type::Null}, {"true", Type::True}, {"false", Type::False}}) {
      if (text_.substr(at_, word.size()) != word) continue;
      add(type, at_, at_ + word.size(), false);
      at_ += word.size();
      return;
    }
    fail("expected a value");
  }

  void digits() {
    if (peek() < '0' || peek() > '9') fail("expected a digit");
    while (peek() >= '0' && peek() <= '9') ++at_;
  }
  void number() {
    const size_t begin = at_;
    if (peek() == '-') ++at_;
    if (peek() == '0') {
      ++at_;  // nothing but '.' or 'e' may follow a leading zero; anything else fails as the next token
    } else {
      digits();
    }
    if (peek() == '.') {
      ++at_;
      digits();
    }
    if (peek() == 'e' || peek() == 'E') {
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      digits();
    }
    add(Type::Number, begin, at_, false);
  }

  void string() {
    const size_t begin = ++at_;
    bool escaped = false;
    for (;;) {
      const int c = peek();
      if (c < 0) fail("a string does not end");
      if (c == '"') break;
      if (c < 0x20) fail("a control character in a string");
      if (c == '\\') {
        escaped = true;
        escape();
      } else if (c < 0x80) {
        ++at_;
      } else {
        const Utf8Step step = utf8_step(text_.substr(at_));
        if (!step.valid) fail("invalid UTF-8");
        at_ += step.length;
      }
    }
    add(Type::String, begin, at_, escaped);
    ++at_;
  }

  void escape() {
    ++at_;
    const int c = peek();
    if (c < 0 || std::string_view("\"\\/bfnrtu").find(static_cast<char>(c)) == std::string_view::npos) {
      fail("an unknown escape");
    }
    ++at_;
    if (c != 'u') return;
    const unsigned code = hex4();
    if (code >= 0xDC00 && code < 0xE000) fail("a lone surrogate");
    if (code < 0xD800 || code >= 0xDC00) return;
    if (text_.substr(at_, 2) != "\\u") fail("a lone surrogate");
    at_ += 2;
    const unsigned low = hex4();
    if (low < 0xDC00 || low >= 0xE000) fail("a lone surrogate");
  }
  unsigned hex4() {
    unsigned value = 0;
    const std::string_view digits = text_.substr(at_, 4);
    const auto [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (status != std::errc() || end != digits.data() + 4) fail("expected four hexadecimal digits");
    at_ += 4;
    return value;
  }

  JsonDocument &document_;
  std::string_view text_;
  JsonLimits limits_;
  size_t at_ = 0;
  std::vector<uint32_t> open_;
};

JsonDocument::JsonDocument(std::string_view text, std::string name, JsonLimits limits, uint64_t offset,
                           std::string member_kind)
    : text_(text), name_(std::move(name)), member_kind_(std::move(member_kind)), offset_(offset) {
  if (text.size() > UINT32_MAX) throw Error(fmt::format("{}: {} bytes of JSON, more than 4 GiB", name_, text.size()));
  limits.values = std::min(limits.values, (1u << 28) - 1);
  JsonParser(*this, limits).parse();
}

void JsonDocument::refuse_duplicates(uint32_t object) const {
  const Node &container = nodes_[object];
  std::vector<std::string> unescaped;  // keeps the views below alive; only keys with escapes are copied
  std::vector<std::pair<std::string_view, uint32_t>> keys;
  keys.reserve(container.count);
  unescaped.reserve(container.count);
  for (uint32_t key = object + 1; key != container.next; key = nodes_[key + 1].next) {
    const Node &node = nodes_[key];
    if (node.escaped) unescaped.push_back(unescape(node));
    keys.emplace_back(node.escaped ? unescaped.back() : text_.substr(node.begin, node.end - node.begin), key);
  }
  std::sort(keys.begin(), keys.end());
  const auto twice =
      std::adjacent_find(keys.begin(), keys.end(), [](const auto &a, const auto &b) { return a.first == b.first; });
  if (twice != keys.end()) {
    throw Error(fmt::format("{}: {}: the same key twice, again at byte {}", name_, path((twice + 1)->second + 1),
                            offset_ + nodes_[(twice + 1)->second].begin));
  }
}

}  // namespace bittern::runtime
