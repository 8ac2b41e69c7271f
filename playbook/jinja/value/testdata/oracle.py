"""Answers requests, one JSON list a line, with what Python does.

{"op": name, "args": [Python literal, ...]} -> {"ok": repr} or {"err": class, "msg": text}
"""
import ast
import json
import operator
import sys

sys.set_int_max_str_digits(0)

BINARY = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
    "//": operator.floordiv, "%": operator.mod, "**": operator.pow,
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "==": operator.eq, "in": lambda a, b: b in a, "item": operator.getitem,
    "format": format, "int": lambda s, base: int(s, base), "contains": operator.contains,
}
UNARY = {
    "repr": lambda v: v, "str": str, "ascii": ascii, "len": len, "list": list, "bool": bool,
    "int1": int, "float": float, "neg": operator.neg, "json": json.dumps,
    "jsonfmt": lambda v: json.dumps(v, indent=2, sort_keys=True, ensure_ascii=False, separators=(",", ": ")),
    "literal": ast.literal_eval, "sorted": sorted, "loads": json.loads,
}


def answer(req):
    op = req["op"]
    args = [ast.literal_eval(a) for a in req["args"]]
    if op in UNARY:
        return UNARY[op](*args)
    if op in BINARY:
        return BINARY[op](*args)
    if op == "slice":
        return args[0][args[1]:args[2]:args[3]]
    return getattr(args[0], op.rstrip("_"))(*args[1:])


def reply(req):
    try:
        return {"ok": repr(answer(req))}
    except RecursionError:
        return {"err": "RecursionError", "msg": ""}
    except Exception as e:
        return {"err": type(e).__name__, "msg": str(e)}


for line in sys.stdin:
    print(json.dumps([reply(req) for req in json.loads(line)]), flush=True)
