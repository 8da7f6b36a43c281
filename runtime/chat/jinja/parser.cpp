// Statements. A tag is a row of a table; tags of Jinja that chat templates have no use for are refused by name.
#include "runtime/chat/jinja/parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "runtime/chat/jinja/token_stream.h"

namespace bittern::runtime::jinja {

void TokenStream::unexpected(const std::string &wanted) const {
  std::string found;
  switch (now().kind) {
    case TokenKind::End:
      found = "the end of the template";
      break;
    case TokenKind::BlockEnd:
      found = "'%}'";
      break;
    case TokenKind::PrintEnd:
      found = "'}}'";
      break;
    case TokenKind::String:
      found = "a string";
      break;
    default:
      found = "'" + now().text + "'";
  }
  fail(now().at, fmt::format("expected {}, found {}", wanted, found));
}

void TokenStream::expect_symbol(std::string_view text) {
  if (!skip_symbol(text)) unexpected(fmt::format("'{}'", text));
}

void TokenStream::expect(TokenKind kind) {
  if (!is(kind)) unexpected(kind == TokenKind::BlockEnd ? "'%}'" : "'}}'");
  take();
}

std::string TokenStream::expect_name() {
  if (!is(TokenKind::Name)) unexpected("a name");
  return take().text;
}

TokenStream::Nesting::Nesting(TokenStream &stream) : stream_(stream) {
  if (stream_.nesting_ >= 4 * kMaxNesting)  // a level of brackets takes up to four
    stream_.fail(stream_.now().at, fmt::format("the template is nested more than {} deep", kMaxNesting));
  ++stream_.nesting_;
}

namespace {

using Body = std::vector<StatementPtr>;

class Parser {
 public:
  explicit Parser(const Source &source) : stream_(source) {}

  Body run() { return statements({}); }

 private:
  struct Tag {
    std::string_view name;
    StatementPtr (Parser::*parse)(size_t at);
  };
  static const Tag kTags[10];

  StatementPtr make(StatementKind kind, size_t at) {
    auto made = std::make_unique<Statement>();
    made->kind = kind;
    made->at = at;
    return made;
  }

  bool at_tag(std::initializer_list<std::string_view> names) const {
    return stream_.is(TokenKind::BlockBegin) && stream_.next().kind == TokenKind::Name &&
           std::find(names.begin(), names.end(), stream_.next().text) != names.end();
  }

  // Statements up to a tag of `ends` (not taken), or the end of the template.
  Body statements(std::initializer_list<std::string_view> ends) {
    const TokenStream::Nesting nesting(stream_);
    Body body;
    while (!stream_.is(TokenKind::End)) {
      if (at_tag(ends)) return body;
      const Token &token = stream_.now();
      if (token.kind == TokenKind::Text) {
        StatementPtr made = make(StatementKind::Text, token.at);
        made->text = stream_.take().text;
        body.push_back(std::move(made));
      } else if (token.kind == TokenKind::PrintBegin) {
        stream_.take();
        StatementPtr made = make(StatementKind::Print, token.at);
        made->value = parse_tuple(stream_);
        stream_.expect(TokenKind::PrintEnd);
        body.push_back(std::move(made));
      } else {
        body.push_back(tag());
      }
    }
    return body;
  }

  StatementPtr tag() {
    stream_.take();
    const Token &token = stream_.now();
    const std::string name = stream_.expect_name();
    for (const Tag &row : kTags)
      if (row.name == name) return (this->*row.parse)(token.at);
    if (name.starts_with("end") || name == "elif" || name == "else")
      stream_.fail(token.at, fmt::format("'{}' ends nothing that is open", name));
    stream_.fail(token.at, fmt::format("the tag '{}' is not supported", name));
  }

  // "%}", the body, and "{% end %}", whose "%}" is taken as well.
  Body body_until(std::string_view end, size_t at) {
    stream_.expect(TokenKind::BlockEnd);
    Body body = statements({end});
    end_tag(end, at);
    stream_.expect(TokenKind::BlockEnd);
    return body;
  }
  void end_tag(std::string_view end, size_t at) {
    if (!at_tag({end})) stream_.fail(at, fmt::format("this tag has no '{}'", end));
    stream_.take();
    stream_.take();
  }

  StatementPtr parse_if(size_t at) {
    StatementPtr made = make(StatementKind::If, at);
    made->conditions.push_back(parse_tuple(stream_, TupleStyle::NoChoice));
    stream_.expect(TokenKind::BlockEnd);
    while (true) {
      made->bodies.push_back(statements({"elif", "else", "endif"}));
      if (stream_.is(TokenKind::End)) stream_.fail(at, "this tag has no 'endif'");
      stream_.take();
      const std::string name = stream_.take().text;
      if (name == "elif") {
        made->conditions.push_back(parse_tuple(stream_, TupleStyle::NoChoice));
        stream_.expect(TokenKind::BlockEnd);
        continue;
      }
      if (name == "else")
        made->bodies.push_back(body_until("endif", at));
      else
        stream_.expect(TokenKind::BlockEnd);
      return made;
    }
  }

  void refuse_loop(const Expression &target) const {
    if (target.name == "loop") stream_.fail(target.at, "a loop cannot assign to 'loop'");
    for (const ExpressionPtr &child : target.children) refuse_loop(*child);
  }

  StatementPtr parse_for(size_t at) {
    StatementPtr made = make(StatementKind::For, at);
    made->target = parse_target(stream_, false, "in");
    refuse_loop(*made->target);
    if (!stream_.skip_name("in")) stream_.unexpected("'in'");
    made->value = parse_tuple(stream_, TupleStyle::NoChoice, "recursive");
    if (stream_.skip_name("if")) made->condition = parse_expression(stream_);
    if (stream_.name("recursive")) stream_.fail(stream_.now().at, "recursive loops are not supported");
    stream_.expect(TokenKind::BlockEnd);
    ++loops_;
    made->bodies.push_back(statements({"else", "endfor"}));
    --loops_;
    if (stream_.is(TokenKind::End)) stream_.fail(at, "this tag has no 'endfor'");
    if (at_tag({"else"})) {
      end_tag("else", at);
      made->bodies.push_back(body_until("endfor", at));
    } else {
      end_tag("endfor", at);
      stream_.expect(TokenKind::BlockEnd);
    }
    return made;
  }

  StatementPtr parse_set(size_t at) {
    StatementPtr made = make(StatementKind::Set, at);
    made->target = parse_target(stream_, true, "");
    if (stream_.skip_symbol("=")) {
      made->value = parse_tuple(stream_);
      stream_.expect(TokenKind::BlockEnd);
      return made;
    }
    made->kind = StatementKind::SetBlock;
    if (stream_.skip_symbol("|")) made->filter = parse_filters(stream_);
    made->bodies.push_back(no_loop_body("endset", at));
    return made;
  }

  // Bodies that are run apart, where break and continue would have no loop.
  Body no_loop_body(std::string_view end, size_t at) {
    const int outer = std::exchange(loops_, 0);
    Body body = body_until(end, at);
    loops_ = outer;
    return body;
  }

  void parameters(Statement &made) {
    stream_.expect_symbol("(");
    while (!stream_.symbol(")")) {
      if (!made.parameters.empty()) stream_.expect_symbol(",");
      const Token &token = stream_.now();
      Parameter parameter;
      parameter.name = stream_.expect_name();
      if (stream_.skip_symbol("="))
        parameter.otherwise = parse_expression(stream_);
      else if (!made.parameters.empty() && made.parameters.back().otherwise)
        stream_.fail(token.at, "a parameter without a default behind one with a default");
      for (const Parameter &other : made.parameters)
        if (other.name == parameter.name) stream_.fail(token.at, fmt::format("two parameters '{}'", parameter.name));
      made.parameters.push_back(std::move(parameter));
    }
    stream_.expect_symbol(")");
  }

  StatementPtr parse_macro(size_t at) {
    StatementPtr made = make(StatementKind::Macro, at);
    made->name = stream_.expect_name();
    parameters(*made);
    made->bodies.push_back(no_loop_body("endmacro", at));
    return made;
  }

  StatementPtr parse_call(size_t at) {
    StatementPtr made = make(StatementKind::CallBlock, at);
    made->name = "caller";
    if (stream_.symbol("(")) parameters(*made);
    const size_t call = stream_.now().at;
    made->value = parse_expression(stream_);
    if (made->value->kind != ExpressionKind::Call) stream_.fail(call, "expected a call");
    made->bodies.push_back(no_loop_body("endcall", at));
    return made;
  }

  StatementPtr parse_filter(size_t at) {
    StatementPtr made = make(StatementKind::FilterBlock, at);
    made->filter = parse_filters(stream_);
    made->bodies.push_back(no_loop_body("endfilter", at));
    return made;
  }

  StatementPtr parse_with(size_t at) {
    StatementPtr made = make(StatementKind::With, at);
    while (!stream_.is(TokenKind::BlockEnd)) {
      if (!made->targets.empty()) stream_.expect_symbol(",");
      made->targets.push_back(parse_target(stream_, false, ""));
      stream_.expect_symbol("=");
      made->values.push_back(parse_expression(stream_));
    }
    made->bodies.push_back(body_until("endwith", at));
    return made;
  }

  // transformers' tag around what the model itself would have written: the text within is kept as it is.
  StatementPtr parse_generation(size_t at) {
    StatementPtr made = make(StatementKind::Scoped, at);
    made->bodies.push_back(no_loop_body("endgeneration", at));
    return made;
  }

  StatementPtr loop_control(StatementKind kind, size_t at, const char *name) {
    if (loops_ == 0) stream_.fail(at, fmt::format("'{}' outside of a loop", name));
    stream_.expect(TokenKind::BlockEnd);
    return make(kind, at);
  }
  StatementPtr parse_break(size_t at) { return loop_control(StatementKind::Break, at, "break"); }
  StatementPtr parse_continue(size_t at) { return loop_control(StatementKind::Continue, at, "continue"); }

  TokenStream stream_;
  int loops_ = 0;
};

const Parser::Tag Parser::kTags[10] = {
    {"if", &Parser::parse_if},
    {"for", &Parser::parse_for},
    {"set", &Parser::parse_set},
    {"macro", &Parser::parse_macro},
    {"call", &Parser::parse_call},
    {"filter", &Parser::parse_filter},
    {"with", &Parser::parse_with},
    {"break", &Parser::parse_break},
    {"continue", &Parser::parse_continue},
    {"generation", &Parser::parse_generation},
};

}  // namespace

std::vector<StatementPtr> parse(const Source &source) { return Parser(source).run(); }

}  // namespace bittern::runtime::jinja
