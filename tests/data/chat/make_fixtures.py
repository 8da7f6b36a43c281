#!/usr/bin/env python3
"""Makes expressions.json and templates.json: what jinja2 (3.1) writes for expressions and chat templates, set up as
transformers sets it up. Needs the jinja2 package; the tests read only the files.

  python3 make_fixtures.py            # writes both beside itself

A case is {"template", "context"?, "expect"} or {"template", "context"?, "error": kind}; templates in the forms of known
model families are in templates/*.jinja, written for this purpose.
"""
import copy
import datetime
import json
import pathlib
import random

import jinja2
import jinja2.ext
import jinja2.nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = pathlib.Path(__file__).parent
NOW = datetime.datetime(2025, 3, 9, 14, 5, 7)


class Generation(jinja2.ext.Extension):
    """The {% generation %} tag: its body is kept."""
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_keep"), [], [], body).set_lineno(line)

    @staticmethod
    def _keep(caller):
        return caller()


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                        extensions=[Generation, jinja2.ext.loopcontrols])

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = NOW.strftime
    return env


def case(template, context=None):
    row = {"template": template}
    if context is not None:
        row["context"] = context
    try:
        row["expect"] = environment().from_string(template).render(**copy.deepcopy(context or {}))
    except Exception as error:  # noqa: BLE001 what jinja2 raises is what is recorded
        row["error"] = type(error).__name__
    if " at 0x" in row.get("expect", ""):
        return None
    return row


CONTEXT = {
    "n": 7, "m": -3, "x": 2.5, "big": 9007199254740993, "t": True, "f": False, "none_": None, "s": "Hello, World",
    "u": "naïve 日本語 😀 ßtraße", "e": "", "ws": "  \t padded \n ", "l": [3, 1, 2], "el": [], "d": {"b": 1, "a": [1, 2], "C": None},
    "words": ["pear", "Apple", "fig", "apple"], "nest": {"k": {"l": [{"v": "deep"}]}},
    "people": [{"name": "Ann", "age": 30, "x": {"y": 1}}, {"name": "bob", "age": 25, "x": {"y": 3}}, {"name": "Cy", "age": 30, "x": {"y": 2}}],
    "cases": "ÀÉÎõü ŒŸ Ğİı ßẞ ﬁx Ωάς ΑΣ ΣΑΣ. ЖЯ ǆǈ Աա ა ⅷ ⓐª ᾳ 中 ５५",
    "q": "it's \"quoted\" \\ \n\t\x07\x7f\u200b",
}

EXPRESSIONS = r"""
cases|upper | cases|lower | cases|title | cases|capitalize | cases.title() | cases.upper() is upper | cases.lower() is lower | 'ⓐ'.islower() | 'Ⅷ'.isupper() | '५'.isdigit() | 'ª中'.isalpha() | [cases, '\u2028\u00ad\U0001F600\ue000'] | cases[::-1] | cases|tojson | cases|tojson(true)
1+1 | 7//2 | -7//2 | 7//-2 | -7%3 | 7%-3 | -7%-3 | 7.5%2 | -7.5%2 | 7.5//-2 | 1/2 | 4/2 | 2**10 | 2**-1 | 2**3**2 | -2**2 | (-2)**3 | 2**0.5
1/0 | 1//0 | 1%0 | 1.0/0 | 0**0 | 0.0**0 | 0**-1 | 1e308*10 | -1e308*10 | 10**18 | 2**62 | 9223372036854775807 | 1_000_000 | 0x1F | 0b101 | 0o17 | 00 | 1.5e3 | 1e-7 | 12_3.4_5
1.0 | 100.0 | 1e15 | 1e16 | 123456789.123 | 0.0001 | 0.00001 | 1e22 | 5e-324 | 1.7976931348623157e308 | 0.1+0.2 | 1/3 | -0.0 | 3.0 | x*2 | x+n | n*x | n-x | 1e5 | 100000000000000000000.0
true+true | true*3 | -true | +true | not true | not '' | not 0 | not none | true and 0 | '' or 'x' | 1 and 2 | 0 or none | not not 5 | 1 if true | 1 if false | 1 if false else 2 | 1 if n > 5 else 2 if n > 3 else 3
1 == 1.0 | true == 1 | 'a' == 'a' | 'a' == 1 | none == none | none == false | [1,2] == [1,2] | (1,2) == [1,2] | {'a':1} == {'a':1.0} | 1 != 2 | 1 < 2 < 3 | 3 > 2 > 2 | 1 < 3 > 2 | 1 == 1 == 1 | 1 <= 1.0 | 'a' < 'b' | 'B' < 'a' | 'é' < 'z' | [1,2] < [1,3] | [1] < [1,0] | (1,'a') < (1,'b') | 1 < 'a' | none < 1 | big == 9007199254740992.0 | big > 9007199254740992.0
1 in [1,2] | 'a' in 'abc' | '' in '' | 'z' not in 'abc' | 1 not in [2] | 'b' in d | 1 in d | none in [none] | 1 in 'abc' | 1 in 5 | 'a' in none | 2 in range(3) | 2.0 in [2] | not 1 in [1] | 1 in (1,) | 'x' in undef | undef in [1]
'a' ~ 1 ~ 2.0 ~ none ~ true | 'a' ~ undef ~ 'b' | 1 ~ 2 | [1] ~ 'x' | 'a' + 'b' | 'a' + 1 | 'ab' * 3 | 3 * 'ab' | 'ab' * -1 | [1] + [2] | [1] * 2 | (1,) + (2,) | (1,) * 2 | [1] + (2,) | 'a' 'b' "c" | -'a' | 'a' - 'b'
s[0] | s[-1] | s[100] | s[1:3] | s[::-1] | s[::2] | s[-3:] | s[:-3] | s[5:2] | s[5:2:-1] | s[100:] | s[-100:3] | s[::0] | u[0:7] | u[6:9] | u[::-1] | u[-1] | u[10] | l[0] | l[-1] | l[5] | l[1:] | l[::-1] | l[:] | l[::2] | l[-2:] | (1,2,3)[1] | (1,2,3)[::-1] | l[none:2] | l['a'] | range(10)[2:8:2] | range(10)[-1] | range(10)[::-1]|list | s['x'] | n[0]
s.upper() | s.lower() | s.title() | s.capitalize() | u.upper() | u.lower() | u.title() | u.capitalize() | u|length | s|length | ws.strip() | ws.lstrip() | ws.rstrip() | 'xxaxx'.strip('x') | 'xyaxy'.lstrip('yx') | 'xyaxy'.rstrip('yx') | '日a日'.strip('日') | s.split() | s.split(',') | s.split(', ') | 'a,b,c'.split(',', 1) | 'a,b,c'.rsplit(',', 1) | ' a  b '.split() | ' a  b c '.split(none, 1) | ' a  b c '.rsplit(none, 1) | 'abc'.split('') | ''.split() | ''.split(',') | 'a\nb\r\nc\n'.splitlines() | 'a\nb'.splitlines(true) | ','.join(['a','b']) | ','.join('abc') | ','.join([1])
s.startswith('Hello') | s.startswith('ello', 1) | s.startswith(('x','H')) | s.endswith('World') | s.endswith('x') | s.startswith('') | s.startswith(1) | s.find('o') | s.rfind('o') | s.find('zz') | s.index('W') | s.index('zz') | u.find('語') | s.count('l') | 'aaa'.count('aa') | 'aaa'.count('') | s.replace('l', 'L') | s.replace('l', 'L', 1) | 'aaa'.replace('', '-') | 'aaa'.replace('', '-', 2) | 'abc'.replace('b', '') | 'x'.isdigit() | '12'.isdigit() | ''.isdigit() | 'ab'.isalpha() | 'a1'.isalnum() | ' \n'.isspace() | 'Ab'.isupper() | 'AB1'.isupper() | 'ab1'.islower() | 'abc'.removeprefix('a') | 'abc'.removesuffix('c') | 'abc'.removesuffix('x') | 'a-b-c'.partition('-') | 'a-b-c'.rpartition('-') | 'abc'.partition('x') | '{} {}'.format(1, 'x') | '{0}{1}{0}'.format(1, 2) | '{a}'.format(a=3) | '{{}}'.format() | '{}'.format() | s.nosuch | s.nosuch() | s.upper
d.items() | d.keys() | d.values() | d.items()|list | d.keys()|list | d.get('b') | d.get('zz') | d.get('zz', 5) | d['b'] | d.b | d['zz'] | d.zz | d.zz.yy | d.a[1] | d['a'][0] | nest.k.l[0].v | nest['k']['l'][0]['v'] | d.items | {'items': 1}['items'] | {'items': 1}.items() | {} | {'a': 1, 'a': 2} | {1: 'x', true: 'y'} | {1: 'x'}[1.0] | {(1,2): 3} | {[1]: 2} | {'a': {'b': [1, (2,), 'x']}} | {'x': none, 'y': true, 'z': 1.0} | d.pop('b') | d.update({}) | l.append(4) | l.index(1) | l.index(9) | l.count(3) | l.copy() | d.copy() | l.sort() | l.__class__ | s.__class__
'abc'|upper | 'ABC'|lower | 'hello world-foo (bar'|title | 'hELLO'|capitalize | ws|trim | 'xxaxx'|trim('x') | 5|trim | none|upper | undef|upper | s|replace('l', 'L') | s|replace('l', 'L', 1) | 123|replace(2, 'x') | 'abc'|reverse | l|reverse|list | l|sort | l|sort(reverse=true) | words|sort | words|sort(case_sensitive=true) | people|sort(attribute='name')|map(attribute='name')|list | people|sort(attribute='age,name')|map(attribute='name')|join(' ') | people|sort(attribute='age', reverse=true)|map(attribute='name')|join(' ') | people|sort(attribute='x.y')|map(attribute='name')|join | [3,'a']|sort | words|unique|list | words|unique(case_sensitive=true)|list | people|unique(attribute='age')|map(attribute='name')|list
l|join | l|join(', ') | 'abc'|join('-') | [1,none,undef,'x']|join('|') | people|join(', ', attribute='name') | l|first | l|last | el|first | el|last | 'abc'|first | 'abc'|last | d|first | d|last | range(4)|last | undef|first | undef|last | l|map('string')|list | words|map('upper')|join(',') | people|map(attribute='age')|list | people|map(attribute='zz')|list | people|map(attribute='zz', default='-')|list | [' a ']|map('trim')|list | [[1,2],[3]]|map('join', '-')|list | l|map('nosuch')|list | l|map|list | 5|map('string')|list
l|select('odd')|list | l|select('gt', 1)|list | [0,1,'',none,'a']|select|list | [0,1,'']|reject|list | l|reject('even')|list | people|selectattr('age', 'equalto', 30)|map(attribute='name')|list | people|selectattr('age', '==', 25)|map(attribute='name')|list | people|rejectattr('age', 'gt', 26)|list|length | people|selectattr('nosuch')|list | people|selectattr('x.y', 'ge', 2)|map(attribute='name')|list | people|selectattr('name', 'in', ['Ann'])|list|length | people|selectattr('name','defined')|list|length | l|select('odd')|length | l|select('odd')|first | l|select('nosuch')|list | (l|select('odd'))[0]
n|string | x|string|length | '12'|int | 'x'|int | 'x'|int(5) | '12.7'|int | 3.9|int | -3.9|int | true|int | none|int | ' 4_2 '|int | 'ff'|int(0, 16) | '0x1A'|int(0, 16) | '1e3'|int | ''|int | [1]|int | undef|int | '1.5'|float | 'x'|float | 'x'|float(2.5) | 3|float | 'inf'|float | 'nan'|float | '1e400'|float | m|abs | -2.5|abs | 'a'|abs | 2.567|round(2) | 2.5|round | 3.5|round | 2.675|round(2) | 5|round | 2.1|round(0, 'ceil') | 2.9|round(0, 'floor') | 2.15|round(1, 'ceil') | l|sum | people|sum(attribute='age') | el|sum | [0.1]*3|sum | ([0.1]*3)|sum | l|min | l|max | words|min | words|max(case_sensitive=true) | el|min | people|max(attribute='age') | [1,[2]]|max
undef|default('x') | e|default('x') | e|default('x', true) | none_|default('x') | none_|d('x', true) | undef|default | d.zz|default('y') | 0|default(5, boolean=true) | l|length | d|length | undef|length | n|length | none|length | l|count | l|list | 'abc'|list | d|list | d.items()|list | 5|list | d|items|list | undef|items|list | 5|items|list | d|dictsort | d|dictsort(true) | {'b':2,'a':3}|dictsort(by='value') | {'b':2,'a':3}|dictsort(reverse=true) | {'b':1,'B':2,'a':3}|dictsort | [1,2,3,4,5]|batch(2)|list | [1,2,3]|batch(2, 0)|list | 'one two, three'|wordcount
'a\nb\n\nc'|indent | 'a\nb\n\nc'|indent(2) | 'a\nb'|indent(2, true) | 'a\n\nb'|indent(2, false, true) | 'a\nb'|indent('> ') | 'a\nb'|indent(width=1, first=true) | ''|indent | 'a\n'|indent | 5|indent
d|tojson | u|tojson | q|tojson | q | [q] | [u] | {'k': q} | people|tojson | d|tojson(indent=2) | []|tojson | {}|tojson | []|tojson(indent=2) | {'a': []}|tojson(indent=2) | [1,[2,[3]]]|tojson(indent=1) | {'b':1,'a':2}|tojson(sort_keys=true) | u|tojson(ensure_ascii=true) | {'a':1,'b':2}|tojson(separators=(',',':')) | 1.0|tojson | 1e20|tojson | none|tojson | true|tojson | (1,2)|tojson | {1:2, none:3, true:4, 1.5:5}|tojson | undef|tojson | 'nan'|float|tojson | s.upper|tojson | '</script>&'|tojson | d|tojson(indent='--') | [1]|tojson(indent=0)
undef | undef.x | undef['x'] | undef() | undef + 1 | undef ~ 1 | undef == undef2 | undef == none | undef|list | -undef | undef < 1 | undef is defined | undef is undefined | d.zz is defined | d.b is defined | n is defined | none_ is none | undef is none | d.zz.yy is defined | undef and undef.x | not undef | (undef)|length | undef[0] | undef[1:]
n is odd | n is even | 6 is even | n is divisibleby 7 | n is divisibleby(2) | 2.0 is even | s is string | n is string | n is number | x is number | t is number | 'a' is number | t is boolean | 1 is boolean | n is integer | t is integer | x is integer | x is float | n is float | d is mapping | l is mapping | l is sequence | s is sequence | d is sequence | n is sequence | l is iterable | n is iterable | none is none | f is false | t is true | 1 is true | s is upper | 'abc' is lower | 'ABC' is upper | s is callable | range is callable | s.upper is callable | n is eq 7 | n is ne 7 | n is gt 5 | n is lt 5 | n is ge 7 | n is le 6 | n is equalto(7) | n is greaterthan 6 | n is lessthan 6 | 1 is in [1,2] | 'x' is in 'xyz' | n is not odd | not n is odd | n is odd and n is gt 3 | n is nosuch | n is sameas 7 | none is sameas none | l is sameas l | 'upper' is filter | 'nosuch' is filter | 'odd' is test | undef is iterable | undef is sequence
range(3) | range(3)|list | range(1, 10, 3)|list | range(5, 0, -2)|list | range(0)|list | range(3, 1)|list | range(1,2,0) | range('a') | range(1.5) | range(100001)|length | dict(a=1, b=2) | dict({'a': 1}, b=2) | dict([('a', 1)]) | dict(a=1).a | namespace(a=1).a | namespace(a=1).b | namespace({'a': 2}).a | strftime_now('%d %b %Y') | strftime_now('%Y-%m-%d %H:%M:%S %A %j %%') | strftime_now('') | raise_exception('no') | nosuch() | 5() | 'a'()
'a\tb\nc\\d\'e"f' | "\x41\u00e9\U0001F600\101\q" | 'tab	in' | 'é日' | "a'b" | ["a'b", 'a"b', 'a\'b"c'] | ['\x00\x1f\x7f\xa0\u2028'] | '\r' | ['é日😀'] | ('a',) | () | (1) | (1,2,) | [1,2,] | {'a':1,} | 1, 2 | [(1,), [], {}, ()]
l[0]|string ~ 'x' | -n|abs | -n.x | not n in l | n in l == false | (n, m)|first | {'a': [1, {'b': 2}]}.a[1].b | 'a' if t else 'b' if f else 'c' | ('a' if f) is undefined | s.split(',')[1].strip()|upper | s|upper|lower|length * 2 | (s|length) * 2 | 1 + 2 * 3 - 4 / 2 | 10 - 2 - 3 | 2 * 3 % 4 | 7 // 2 * 2 | 'a' ~ 1 + 2 | 1 + 2 ~ 'a' | 'x' * 2 ~ 'y' | 1 < 2 and 2 < 3 or false | not (1 == 2) | [x for x in l] | n.bit_length | l.0 | nest.k.l.0.v | 1.5.x | 1 is defined is defined | a b | 1 + | ) | 'abc | {{ | 1 | | x | 5|nosuch | s|upper() | s|replace | s|replace('a', 'b', 1, 2) | s|trim(nope=1)
""".strip().splitlines()

TEMPLATES = [
    "a\n{% if true %}\n  b\n{% endif %}\nc\n", "a\n  {% if true %}  \n  b\n  {% endif %}\nc", "a {%- if true -%} b {%- endif -%} c",
    "a\n  {%+ if true %}b{% endif +%}\nc", "  {{ 1 }}\n  {{- 2 -}}\n  {{ 3 }}\n", "x\n{# note #}\ny", "x {#- note -#}  y", "  {# a #}\nb",
    "{# unclosed", "{% raw %}{{ x }}{% endraw %}", "a\n  {% raw %}\n {% x %}\n  {% endraw %}\nb", "{%- raw -%}  {{ x }}  {%- endraw -%}  z", "a\r\nb\rc\n\n",
    "line\n", "line\n\n", "", "\n", "{{ {'a': {'b': 1}}['a']['b'] }}", "{{ '}}' }}", "{% if '%}' == '%}' %}y{% endif %}", "{ { x } } {%", "{{ 'a' -}}\n\n b", "{%- if true %}\n\n x{% endif -%}\n\n y",
    "{% for i in [1,2,3] %}{{ i }}{% endfor %}", "{% for i in [] %}x{% else %}none{% endfor %}", "{% for i in [1] %}x{% else %}none{% endfor %}",
    "{% for a, b in [(1,2),(3,4)] %}{{ a }}-{{ b }};{% endfor %}", "{% for a, (b, c) in [(1,(2,3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "{% for a, b in [1] %}{% endfor %}", "{% for a, b in [(1,2,3)] %}{% endfor %}",
    "{% for k, v in {'x': 1, 'y': 2}.items() %}{{ k }}={{ v }} {% endfor %}", "{% for k in {'x': 1} %}{{ k }}{% endfor %}", "{% for c in 'héy' %}[{{ c }}]{% endfor %}",
    "{% for i in range(5) if i is odd %}{{ loop.index }}:{{ i }}/{{ loop.length }} {% endfor %}", "{% for i in range(5) if i > 9 %}x{% else %}none{% endfor %}",
    "{% for i in 'abc' %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.depth }}{{ loop.depth0 }}{{ loop.cycle('x','y') }};{% endfor %}",
    "{% for i in [1,2] %}{% for j in [3,4] %}{{ loop.depth }}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}", "{% for i in 5 %}{% endfor %}", "{% for i in none %}{% endfor %}", "{% for i in undef %}x{% endfor %}.",
    "{% for i in range(10) %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}", "{% for i in range(5) %}{% if i is odd %}{% continue %}{% endif %}{{ i }}{% endfor %}", "{% break %}", "{% for i in [1] %}{% break %}{% else %}e{% endfor %}",
    "{% set x = 1 %}{% for i in [1,2] %}{{ x }}{% set x = x + 1 %}{{ x }}{% endfor %}{{ x }}", "{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}", "{% for i in [1] %}{% set y = i %}{% endfor %}{{ y }}|",
    "{% set ns = namespace(n=0) %}{% for i in [1,2,3] %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}", "{% set ns = namespace() %}{% set ns.a = 1 %}{{ ns.a }}{{ ns.b }}|", "{% set d = {} %}{% set d.a = 1 %}", "{% set u.a = 1 %}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a, b = 'xy' %}{{ a }}{{ b }}", "{% set a = 1, 2 %}{{ a }}", "{% set (a, b) = (1, 2) %}{{ b }}", "{% set a, b = 1 %}", "{% set true = 1 %}", "{% set 1 = 1 %}",
    "{% set x %}a{{ 1 }}b{% endset %}[{{ x }}]", "{% set x | upper | replace('A', 'z') %}a{{ 1 }}b{% endset %}[{{ x }}]", "{% set ns = namespace() %}{% set ns.t %}hey{% endset %}{{ ns.t }}", "{% set x %}{% set y = 5 %}{% endset %}{{ y }}|",
    "{% macro m(a, b=2) %}{{ a }}-{{ b }}{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(b=5, a=4) }} {{ m() }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(z=2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=2) }}",
    "{% macro m() %}{{ x }}{% endmacro %}{% set x = 2 %}{{ m() }}", "{% set x = 1 %}{% macro m() %}{% set x = 5 %}{{ x }}{% endmacro %}{{ m() }}{{ x }}", "{% macro f(n) %}{% if n > 0 %}{{ n }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}", "{% macro f(n, m=n+1) %}{{ m }}{% endmacro %}{{ f(1) }}",
    "{% macro m() %}  x {% endmacro %}[{{ m()|trim }}]", "{% macro m() %}{{ loop is defined }}{% endmacro %}{% for i in [1] %}{{ m() }}{% endfor %}", "{% macro m(x) %}{{ caller() }}{{ x }}{% endmacro %}{% call m(2) %}body{% endcall %}", "{% macro m() %}{{ caller(7) }}{% endmacro %}{% call(v) m() %}<{{ v }}>{% endcall %}",
    "{% set x = 3 %}{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}{{ x }}{% endcall %}", "{% for i in [1,2] %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}", "{% macro a() %}A{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}", "{{ m() }}{% macro m() %}{% endmacro %}",
    "{% filter upper %}abc{{ 'd' }}{% endfilter %}", "{% filter replace('a', 'b') | upper %}aXa{% endfilter %}", "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a }}|", "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q }}|",
    "{% generation %}x{{ 1 }}{% endgeneration %}", "{% generation %}{% set q = 1 %}{% endgeneration %}{{ q }}|", "{% for m in [1,2] %}{% generation %}{{ m }}{{ loop.index }}{% endgeneration %}{% endfor %}",
    "{% if a is defined and a %}1{% elif b is defined %}2{% else %}3{% endif %}", "{% if 0 %}1{% elif '' %}2{% elif [0] %}3{% else %}4{% endif %}", "{% if %}{% endif %}", "{% if 1 %}", "{% endif %}", "{% else %}", "{% if 1 %}{% endfor %}", "{% nosuch %}", "{% if 1 %}a{% else %}b{% else %}c{% endif %}",
    "{% for i in [3,1,2]|sort %}{{ i }}{% endfor %}", "{% for m in messages[::-1] %}{{ m }}{% endfor %}", "{% for i in range(3) | reverse %}{{ i }}{% endfor %}", "{% set it = [1,2]|map('string') %}{{ it|join }}{{ it|join }}", "{% set l = [1,2] %}{% set _ = l.append(3) %}",
    "{% for i in range(3) %}{{ i }}{{ ',' if not loop.last }}{% endfor %}", "{{ loop }}", "{% for loop in [1] %}{{ loop }}{% endfor %}", "{%if 1%}a{%endif%}", "{{1}}{{2}}", "{{ '{{' }}{{ '{%' }}", "a{{ '\n' }}b", "{%- set x = 1 -%}\n\n{{ x }}\n", "\n\n{%- for i in [1,2] %}\n{{ i }}\n{%- endfor %}\n",
    "{% set messages = [{'role': 'user'}] %}{% if messages[0].role == 'user' and messages[-1]['role'] != 'x' %}ok{% endif %}", "{% if not messages %}n{% endif %}", "{{ raise_exception('Roles must alternate') }}", "{% if false %}{{ raise_exception('x') }}{{ 1/0 }}{% endif %}fine",
    "  {%- if true -%}  a  {%- endif -%}  ", "{{- ' x ' -}}", " {%- set a = 1 %} {{ a }}", "{% set a = 1 -%}\n  b", "{% for i in [1,2] -%}\n  {{ i }}\n{%- endfor %}", "\t{% if 1 %}\n\tx\n\t{% endif %}\n", "x {% if 1 %}\ny{% endif %}", "{{ 1 }} \n {% if 1 %} z {% endif %}",
]

NUMBERS = ["0", "1", "2", "-3", "7", "2.5", "-0.5", "1e3", "true", "false", "n", "m", "x", "100", "0.1"]
STRINGS = ["''", "'a'", "'Hello'", "'ab ab'", "s", "u", "'日本'", "' x '"]
LISTS = ["[]", "[1, 2, 3]", "l", "words", "(1, 'a')", "[[1], [2, 3]]", "['b', 'a']"]


FILTERS = ("upper lower title trim length string int float list first last join('-') sort reverse abs tojson default('z') "
           "unique|list map('string')|list select|list capitalize sum max min replace('a','b') indent(2) round(1) "
           "batch(2)|list").split()
METHODS = ("upper() strip() split() split('a') title() startswith('a') endswith('o') replace('a','') items()|list "
           "keys()|list get('k') count('a') index(1) k find('l')").split()


def random_expression(rng, depth):
    """Any mix of values, operators, filters, tests and methods; many of them are errors."""
    if depth == 0 or rng.random() < 0.15:
        return rng.choice(rng.choice([NUMBERS, NUMBERS, STRINGS, STRINGS, LISTS, ["none", "undef", "d", "{'k': 1}", "range(4)"]]))

    def sub():
        return random_expression(rng, depth - 1)

    kind = rng.randrange(12)
    if kind < 3:
        operator = rng.choice(["+", "-", "*", "/", "//", "%", "~", "~"])
        return f"{rng.choice(NUMBERS) if operator == '%' else sub()} {operator} {sub()}"  # no printf with strings
    if kind == 3:
        return f"({sub()} {rng.choice(['==', '!=', '<', '<=', '>', '>=', 'in', 'not in', 'and', 'or'])} {sub()})"
    if kind == 4:
        return f"({sub()} if {sub()} else {sub()})"
    if kind == 5:
        # Of strings and lists: a slice of a number is an error or undefined by whether jinja2 folds it as a constant.
        return f"({rng.choice(STRINGS + LISTS)})[{rng.choice(['0', '-1', '1:', ':2', '::-1', '::2', '-2:', '1:3', '5', 'n'])}]"
    if kind < 9:
        return f"({sub()})|{rng.choice(FILTERS)}"
    if kind == 9:
        return f"({sub()} is {rng.choice(['', 'not '])}{rng.choice(['defined', 'none', 'string', 'number', 'mapping', 'sequence', 'iterable', 'odd', 'even', 'true', 'boolean', 'lower', 'upper', 'in [1, 2]', 'eq 1'])})"
    if kind == 10:
        return f"({sub()}).{rng.choice(METHODS)}"
    return f"{rng.choice(['not ', '-', '+'])}({sub()})"


# Conversations and tools for the templates of the families.
SYSTEM = {"role": "system", "content": "You are a helpful assistant.\nBe brief."}
CHATS = [
    [{"role": "user", "content": "Hey, are you conscious?"}],
    [SYSTEM, {"role": "user", "content": " What is 2+2? \n"}],
    [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello! 😀"}, {"role": "user", "content": "Say\n\nmore <|eot_id|> 'please' \"now\""}],
    [SYSTEM, {"role": "user", "content": "a"}, {"role": "assistant", "content": "<think>\nhm\n</think>\n\nb"}, {"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}],
    [{"role": "user", "content": ""}],
    [{"role": "user", "content": "one"}, {"role": "user", "content": "two"}],
    [{"role": "user", "content": "Weather?"}, {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": {"city": "Zürich", "days": 2}}}]}, {"role": "tool", "content": "{\"t\": 21}"}, {"role": "tool", "content": "ok"}, {"role": "assistant", "content": "21°"}],
    [{"role": "user", "content": "q"}, {"role": "assistant", "content": "answer", "reasoning_content": "because\n"}, {"role": "user", "content": "r"}],
    [],
]
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Forecast for a city", "parameters": {"type": "object", "properties": {"city": {"type": "string", "description": "Name, e.g. \"Zürich\""}, "days": {"type": "integer"}}, "required": ["city"]}}}]


def family_contexts():
    for chat in CHATS:
        for extra in ({"add_generation_prompt": True}, {"add_generation_prompt": False}, {"add_generation_prompt": True, "tools": TOOLS}, {"add_generation_prompt": True, "enable_thinking": False}):
            yield {"messages": chat, "bos_token": "<|begin|>", "eos_token": "<|end|>", **extra}


def main():
    rows = []
    for line in EXPRESSIONS:
        for text in line.split(" | "):
            rows.append(case("{{ " + text + " }}"))
    plain = [row["template"] for row in rows if row]
    rows = [case(template, CONTEXT) for template in plain]
    rng = random.Random(20)
    seen = set()
    while len(seen) < 900:
        text = random_expression(rng, rng.choice([1, 2, 2, 3]))
        if text not in seen:
            seen.add(text)
            row = case("{{ " + text + " }}", CONTEXT)
            if row and (("error" not in row) or rng.random() < 0.3):
                rows.append(row)
    rows = [row for row in rows if row]
    for row in rows:
        row.pop("context")
    for template in TEMPLATES:
        row = case(template, CONTEXT)
        row.pop("context")
        rows.append(row)
    with open(HERE / "expressions.json", "w") as out:
        out.write('{"context": ' + json.dumps(CONTEXT) + ',\n "cases": [\n' + ",\n".join(json.dumps(row) for row in rows) + "\n]}\n")
    families = []
    for path in sorted((HERE / "templates").glob("*.jinja")):
        for i, context in enumerate(family_contexts()):
            row = case(path.read_text(), context)
            row.pop("template")
            row.pop("context")
            families.append({"template": path.name, "context": i, **row})
    with open(HERE / "templates.json", "w") as out:
        out.write('{"contexts": [\n' + ",\n".join(json.dumps(c) for c in family_contexts()) + '\n],\n "cases": [\n' + ",\n".join(json.dumps(row) for row in families) + "\n]}\n")
    print(len(rows), "expressions and small templates,", len(families), "renderings of templates;",
          sum("error" in row for row in rows + families), "are errors")


if __name__ == "__main__":
    main()
