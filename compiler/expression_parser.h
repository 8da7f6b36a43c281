// Expressions of kernel text: tokens, names in scope and typed nodes. parser.cpp adds what surrounds them.
#pragma once
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "compiler/expr.h"
#include "compiler/lexer.h"

namespace bittern::compiler {

class ExpressionParser {
 public:
  // `source` outlives the parser. Without `keep_locations`, nodes have none.
  ExpressionParser(const Source &source, bool keep_locations)
      : source_(source), tokens_(tokenize(source)), keep_locations_(keep_locations) {}

 protected:
  // Tokens. The last one is End and is never taken.
  const Token &peek(size_t ahead = 0) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
  bool is(std::string_view text, size_t ahead = 0) const {
    return peek(ahead).kind != Token::End && peek(ahead).text == text;
  }
  Token take();
  bool accept(std::string_view text);
  Token expect(std::string_view text);
  [[noreturn]] void fail(const Token &token, const std::string &message) const { fail_at(source_, token.loc, message); }
  static std::string shown(const Token &token);
  // The type a token names; null when it names none.
  static const Type *type_named(const Token &token);
  // A word that means something wherever it stands, so that nothing can be named so.
  static bool reserved(std::string_view name);
  // A name that is free to be given to something.
  Token new_name(const char *what);

  Location at(const Token &token) const { return keep_locations_ ? token.loc : Location{}; }

  ExprPtr expression(int lowest = kLowestPrecedence);
  std::vector<ExprPtr> arguments(std::string_view open, std::string_view close);
  ExprPtr number(const Token &token, bool negative);

  KernelSpec spec_;                   // what is declared so far
  std::set<std::string> globals_;     // sizes, scalars, tensors
  std::set<std::string> vars_;        // index variables in scope
  std::map<std::string, Type> lets_;  // parameters and lets in scope
  bool in_function_ = false;

 private:
  struct Nesting;
  ExprPtr make(ExprPtr e, const Token &token);
  ExprPtr typed(Op op, std::vector<ExprPtr> args, const Token &token, Type target = Type::Bool, std::string name = {});
  static const OpRow *infix(const Token &token);
  ExprPtr prefix(int lowest);
  ExprPtr primary();
  ExprPtr reduction(Op op);
  ExprPtr call(const Token &token);
  ExprPtr load(const Token &token);
  ExprPtr name(const Token &token);

  const Source &source_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  bool keep_locations_;
  int nesting_ = 0;
  size_t node_count_ = 0;
  std::unordered_map<const Expr *, int> depth_;
  std::vector<ExprPtr> alive_;
};

}  // namespace bittern::compiler
