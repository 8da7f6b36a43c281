// The parser's view of the tokens: look, take, expect; and the guard against nesting without bound.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "runtime/chat/jinja/lexer.h"
#include "runtime/chat/jinja/syntax.h"

namespace bittern::runtime::jinja {

class TokenStream {
 public:
  explicit TokenStream(const Source &source) : source_(source), tokens_(tokenize(source)) {}

  const Token &now() const { return tokens_[at_]; }
  const Token &next() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  const Token &take() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }
  bool is(TokenKind kind) const { return now().kind == kind; }
  bool symbol(std::string_view text) const { return is(TokenKind::Symbol) && now().text == text; }
  bool name(std::string_view text) const { return is(TokenKind::Name) && now().text == text; }
  bool skip_symbol(std::string_view text) { return symbol(text) && (take(), true); }
  bool skip_name(std::string_view text) { return name(text) && (take(), true); }
  void expect_symbol(std::string_view text);
  void expect(TokenKind kind);
  std::string expect_name();
  // Fails at the present token: "expected X, found Y".
  [[noreturn]] void unexpected(const std::string &wanted) const;
  [[noreturn]] void fail(size_t at, const std::string &message) const { fail_at(source_, at, message); }

  // Held while something that can contain itself is parsed.
  class Nesting {
   public:
    explicit Nesting(TokenStream &stream);
    ~Nesting() { --stream_.nesting_; }
    Nesting(const Nesting &) = delete;
    Nesting &operator=(const Nesting &) = delete;

   private:
    TokenStream &stream_;
  };

 private:
  const Source &source_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  int nesting_ = 0;
};

// Expressions (parse_expression.cpp). All stop at the first token that does not belong to them.
enum class TupleStyle { Plain, NoChoice, Parenthesised };
ExpressionPtr parse_expression(TokenStream &stream);
// One expression, or several with commas between them as a tuple. `until`: a name at which it ends, or "".
ExpressionPtr parse_tuple(TokenStream &stream, TupleStyle style = TupleStyle::Plain, std::string_view until = "");
// Names, tuples of them, and attributes of namespaces where allowed. `until` as above.
ExpressionPtr parse_target(TokenStream &stream, bool with_namespace, std::string_view until);
// name(arguments)|name(arguments) ... with a null input.
ExpressionPtr parse_filters(TokenStream &stream);
// Sets the depth of a node from its children; fails when it is beyond kMaxNesting.
ExpressionPtr finish(TokenStream &stream, ExpressionPtr node);

}  // namespace bittern::runtime::jinja
