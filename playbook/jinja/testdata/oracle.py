"""Answers what CPython's Jinja2 makes of templates: a JSON object a line in and out."""
import json
import resource
import signal
import sys
import time

import jinja2
import jinja2.idtracking


class Chaining(jinja2.StrictUndefined):
    """Strict on use, chaining on access."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __getitem__(self, key):
        return self

    def __contains__(self, item):
        return self


def branch_update(self, branches):
    """Names set in a branch only begin as what they are outside: 3.1.2 gets that wrong
    when every branch sets them, 3.1.6 does not."""
    names = set().union(*(b.stores for b in branches)) - self.stores
    for b in branches:
        self.refs.update(b.refs)
        self.loads.update(b.loads)
        self.stores.update(b.stores)
    for name in names:
        outer = self.parent and self.parent.find_ref(name)
        rule = ("alias", outer) if outer is not None else ("resolve", name)
        self.loads[self.find_ref(name)] = rule


jinja2.idtracking.Symbols.branch_update = branch_update

UNDEFINED = {
    "": jinja2.Undefined,
    "strict": jinja2.StrictUndefined,
    "chaining": Chaining,
}


class Timeout(BaseException):
    pass


def alarm(*_):
    raise Timeout()


def environment(req):
    opts = dict(req.get("opts") or {})
    return jinja2.Environment(
        undefined=UNDEFINED[req.get("undefined", "")],
        extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"],
        loader=jinja2.DictLoader(req.get("templates") or {}),
        cache_size=0,
        **opts,
    )


def run(req):
    template = environment(req).from_string(req["src"])
    return {"out": template.render(req.get("context") or {})}


def compile(req):
    env = environment(req)
    begin = time.perf_counter_ns()
    for i in range(req["n"]):
        env.from_string(req["src"] + "{# %d #}" % i)
    return {"ns": time.perf_counter_ns() - begin}


def bench(req):
    template = environment(req).from_string(req["src"])
    context = req.get("context") or {}
    n = req["n"]
    render = template.render
    begin = time.perf_counter_ns()
    for _ in range(n):
        render(context)
    took = time.perf_counter_ns() - begin
    return {"out": render(context), "ns": took}


def answer(req):
    try:
        if req.get("n"):
            return compile(req) if req.get("compile") else bench(req)
        signal.setitimer(signal.ITIMER_REAL, 2)
        try:
            return run(req)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except Timeout:
        return {"skip": "timeout"}
    except (MemoryError, RecursionError) as e:
        return {"skip": type(e).__name__}
    except Exception as e:
        return {"error": f"{type(e).__name__}: {e}"}


def main():
    signal.signal(signal.SIGALRM, alarm)
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    for line in sys.stdin:
        out = json.dumps(answer(json.loads(line)))
        sys.stdout.write(out + "\n")
        sys.stdout.flush()


main()
