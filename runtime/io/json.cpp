// The handles: looking at a parsed document. json_parse.cpp makes it.
#include "runtime/io/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "runtime/error.h"
#include "runtime/io/utf8.h"

namespace bittern::runtime {
namespace {

constexpr const char *kTypeNames[] = {"null", "false", "true", "a number", "a string", "an array", "an object"};

// Text for messages: short, printable.
std::string in_quotes(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 80)) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return utf8_sanitize(out) + (text.size() > 80 ? "..." : "");
}

char32_t hex4(std::string_view text) {
  const std::string_view digits = text.substr(0, 4);
  unsigned value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  return value;
}

}  // namespace

Json::Type Json::type() const { return static_cast<Type>(document_->nodes_[node_].type); }

uint64_t Json::at() const { return document_->offset_ + document_->nodes_[node_].begin; }

std::string Json::path() const { return document_->path(node_); }

void Json::fail(const std::string &what) const {
  const std::string where = path();
  throw Error(fmt::format("{}: {}{}{} at byte {}", document_->name_, where, where.empty() ? "" : ": ", what, at()));
}

void Json::expect(Type wanted) const {
  if (!is(wanted)) {
    fail(fmt::format("expected {}, found {}", kTypeNames[static_cast<int>(wanted)],
                     kTypeNames[static_cast<int>(type())]));
  }
}

std::optional<Json> Json::find(std::string_view wanted) const {
  expect(Type::Object);
  for (const Json member : *this) {
    if (document_->equals(document_->nodes_[member.node_ - 1], wanted)) return member;
  }
  return std::nullopt;
}

std::optional<Json> Json::find_value(std::string_view wanted) const {
  const std::optional<Json> found = find(wanted);
  return found && !found->is(Type::Null) ? found : std::nullopt;
}

Json Json::get(std::string_view wanted) const {
  const std::optional<Json> found = find(wanted);
  if (!found) fail(fmt::format("'{}' is missing", wanted));
  return *found;
}

std::string Json::key() const { return document_->unescape(document_->nodes_[node_ - 1]); }

std::string Json::string() const {
  expect(Type::String);
  return document_->unescape(document_->nodes_[node_]);
}

bool Json::boolean() const {
  if (!is(Type::True) && !is(Type::False)) {
    fail(fmt::format("expected true or false, found {}", kTypeNames[static_cast<int>(type())]));
  }
  return is(Type::True);
}

int64_t Json::integer(int64_t least, int64_t most) const {
  expect(Type::Number);
  const JsonDocument::Node &node = document_->nodes_[node_];
  const std::string_view text = document_->text_.substr(node.begin, node.end - node.begin);
  int64_t value = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status == std::errc() && end != text.data() + text.size()) {
    fail(fmt::format("expected a whole number, found {}", in_quotes(text)));
  }
  if (status != std::errc() || value < least || value > most) {
    fail(fmt::format("{} is outside {}..{}", in_quotes(text), least, most));
  }
  return value;
}

double Json::number(double least, double most) const {
  expect(Type::Number);
  const JsonDocument::Node &node = document_->nodes_[node_];
  const std::string_view text = document_->text_.substr(node.begin, node.end - node.begin);
  double value = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status != std::errc() || !(value >= least && value <= most)) {
    fail(fmt::format("{} is outside {}..{}", in_quotes(text), least, most));
  }
  return value;
}

uint32_t Json::size() const { return document_->nodes_[node_].count; }

Json::Iterator Json::begin() const {
  const uint32_t first = node_ + 1 + (is(Type::Object) && size() > 0);
  return {*this, size() > 0 ? first : node_};
}

Json::Iterator Json::end() const { return {*this, node_}; }

Json::Iterator &Json::Iterator::operator++() {
  const auto &nodes = document_->nodes_;
  const uint32_t next = nodes[node_].next;
  const bool object = nodes[container_].type == static_cast<uint32_t>(Type::Object);
  node_ = next == nodes[container_].next ? container_ : next + object;
  return *this;
}

std::string JsonDocument::unescape(const Node &node) const {
  const std::string_view raw = text_.substr(node.begin, node.end - node.begin);
  if (!node.escaped) return std::string(raw);
  static constexpr std::string_view kNames = "bfnrt", kValues = "\b\f\n\r\t";
  std::string out;
  out.reserve(raw.size());
  for (size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] != '\\') {
      out += raw[i];
      continue;
    }
    const char escape = raw[++i];
    if (escape != 'u') {
      const size_t known = kNames.find(escape);
      out += known == std::string_view::npos ? escape : kValues[known];
      continue;
    }
    char32_t code = hex4(raw.substr(i + 1));
    i += 4;
    if (code >= 0xD800 && code < 0xDC00) {  // the parser saw to it that the other half follows
      code = 0x10000 + ((code - 0xD800) << 10) + (hex4(raw.substr(i + 3)) - 0xDC00);
      i += 6;
    }
    utf8_append(out, code);
  }
  return out;
}

bool JsonDocument::equals(const Node &node, std::string_view text) const {
  return node.escaped ? unescape(node) == text : text_.substr(node.begin, node.end - node.begin) == text;
}

std::string JsonDocument::path(uint32_t node) const {
  std::vector<uint32_t> chain;
  for (; node != 0; node = nodes_[node].parent) chain.push_back(node);
  std::string out;
  for (size_t i = chain.size(); i-- > 0;) {
    const uint32_t parent = nodes_[chain[i]].parent;
    if (nodes_[parent].type == static_cast<uint32_t>(Json::Type::Object)) {
      const std::string key = in_quotes(unescape(nodes_[chain[i] - 1]));
      if (member_kind_.empty()) {
        out += out.empty() ? key : "." + key;
      } else {
        out += out.empty() ? fmt::format("{} '{}'", member_kind_, key) : ": " + key;
      }
    } else {
      size_t index = 0;
      for (uint32_t item = parent + 1; item != chain[i]; item = nodes_[item].next) ++index;
      out += fmt::format("[{}]", index);
    }
  }
  return out;
}

}  // namespace bittern::runtime
