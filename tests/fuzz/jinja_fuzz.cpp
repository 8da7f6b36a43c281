// Chat templates from anywhere, rendered under small limits. Output must be valid UTF-8, marks in order and inside it,
// and the only exception is Error, which names the place. The words of the language are spelled out below the fuzzer's
// reach as a dictionary would: bytes from 0x80 up stand for them.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <nlohmann/json.hpp>

#include "runtime/chat/jinja/from_json.h"
#include "runtime/chat/jinja/template.h"
#include "runtime/error.h"
#include "runtime/io/utf8.h"

using namespace bittern::runtime;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

constexpr const char *kWords[] = {
    "{{ ",
    " }}",
    "{% ",
    " %}",
    "{%- ",
    " -%}",
    "{# ",
    " #}",
    "if ",
    "else",
    "elif ",
    "endif",
    "for ",
    " in ",
    "endfor",
    "set ",
    "endset",
    "macro ",
    "endmacro",
    "namespace(",
    "loop.index0",
    "break",
    "continue",
    "messages",
    "content",
    "tools",
    "range(",
    "|tojson",
    "|trim",
    "|join(",
    "|map(",
    "|selectattr(",
    "|sort",
    "|list",
    "|first",
    "|length",
    "|default(",
    "|replace(",
    "|indent(",
    "|items",
    "|dictsort",
    "|unique",
    "|reverse",
    "|batch(",
    "|round(",
    "|int",
    "[::-1]",
    ".split(",
    ".strip(",
    ".items()",
    ".get(",
    ".format(",
    ".title()",
    " is defined",
    " is string",
    " is not none",
    " not in ",
    " and ",
    " or ",
    " ~ ",
    "**",
    "//",
    "'a'",
    "1e5",
    "9223372036854775807",
    "ns.x",
    "m(",
    "call ",
    "endcall",
    "caller()",
    "filter ",
    "endfilter",
    "with ",
    "endwith",
    "generation",
    "endgeneration",
    "raw",
    "endraw",
    "true",
    "none",
    "x = ",
    "loop.cycle(",
};

std::string spelled(const uint8_t *data, size_t size) {
  std::string text;
  for (size_t i = 0; i < size; ++i) {
    if (data[i] >= 0x80 && static_cast<size_t>(data[i] - 0x80) < std::size(kWords))
      text += kWords[data[i] - 0x80];
    else
      text += static_cast<char>(data[i]);
  }
  return text;
}

jinja::Value context() {
  jinja::Str content;
  content.append("Hi <|eot|> é 😀 \n", true);
  const jinja::Value message = jinja::Value::dict({{jinja::Value::string("role"), jinja::Value::string("user")},
                                                   {jinja::Value::string("content"), jinja::Value::string(content)}});
  return jinja::Value::dict(
      {{jinja::Value::string("messages"), jinja::Value::list({message, message})},
       {jinja::Value::string("tools"), jinja::from_json(nlohmann::ordered_json::parse(R"([{"a": [1, 2.5, null]}])"))},
       {jinja::Value::string("bos_token"), jinja::Value::string("<s>")},
       {jinja::Value::string("content"), jinja::Value::string(content)},
       {jinja::Value::string("add_generation_prompt"), jinja::Value::boolean(true)}});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const jinja::Value fixed = context();
  jinja::Limits limits;
  limits.steps = 20000;
  limits.memory = 4 << 20;
  limits.output = 1 << 16;
  for (const bool words : {false, true}) {
    try {
      const std::string text = words ? spelled(data, size) : std::string(reinterpret_cast<const char *>(data), size);
      const jinja::Str out = jinja::Template("t", text).render(fixed, [] { return std::tm{}; }, limits);
      require(utf8_valid(out.text));
      size_t done = 0;
      for (const TextRange &mark : out.marks) {
        require(mark.begin >= done && mark.begin < mark.end && mark.end <= out.text.size());
        done = mark.end;
      }
    } catch (const Error &error) {
      require(std::string_view(error.what()).starts_with("t:"));
    }
  }
  return 0;
}
