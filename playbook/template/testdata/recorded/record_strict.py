#!/usr/bin/python3
"""Records what ansible-core 2.19 makes of the templates and conditions of cases.yml and
strict.yml: what orch does under --strict.

usage: ANSIBLE_LIB=/path/to/ansible-core-2.19/lib /usr/bin/python3 record_strict.py > strict.jsonl

Every line is one case: its group, source and mode, and the type and repr of the result,
or the kind of error and its message.
"""
import json
import os
import sys

sys.path.insert(0, os.environ["ANSIBLE_LIB"])
os.environ["RECORD_ENV"] = "from the environment"
os.environ.pop("RECORD_NOT_SET", None)
os.environ["ANSIBLE_DEPRECATION_WARNINGS"] = "0"

from ansible.errors import AnsibleError, AnsibleTemplateSyntaxError, AnsibleUndefinedVariable  # noqa: E402
from ansible.parsing.dataloader import DataLoader  # noqa: E402
from ansible.plugins.loader import init_plugin_loader  # noqa: E402
from ansible.template import Templar  # noqa: E402
from ansible.utils.display import Display  # noqa: E402
from ansible._internal._templating._engine import TemplateOptions, TemplateMode  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
OMIT = "__omitted__"
KINDS = (bool, int, float, str, list, tuple, dict, bytes)


def describe(value):
    if value is OMIT:
        return {"type": "omit"}
    kind = type(value).__name__.removeprefix("_AnsibleTagged")
    kind = next((k.__name__ for k in KINDS if isinstance(value, k)), kind if kind == "NoneType" else kind.lower())
    return {"type": kind, "repr": repr(plain(value))}


def plain(value):
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, str):
        return str.__str__(value)[:]
    if isinstance(value, dict):
        return {plain(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    for kind in (int, float):
        if isinstance(value, kind):
            return kind(value)
    return value


def failure(error):
    kind = "error"
    if isinstance(error, AnsibleUndefinedVariable):
        kind = "undefined"
    elif isinstance(error, AnsibleTemplateSyntaxError):
        kind = "syntax"
    return {"error": kind, "msg": str(error).replace(HERE, "HERE")[:200]}


def untrusted(path):
    """The data of each group: what came from a host."""
    return {g["name"]: g.get("data") or {} for g in DataLoader().load_from_file(path)}


def emit(group, data, mode, source, run, loader):
    variables = dict(group.get("vars") or {})
    variables.update(data)
    variables.update(ansible_search_path=[HERE], inventory_hostname="host1", groups={"all": ["host1"]})
    variables["vars"] = dict(variables)
    out = {"group": str(group["name"]), "mode": mode, "source": plain(source)}
    try:
        out.update(describe(run(Templar(loader=loader, variables=variables))))
    except AnsibleError as e:
        out.update(failure(e))
    except Exception as e:  # noqa: B902: whatever it is, it is what the user gets
        out.update({"error": type(e).__name__, "msg": str(e)[:200]})
    print(json.dumps(out))


def main():
    Display.warning = Display.deprecated = lambda *args, **kwargs: None
    init_plugin_loader([])
    loader = DataLoader()
    loader.set_basedir(HERE)
    options = TemplateOptions(value_for_omit=OMIT)
    for name in ("cases.yml", "strict.yml"):
        path = os.path.join(HERE, name)
        data = untrusted(path)
        for group in loader.load_from_file(path, trusted_as_template=True):
            mine = data[group["name"]]
            for source in group.get("templates", []):
                def template(templar):
                    return templar._engine.template(source, options=options, mode=TemplateMode.ALWAYS_FINALIZE)
                emit(group, mine, "strict", source, template, loader)
            for source in group.get("conditions", []):
                emit(group, mine, "condition", source, lambda t: t.evaluate_conditional(source), loader)


main()
