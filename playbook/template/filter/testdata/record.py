# Records what ansible-core's own filters and tests make of the expressions of a case
# file: one JSON object a line, with Python's repr and type of the result, or the error.
#
#   ANSIBLE_LIB=.../ansible/lib TZ=UTC python3 record.py cases.txt > cases.jsonl
#
# A line of the case file is an expression in which \n and the like are Jinja's escapes;
# "#" begins a comment. Variables are in vars.json. Without a case file, it answers the
# expressions that come in, a JSON object a line.
import json
import os
import resource
import signal
import sys
import warnings

warnings.simplefilter("ignore")
if "ANSIBLE_LIB" in os.environ:
    sys.path.insert(0, os.environ["ANSIBLE_LIB"])
here = os.path.dirname(os.path.abspath(__file__))
os.environ["ANSIBLE_JINJA2_NATIVE"] = "true"
os.environ["ANSIBLE_DEPRECATION_WARNINGS"] = "false"
os.environ["ANSIBLE_LOCALHOST_WARNING"] = "false"
answers, sys.stdout = sys.stdout, sys.stderr  # what plugins print is no answer

from ansible.parsing.dataloader import DataLoader  # noqa: E402
from ansible.plugins import loader as plugins  # noqa: E402
from ansible.template import Templar  # noqa: E402
from ansible.utils.display import Display  # noqa: E402
from jinja2.runtime import Undefined  # noqa: E402

if hasattr(plugins, "init_plugin_loader"):
    plugins.init_plugin_loader([])
else:  # 2.14
    from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder
    _AnsibleCollectionFinder([])._install()
Display.display = Display.warning = Display.deprecated = lambda *args, **kwargs: None

with open(os.path.join(here, "vars.json")) as f:
    text = f.read()
variables = json.loads(text)
env = Templar(DataLoader(), variables).environment


class Timeout(BaseException):
    pass


def alarm(*_):
    raise Timeout()


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
        v = env.compile_expression(expr, undefined_to_none=False)(**json.loads(text))
        if isinstance(v, Undefined):
            return {"type": "Undefined"}
        return {"result": repr(plain(v)), "type": kind(v)}
    except Exception as e:
        return {"error": type(e).__name__, "msg": str(e)[:200]}


def answer(expr):
    signal.setitimer(signal.ITIMER_REAL, 2)
    try:
        return record(expr)
    except (Timeout, MemoryError, RecursionError) as e:
        return {"skip": type(e).__name__}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def expressions():
    if len(sys.argv) < 2:
        signal.signal(signal.SIGALRM, alarm)
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
        for line in sys.stdin:
            yield json.loads(line)["expr"], answer
        return
    with open(sys.argv[1]) as f:
        for line in f:
            expr = line.strip()
            if expr and not expr.startswith("#"):
                yield expr, record


for expr, how in expressions():
    print(json.dumps({"expr": expr, **how(expr)}, ensure_ascii=False), file=answers, flush=True)
