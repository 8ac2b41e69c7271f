# Records what ansible-core's own filters and tests make of the expressions of a case
# file: one JSON object a line, with Python's repr and type of the result, or the error.
#
#   ANSIBLE_LIB=.../ansible/lib TZ=UTC python3 record.py cases.txt > cases.jsonl
#
# A line of the case file is an expression in which \n and the like are Jinja's escapes;
# "#" begins a comment. Variables are in vars.json.
import json
import os
import sys
import warnings

warnings.simplefilter("ignore")
sys.path.insert(0, os.environ["ANSIBLE_LIB"])
here = os.path.dirname(os.path.abspath(__file__))
os.environ["ANSIBLE_JINJA2_NATIVE"] = "true"
os.environ["ANSIBLE_DEPRECATION_WARNINGS"] = "false"
os.environ["ANSIBLE_LOCALHOST_WARNING"] = "false"

from ansible.parsing.dataloader import DataLoader  # noqa: E402
from ansible.plugins.loader import init_plugin_loader  # noqa: E402
from ansible.template import Templar  # noqa: E402
from jinja2.runtime import Undefined  # noqa: E402

init_plugin_loader([])

with open(os.path.join(here, "vars.json")) as f:
    variables = json.load(f)
env = Templar(DataLoader(), variables).environment


def plain(v):
    if isinstance(v, (list, tuple)):
        return type(v)(plain(x) for x in v) if type(v) in (list, tuple) else [plain(x) for x in v]
    if isinstance(v, dict):
        return {plain(k): plain(x) for k, x in v.items()}
    if isinstance(v, str):
        return str.__str__(v)
    return v


def kind(v):
    for base in (bool, int, float, str, list, tuple, dict):
        if isinstance(v, base):
            return base.__name__
    return type(v).__name__


def record(expr):
    try:
        v = env.compile_expression(expr, undefined_to_none=False)(**variables)
        if isinstance(v, Undefined):
            return {"type": "Undefined"}
        return {"result": repr(plain(v)), "type": kind(v)}
    except Exception as e:
        return {"error": type(e).__name__, "msg": str(e)[:200]}


with open(sys.argv[1]) as f:
    for line in f:
        expr = line.strip()
        if expr and not expr.startswith("#"):
            print(json.dumps({"expr": expr, **record(expr)}, ensure_ascii=False))
