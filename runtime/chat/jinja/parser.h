// Tokens to the syntax tree, by the grammar of Jinja 3.1 with the tags that chat templates use.
#pragma once
#include <vector>

#include "runtime/chat/jinja/source.h"
#include "runtime/chat/jinja/syntax.h"

namespace bittern::runtime::jinja {

// Throws Error "name:line:column: message" with the line for anything else, nesting beyond kMaxNesting included.
std::vector<StatementPtr> parse(const Source &source);

constexpr int kMaxNesting = 200;

}  // namespace bittern::runtime::jinja
