// See template.h.
#include "runtime/chat/jinja/template.h"

#include "runtime/chat/jinja/lexer.h"
#include "runtime/chat/jinja/parser.h"
#include "runtime/error.h"

namespace bittern::runtime::jinja {

Template::Template(std::string name, std::string_view text)
    : source_(prepare(std::move(name), text)), body_(parse(source_)) {}

Str Template::render(const Value &context, const std::function<std::tm()> &clock, const Limits &limits) const {
  if (!context.is(Kind::Dict)) throw Error(source_.name + ": the context of a template must be a dict");
  Interpreter interpreter(source_, limits, clock, context);
  return interpreter.run(body_);
}

}  // namespace bittern::runtime::jinja
