// A JSON reader for files that may be hostile: strict grammar, no recursion, bounded depth and node count, duplicate
// keys refused, and every value remembers its byte offset so that a message can say where. It holds 20 bytes a value
// and leaves strings and numbers in the text, so a tokenizer.json of 17 MB with a million values stays cheap.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bittern::runtime {

struct JsonLimits {
  int depth = 32;
  uint32_t values = 1u << 24;
};

// One value of a document; a cheap handle, valid as long as the JsonDocument and its text.
// Every accessor throws Error "file: path: what at byte N" when the value is not what is asked for.
class Json {
 public:
  enum class Type : uint8_t { Null, False, True, Number, String, Array, Object };

  Type type() const;
  bool is(Type wanted) const { return type() == wanted; }
  uint64_t at() const;       // byte offset in the file
  std::string path() const;  // "quantization_config.linear_class", "eos_token_id[1]"
  [[noreturn]] void fail(const std::string &what) const;

  // Objects: the member, or nothing / an Error that names the key.
  std::optional<Json> find(std::string_view key) const;
  Json get(std::string_view key) const;
  // Like find, with null counting as absent.
  std::optional<Json> find_value(std::string_view key) const;

  std::string string() const;
  bool boolean() const;
  int64_t integer(int64_t least, int64_t most) const;
  double number(double least, double most) const;
  void expect(Type wanted) const;
  uint32_t size() const;  // members or items

  // Iteration over items (arrays) or members (objects, in file order).
  class Iterator {
   public:
    Iterator(const Json &container, uint32_t node)
        : document_(container.document_), container_(container.node_), node_(node) {}
    Json operator*() const { return {document_, node_}; }
    Iterator &operator++();
    bool operator!=(const Iterator &other) const { return node_ != other.node_; }

   private:
    const class JsonDocument *document_;
    uint32_t container_, node_;  // node_ == container_: the end
  };
  Iterator begin() const;
  Iterator end() const;
  std::string key() const;  // of a member of an object

 private:
  friend class JsonDocument;
  Json(const class JsonDocument *document, uint32_t node) : document_(document), node_(node) {}
  const class JsonDocument *document_;
  uint32_t node_;
};

class JsonDocument {
 public:
  // Parses `text`, which must outlive the document. `name` stands for the file in messages, `offset` is the text's
  // place in it; with `member_kind`, messages call the members of the root "<member_kind> 'key'". Throws Error for
  // anything that is not exactly one JSON value.
  JsonDocument(std::string_view text, std::string name, JsonLimits limits = {}, uint64_t offset = 0,
               std::string member_kind = "");
  JsonDocument(const JsonDocument &) = delete;  // handles point here
  JsonDocument &operator=(const JsonDocument &) = delete;
  Json root() const { return {this, 0}; }
  const std::string &name() const { return name_; }

 private:
  friend class Json;
  friend class JsonParser;
  struct Node {
    uint32_t begin, end;  // the value's text; of strings without the quotes
    uint32_t next;        // the node after this one and its descendants
    uint32_t parent;
    uint32_t count : 28;  // items or members
    uint32_t type : 3;
    uint32_t escaped : 1;  // a string with backslashes
  };
  std::string unescape(const Node &node) const;
  bool equals(const Node &node, std::string_view text) const;
  void refuse_duplicates(uint32_t object) const;
  std::string path(uint32_t node) const;

  std::string_view text_;
  std::string name_, member_kind_;
  uint64_t offset_;
  std::vector<Node> nodes_;  // preorder; a member is its key (a string node) followed by its value
};

}  // namespace bittern::runtime
