# Records what Ansible's YAML loader makes of a table of texts, one JSON object a line.
import datetime
import json
import sys

from ansible.parsing.yaml.loader import AnsibleLoader
from ansible.parsing.yaml.objects import AnsibleVaultEncryptedUnicode
from ansible.parsing.vault import VaultSecret


def quote(s):
    # Go's %q for what the table holds
    out = ['"']
    for c in s:
        o = ord(c)
        named = {7: '\\a', 8: '\\b', 12: '\\f', 10: '\\n', 13: '\\r', 9: '\\t', 11: '\\v', 92: '\\\\', 34: '\\"'}
        if o in named:
            out.append(named[o])
        elif o < 32 or o == 127:
            out.append('\\x%02x' % o)
        elif 0x80 <= o < 0xa1 or o in (0xad, 0x2028, 0x2029, 0xfeff):
            out.append('\\u%04x' % o)
        else:
            out.append(c)
    return ''.join(out) + '"'


def dump(v):
    if v is None:
        return 'null'
    if isinstance(v, bool):
        return 'bool:' + str(v).lower()
    if isinstance(v, int):
        return 'int:%d' % v
    if isinstance(v, float):
        return 'float:' + repr(v)
    if isinstance(v, AnsibleVaultEncryptedUnicode):
        return 'vault:' + quote(v._ciphertext.decode())
    if isinstance(v, bytes):
        return 'b' + quote(v.decode('latin-1'))
    if isinstance(v, (datetime.date, datetime.datetime)):
        return quote(str(v))
    if isinstance(v, str):
        return quote(v)
    if isinstance(v, set):
        return '[' + ','.join(sorted(map(dump, v))) + ']'
    if isinstance(v, tuple):
        return '(' + ','.join(map(dump, v)) + ')'
    if isinstance(v, list):
        return '[' + ','.join(map(dump, v)) + ']'
    if isinstance(v, dict):
        return '{' + ','.join(dump(k) + ':' + dump(x) for k, x in v.items()) + '}'
    raise TypeError(type(v))


SCALARS = '''yes Yes YES yEs no No NO true True TRUE tRue false False FALSE on On ON off Off OFF y n Y N
0 00 0644 0755 089 0o14 0x1F 0X1F -0x1f +0x1f 0xfg 0b101 0b1_0 0b2 -0b1 1_000 1__0 _1 1_ -1 +1 -0 12345678901234567890 -99999999999999999999
1:30 1:30:45 190:20:30 -1:30 1:60 1:3:5 01:30 0:30 1:30.5 1:30.5.1
1.0 1. .5 -.5 +.5 1.5e3 1.5e+3 1.5E-3 1e3 1e+3 1.e+3 .5e+3 1_0.5 1._5 1.2.3 . -. +. - + .inf .Inf .INF .iNf -.inf +.inf .nan .NaN .NAN -.nan 1.7976931348623157e+999
~ null Null NULL nUll None none
2020-01-02 2020-1-2 2020-13-01 2020-02-30 2001-12-14t21:59:43.10-05:00 2001-12-15T02:59:43.1Z 20-01-02 2020-01-02x
= == << a=b 1a a1 0a x:y http://x:80/y 10.0.0.1 1.2.3.4/24 v1.0 -x --x ?x :x !x2'''.split()
SCALARS = ['a: ' + s for s in SCALARS] + ['- ' + s for s in ('2001-12-14 21:59:43.10', '2001-12-14 21:59:43 Z', '2001-12-14 21:59:43 +1', '2001-12-14 24:00:00', '2001-12-14\t1:59:43')]

TEXTS = [
    '', '\n', '---\n', '...\n', '--- \na: 1\n', '# only a comment\n', 'a', '5', '"x"', '- a\n- b\n', '%YAML 1.1\n---\na: 1\n...\n',
    'a: 1\n---\nb: 1\n', '\ufeffa: 1\n', 'a: 1\r\nb: 2\r\n', 'a:\n  - 1\n  - 2\nb:\n- 3\n', 'a:\nb: ~\nc: ""\n', '? a\n: 1\n? b\n',
    '1: a\n1.0: b\n', 'null: a\nyes: b\n~: c\n', 'a: 1\nb: 2\na: 3\n', '=: 1\n', '? [a, b]\n: 1\n', 'x: {{ foo }}\n', '"{{ a }}": 1\n',
    'a: &x {p: 1, q: 2}\nb:\n  <<: *x\n  q: 5\n  r: 6\n', 'a: &x {p: 1}\nb: &y {p: 2, q: 3}\nc:\n  z: 0\n  <<: [*x, *y]\n',
    'c:\n  <<: {p: 1}\n  q: 2\n  <<: {p: 3, r: 4}\n', 'a:\n  <<: 5\n', 'a:\n  <<: [1]\n', 'a:\n  "<<": 5\n', 'a:\n  <<: {x: 1, <<: {y: 2}}\n  y: 3\n',
    'a: &a 1\nb: *a\nc: &b [*a]\nd: *b\n', 'a: *x\n', 'a: &x\nb: *x\n', 'a: &x b\nc: &x d\ne: *x\n',
    'a: "x\\ty\\x41\\u00e9\\U0001F600\\n\\\\\\"\\/\\0\\e"\n', "a: 'it''s'\n", 'a: "b\n   c\n\n  d"\n', "a: 'b\n   c\n\n\n  d'\n", 'a: "b\\\n   c"\n', 'a: "b  \n   c"\n',
    'a: b\n  c\n\n  d\ne: 1\n', 'a: b # c\nd: e#f\n', 'a: "b" # c\n',
    'a: |\n  x\n   y\n\n  z\n', 'a: |-\n  x\n\n', 'a: |+\n  x\n\n\nb: 1\n', 'a: >\n  x\n  y\n\n  z\n   w\n  v\n', 'a: >-\n  a\n   b\n\n  c\n', 'a: >+\n  x\n\n', 'a: |2\n    x\n   y\n',
    'a: |\n\n\n  x\n', 'a: |\nb: 1\n', 'a: |\n  \tx\n', '- |\n x\n- >2\n   y\n', 'a: | # comment\n  x\n', 'a: !!str |\n  x\n',
    '{a: 1, b: [x, y], c: {d: e}}', '{a: 1,}', '[a, b,]', 'a: [x,,y]', '{a, b: , c}', 'a: [1,2\n]\n', 'a: {b: c:d}\n', 'a: [b: c, d]\n', '{"a":1}', "{'a':1}", 'a: {b: http://x}\n', '[a\n', '{a: [}\n',
    '{"a": 1e3, "b": [true, null, -0.5, "\\u00e9\\ud83d\\ude00\\/"], "a": 2}', '{"a":\t1}', '[1, NaN, Infinity, -Infinity]', '{\n\t"a": 1\n}', '[1 2]', '[01]',
    "a: !!int '5'\nb: !!float '1'\nc: !!str 5\nd: !!bool 'on'\ne: !!null x\nf: !!int 0x10\n", "a: !!bool 'x'\n", "a: !!int 'x'\n", 'a: !!float x\n', 'a: !foo b\n', 'a: !!python/object:x.Y {}\n', 'a: ! 5\n', 'a: !!map {x: 1}\nb: !!seq [1]\n', 'a: !!map [1]\n', 'a: !!str [1]\n',
    'a: !!set {x, y}\n', 'a: !!omap [a: 1, b: 2]\n', 'a: !!pairs [a: 1, a: 2]\n', 'a: !!omap [1]\n', 'a: !!binary aGVs\n  bG8=\n', 'a: !!binary "*"\n', 'a: !!timestamp "2020-01-02"\n', 'a: !!timestamp x\n',
    'a: !unsafe yes\nb: !unsafe {x: 1}\nc: !unsafe [1, no]\nd: !unsafe "{{ x }}"\n', 'a: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162\n', 'a: !vault-encrypted |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162\n',
    'a:\tb\n', 'a: b\n\tc\n', 'a:\n\tb: c\n', '- a\n-\tb\n', 'a: b\t# c\n', '\t\na: 1\n', 'a: b: c\n', 'a:b\n', 'a :b\n', 'a : b\n', 'a: @x\n', 'a: `x`\n', 'a: %x\n', '%x\n', 'a: x%y@z\n', "a: 'x\n", 'a: "x\n', 'a: "x" y\n', "a: 'x'y\n", ' a: 1\nb: 2\n', 'a: 1\n b: 2\n', 'a:\n  b: 1\n c: 2\n', '- a\nb: 1\n', 'a: -\n', 'a: - b\n', '- - a\n  - b\n- c\n', '- a: 1\n  b: 2\n-\n  c: 3\n', 'a: \x07\n', 'a: "\x7f"\n', 'a: \u00e9\u4e2d\U0001f600\n', 'a: x\u0085y\n', 'a: "x\u2028y"\n', 'a: \x00\n', 'k: *\n', 'k: &\n', 'a: >x\n', 'a: |10\n', '"a" "b"\n', 'a\nb: 1\n', '!!str\n', '- !!str\n', '- &a\n', 'a: ?\n', 'a: ? b\n', '? a: b\n: c\n', '-a\n', 'a: #b\n', 'a: b #\n', "''\n", "'': 1\n", '- {a: 1, a: 2}\n', '[[[[[]]]]]', 'a: "\\q"\n', 'a: "\\x4"\n', 'a: \'\\n\'\n',
]

for text in SCALARS + TEXTS:
    case = {'In': text, 'Out': '', 'Fails': False}
    try:
        loaded = None
        try:
            loaded = json.loads(text)
        except ValueError:
            loader = AnsibleLoader(text, file_name='F', vault_secrets=[('default', VaultSecret(b'x'))])
            loaded = loader.get_single_data()
        case['Out'] = dump(loaded)
    except Exception:
        case['Fails'] = True
    print(json.dumps(case))
