// Templates equal jinja2's output: hundreds of expressions, small templates for every statement and white space rule,
// and templates in the forms of known model families (tests/data/chat, made with jinja2 by the script there). Then what
// only Bittern promises: marks, limits, and errors that say where.
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "runtime/chat/jinja/from_json.h"
#include "runtime/chat/jinja/template.h"
#include "runtime/error.h"

using namespace bittern::runtime;
using jinja::Template;
using jinja::Value;
using nlohmann::ordered_json;

namespace {

const std::string kData = std::string(BITTERN_TEST_DATA) + "/chat/";

std::string read(const std::string &name) {
  std::ifstream in(kData + name, std::ios::binary);
  REQUIRE(in.good());
  return {std::istreambuf_iterator<char>(in), {}};
}

// 2025-03-09 14:05:07, as in the script that made the fixtures.
std::tm fixed_clock() {
  std::tm time{};
  time.tm_year = 125;
  time.tm_mon = 2;
  time.tm_mday = 9;
  time.tm_hour = 14;
  time.tm_min = 5;
  time.tm_sec = 7;
  time.tm_wday = 0;
  time.tm_yday = 67;
  return time;
}

std::string render(const std::string &text, const ordered_json &context = ordered_json::object()) {
  return Template("t", text).render(jinja::from_json(context), fixed_clock).text;
}

std::string error_of(const std::string &text, const ordered_json &context = ordered_json::object(),
                     jinja::Limits limits = {}) {
  try {
    return "no error but: " + Template("t", text).render(jinja::from_json(context), fixed_clock, limits).text;
  } catch (const Error &error) {
    return error.what();
  }
}

void check_case(const ordered_json &row, const std::string &text, const ordered_json &context) {
  if (row.contains("error")) {
    CHECK_THROWS_AS_MESSAGE(render(text, context), Error, text);
    return;
  }
  std::string made;
  try {
    made = render(text, context);
  } catch (const Error &error) {
    made = std::string("error: ") + error.what();
  }
  CHECK_MESSAGE(made == row["expect"].get<std::string>(), text);
}

}  // namespace

TEST_CASE("expressions and small templates equal jinja2") {
  const ordered_json fixture = ordered_json::parse(read("expressions.json"));
  REQUIRE(fixture["cases"].size() > 1000);
  for (const ordered_json &row : fixture["cases"]) check_case(row, row["template"], fixture["context"]);
}

TEST_CASE("templates of the families equal jinja2") {
  const ordered_json fixture = ordered_json::parse(read("templates.json"));
  REQUIRE(fixture["cases"].size() > 300);
  for (const ordered_json &row : fixture["cases"])
    check_case(row, read("templates/" + row["template"].get<std::string>()),
               fixture["contexts"][row["context"].get<size_t>()]);
}

namespace {

// Renders with every string of the context's "c" marked; the marked parts of the output are put in brackets.
std::string marks_of(const std::string &text, const std::string &content) {
  jinja::Str marked;
  marked.append(content, true);
  const Value context =
      Value::dict({{Value::string("c"), Value::string(marked)}, {Value::string("p"), Value::string("plain")}});
  const jinja::Str out = Template("t", text).render(context, fixed_clock);
  std::string shown;
  size_t done = 0;
  for (const TextRange &mark : out.marks) {
    CHECK(mark.begin < mark.end);
    CHECK(mark.end <= out.text.size());
    CHECK((done <= mark.begin));
    shown += out.text.substr(done, mark.begin - done) + "[" + out.text.substr(mark.begin, mark.end - mark.begin) + "]";
    done = mark.end;
  }
  return shown + out.text.substr(done);
}

}  // namespace

TEST_CASE("what a person wrote stays marked through whatever a template does with it") {
  const std::string c = " a,b ";
  CHECK(marks_of("x{{ c }}y", c) == "x[ a,b ]y");
  CHECK(marks_of("{{ '<' + c|trim + '>' }}", c) == "<[a,b]>");
  CHECK(marks_of("{{ p ~ c ~ p ~ 1 }}", c) == "plain[ a,b ]plain1");
  CHECK(marks_of("{{ c.strip().split(',')[-1] }}{{ p }}", c) == "[b]plain");
  CHECK(marks_of("{{ c.strip().split(',')|join('-') }}", c) == "[a]-[b]");
  CHECK(marks_of("{{ ('(' + c + ')')[1:4] }}{{ ('(' + c + ')')[::-1] }}", c) == "[ a,])[ b,a ](");
  CHECK(marks_of("{{ ('(' + c + ')').replace(',', p) }}", c) == "([ a]plain[b ])");
  CHECK(marks_of("{{ p.replace('a', c) }}", c) == "pl[ a,b ]in");
  CHECK(marks_of("{{ ('x' + c)|upper }}{{ ('x' + c)|title }}", c) == "X[ A,B ]X[ A,b ]");
  CHECK(marks_of("{{ [c, p] }}{{ {'k': c}|tojson }}", c) == "[[' a,b '], 'plain']{\"k\": [\" a,b \"]}");
  CHECK(marks_of("{{ [c, p]|tojson }}", "\"") == "[[\"\\\"\"], \"plain\"]");
  CHECK(marks_of("{% set x %}<{{ c }}>{% endset %}{{ x }}", c) == "<[ a,b ]>");
  CHECK(marks_of("{% macro m(t) %}<{{ t|indent(2) }}>{% endmacro %}{{ m(c) }}", "a\nb") == "<[a]\n  [b]>");
  CHECK(marks_of("{% for ch in c %}{{ ch }}.{% endfor %}", "xy") == "[x].[y].");
  CHECK(marks_of("{{ '{}!{}'.format(c, p) }}", "xy") == "[xy]!plain");
  CHECK(marks_of("{{ [p, c]|join(c) }}", "x") == "plain[xx]");
  CHECK(marks_of("{{ c * 2 }}{{ c|first }}{{ c|last }}{{ c[1] }}", "xy") == "[xyxyxyy]");
  CHECK(marks_of("{% filter upper %}a{{ c }}{% endfilter %}", "ß") == "A[SS]");
  CHECK(marks_of("{{ c|length }}{{ c == 'x' }}", "x") == "1True");
}

TEST_CASE("errors quote the line and point at the place") {
  CHECK(error_of("a\nb {{ x | nosuch }}\nc") ==
        "t:2:10: there is no filter 'nosuch'\n  b {{ x | nosuch }}\n           ^");
  CHECK(error_of("é {{ 1/0 }}").find("t:1:7: division by zero\n  é {{ 1/0 }}\n        ^") == 0);
  CHECK(error_of("{% do x %}").find("t:1:4: the tag 'do' is not supported") == 0);
  CHECK(error_of("{% include 'x' %}").find("the tag 'include' is not supported") != std::string::npos);
  CHECK(error_of("\n\n{% if x %}").find("t:3:4: this tag has no 'endif'") == 0);
  CHECK(error_of("{{ 'a").find("t:1:4: a string without its end") == 0);
  CHECK(error_of("{{ (1, 2] }}").find("']' closes '('") != std::string::npos);
  CHECK(error_of("{{ x y }}").find("t:1:6: expected '}}', found 'y'") == 0);
  CHECK(error_of("{{ a.b }}").find("'a' is undefined") != std::string::npos);
  CHECK(error_of("{{ raise_exception('no tools') }}").find("the template refuses: no tools") != std::string::npos);
  CHECK(error_of("{{ f(*x) }}").find("arguments by * and ** are not supported") != std::string::npos);
  CHECK(error_of("{{ '%s' % 1 }}").find("printf-style formatting") != std::string::npos);
  CHECK(error_of("{{ [1].append(2) }}").find("would change a list") != std::string::npos);
  CHECK(error_of("{% for x in y recursive %}{% endfor %}").find("recursive loops are not supported") !=
        std::string::npos);
  CHECK(error_of("{{ 9223372036854775807 + 1 }}").find("does not fit in a 64-bit integer") != std::string::npos);
  CHECK(error_of("{{ 9223372036854775808 }}").find("does not fit in 64 bits") != std::string::npos);
  CHECK(error_of("{{ (-9223372036854775807 - 1) // -1 }}").find("64-bit") != std::string::npos);
  CHECK(error_of("{{ (-9223372036854775807 - 1) % -1 }}") == "no error but: 0");
  CHECK(error_of("{{ 3 ** 50 }}").find("64-bit") != std::string::npos);
  CHECK(error_of("{{ 'x' * 9223372036854775807 }}").find("limit of memory") != std::string::npos);
  CHECK(error_of("{{ 'xy' * 9223372036854775807 }}").find("too long") != std::string::npos);
  CHECK(error_of("{{ '\\ud800' }}").find("no Unicode character") != std::string::npos);
  CHECK(error_of("\xff").find("not valid UTF-8") != std::string::npos);
  CHECK(error_of(std::string(2 << 20, 'x')).find("the limit is") != std::string::npos);
  CHECK(error_of(std::string(300, ' ') + "{{ q(1 }}").size() < 300);  // long lines are cut
}

TEST_CASE("limits end what would not end") {
  jinja::Limits limits;
  CHECK(error_of("{% for a in range(999) %}{% for b in range(999) %}{% for c in range(99) %}{% endfor %}{% endfor %}{% "
                 "endfor %}")
            .find("limit of steps") != std::string::npos);
  CHECK(error_of("{% set n = namespace(s='x') %}{% for a in range(99) %}{% set n.s = n.s + n.s %}{% endfor %}")
            .find("limit of memory") != std::string::npos);
  // What a loop walked over is given back when the loop ends, but not while the template keeps the loop.
  jinja::Limits little;
  little.memory = 4 << 20;
  CHECK(error_of("{% for a in range(300) %}{% for b in range(10000) %}{% break %}{% endfor %}{% endfor %}",
                 ordered_json::object(), little)
            .find("no error") == 0);
  CHECK(error_of("{% set n = namespace(l=[]) %}{% for a in range(300) %}{% for b in range(10000) %}{% set n.l = n.l + "
                 "[loop] %}{% break %}{% endfor %}{% endfor %}",
                 ordered_json::object(), little)
            .find("limit of memory") != std::string::npos);
  CHECK(render("{{ range(100000)|length }}") == "100000");
  CHECK(error_of("{{ range(100001) }}").find("range: more than 100000 numbers") != std::string::npos);
  limits.output = 1000;
  CHECK(error_of("{% for a in range(1001) %}x{% endfor %}", ordered_json::object(), limits).find("limit of output") !=
        std::string::npos);
  CHECK(error_of("{% for a in range(1000) %}x{% endfor %}", ordered_json::object(), limits).find("no error") == 0);
  CHECK(error_of("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}").find("calls itself too often") !=
        std::string::npos);
  CHECK(error_of("{{ " + std::string(5000, '(') + "1" + std::string(5000, ')') + " }}").find("nested more than") !=
        std::string::npos);
  CHECK(error_of("{{ " + std::string(5000, '-') + "1 }}").find("nested more than") != std::string::npos);
  CHECK(error_of("{{ 1" +
                 [] {
                   std::string sum;
                   for (int i = 0; i < 5000; ++i) sum += "+1";
                   return sum;
                 }() +
                 " }}")
            .find("nested more than") != std::string::npos);
  std::string ifs;
  for (int i = 0; i < 5000; ++i) ifs += "{% if 1 %}";
  CHECK(error_of(ifs).find("nested more than") != std::string::npos);
  CHECK(error_of("{% set n = namespace(l=[]) %}{% for a in range(200) %}{% set n.l = [n.l] %}{% endfor %}")
            .find("nested more than 100 deep") != std::string::npos);
  // Shared items: small values whose text, comparison or JSON would be astronomically long.
  const std::string grow =
      "{% set n = namespace(a=[1], b=[1]) %}{% for i in range(80) %}{% set n.a = [n.a, n.a] %}{% set n.b = [n.b, n.b] "
      "%}{% endfor %}";
  CHECK(error_of(grow + "{{ n.a }}").find("limit of") != std::string::npos);
  CHECK(error_of(grow + "{{ n.a == n.b }}").find("limit of steps") != std::string::npos);
  CHECK(error_of(grow + "{{ n.a|tojson }}").find("limit of") != std::string::npos);
  // Namespaces may hold each other; nothing leaks and nothing hangs.
  CHECK(render("{% set n = namespace() %}{% set n.me = n %}{{ n.me.me.me is defined }}") == "True");
  CHECK(error_of("{% set n = namespace() %}{% set n.me = n %}{{ n }}").find("no text of its own") != std::string::npos);
}
