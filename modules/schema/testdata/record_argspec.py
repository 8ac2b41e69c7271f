"""Records argspec.jsonl: python3 record_argspec.py CHECKOUT_OF_ANSIBLE > argspec.jsonl"""
import json
import sys

sys.path.insert(0, sys.argv[1] + '/lib')
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator  # noqa: E402

SPEC = {
    's': {'type': 'str', 'required': True},
    'i': {'type': 'int', 'default': 5, 'aliases': ['int', 'number']},
    'f': {'type': 'float'},
    'o': {'type': 'bool'},
    'c': {'type': 'str', 'choices': ['a', 'no']},
    'l': {'type': 'list', 'elements': 'int'},
    'lc': {'type': 'list', 'choices': ['x', 'y']},
    'b': {'type': 'bytes'},
    'r': {'type': 'bits'},
    'j': {'type': 'json'},
    'k': {'type': 'dict'},
    'd': {'type': 'dict', 'apply_defaults': True, 'mutually_exclusive': [['x', 'y']],
          'required_together': [['x', 'w']],
          'options': {'x': {'type': 'int'}, 'y': {'type': 'int'}, 'z': {'type': 'int', 'default': 9}, 'w': {}}},
    'm': {'type': 'list', 'elements': 'dict', 'required_if': [['k', 'v', ['n', 'q']], ['k', 'w', ['n', 'q'], True]],
          'required_one_of': [['k', 'n']], 'required_by': {'n': ['q']},
          'options': {'k': {}, 'n': {}, 'q': {'type': 'dict', 'options': {'deep': {'type': 'int', 'required': True}}}}},
}
CASES = [
    {'s': 'a'}, {}, {'s': None}, {'s': [1, 'x', None, {'a': 1.5}]}, {'s': 'a', 'x': 1, 'd': {'v': 1}},
    {'s': 1, 'number': '7', 'c': False, 'l': '1,2', 'b': '1.5K', 'r': '2Mb', 'j': {'a': [1, 'é']}},
    {'s': 'a', 'i': 'x', 'c': 'q', 'l': ['z'], 'lc': ['x', 'q']},
    {'s': 'a', 'i': '1e2', 'f': '1_0', 'o': 1.0}, {'s': 'a', 'i': 1.5, 'f': 'x', 'o': 'maybe'},
    {'s': 'a', 'i': True, 'f': True}, {'s': 'a', 'i': ' 12 ', 'l': 3}, {'s': 'a', 'i': '0x10'},
    {'s': 'a', 'i': None}, {'s': 'a', 'l': {'a': 1}}, {'s': 'a', 'l': [None]},
    {'s': 'a', 'b': '1b', 'r': '1B'}, {'s': 'a', 'b': '1Kb'}, {'s': 'a', 'b': '10 MB'}, {'s': 'a', 'b': 'x'}, {'s': 'a', 'b': '1q'},
    {'s': 'a', 'k': 'a=1 b="2 3",c=d'}, {'s': 'a', 'k': '{"a": [1]}'}, {'s': 'a', 'k': "{'a': [1, 'b'], }"},
    {'s': 'a', 'k': 'nothing'}, {'s': 'a', 'k': '{bad'}, {'s': 'a', 'k': 'a=1 b'}, {'s': 'a', 'k': [1]}, {'s': 'a', 'j': 1},
    {'s': 'a', 'd': {'x': 1, 'y': 'q'}}, {'s': 'a', 'd': {'w': 1}}, {'s': 'a', 'd': 'x=1 w=2'},
    {'s': 'a', 'm': [{'k': 'v'}]}, {'s': 'a', 'm': [{'k': 'w'}]}, {'s': 'a', 'm': [{'q': {'deep': 1}}]},
    {'s': 'a', 'm': [{'n': 1}]}, {'s': 'a', 'm': [{'n': 1, 'q': {}}]}, {'s': 'a', 'm': [{'n': 1, 'q': {'deep': 'x', 'w': 1}}]},
    {'s': 'a', 'm': 'text'}, {'s': 'a', 'm': [1]},
]
print(json.dumps(SPEC))
for case in CASES:
    params = json.loads(json.dumps(case))
    r = ArgumentSpecValidator(SPEC).validate(params)
    errors = [e for e in r.error_messages]
    # Python prints the words of a set in any order.
    errors = [e.split('Valid booleans include:')[0] for e in errors]
    print(json.dumps({'params': case, 'out': r.validated_parameters, 'errors': errors}, ensure_ascii=False))
