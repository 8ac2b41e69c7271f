#!/usr/bin/python3
"""Records what ansible-core makes of the templates and conditions of cases.yml.

usage: ANSIBLE_LIB=/path/to/ansible/lib /usr/bin/python3 record.py > recorded.jsonl

Needs ansible-core's source (2.18, or the commit c9ac477e53) and what it imports: Jinja2,
PyYAML. Every line is one case: its group, source and mode, and the type and repr of the
result, or the kind of error and its message.
"""
import json
import os
import sys

sys.path.insert(0, os.environ["ANSIBLE_LIB"])
os.environ["RECORD_ENV"] = "from the environment"
os.environ.pop("RECORD_NOT_SET", None)
os.environ["ANSIBLE_DEVEL_WARNING"] = "0"
os.environ["ANSIBLE_LOCALHOST_WARNING"] = "0"

from ansible import constants as C  # noqa: E402
from ansible.errors import AnsibleError, AnsibleUndefinedVariable  # noqa: E402
from ansible.parsing.dataloader import DataLoader  # noqa: E402
from ansible.playbook.conditional import Conditional  # noqa: E402
from ansible.template import Templar  # noqa: E402
from ansible.plugins.loader import init_plugin_loader  # noqa: E402
from ansible.utils.display import Display  # noqa: E402
from ansible.utils.unsafe_proxy import wrap_var  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
OMIT = "__omit_place_holder__0123456789"


def describe(value):
    if value == OMIT:
        return {"type": "omit"}
    return {"type": plain_type(value), "repr": repr(plain(value))}


def plain_type(value):
    for kind in (bool, int, float, str, list, tuple, dict, bytes):
        if isinstance(value, kind):
            return kind.__name__
    return type(value).__name__


def plain(value):
    if isinstance(value, str):
        return str(value)
    if isinstance(value, dict):
        return {plain(k): plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, tuple):
        return tuple(plain(v) for v in value)
    return value


def failure(error):
    kind = "error"
    if isinstance(error, AnsibleUndefinedVariable):
        kind = "undefined"
    elif "template error while templating string" in str(error):
        kind = "syntax"
    return {"error": kind, "msg": str(error).replace(HERE, "HERE")}


def main():
    Display.warning = lambda *args, **kwargs: None
    init_plugin_loader([])
    loader = DataLoader()
    loader.set_basedir(HERE)
    for group in loader.load_from_file(os.path.join(HERE, "cases.yml")):
        for mode in ("classic", "native"):
            C.DEFAULT_JINJA2_NATIVE = mode == "native"
            for source in group.get("templates", []):
                emit(group, mode, source, lambda t: t.template(source), loader)
            if mode == "native":
                continue
            for source in group.get("conditions", []):
                def check(templar):
                    cond = Conditional(loader=loader)
                    cond.when = [source]
                    return cond.evaluate_conditional(templar, templar.available_variables)
                emit(group, "condition", source, check, loader)


def emit(group, mode, source, run, loader):
    variables = dict(group.get("vars") or {})
    variables.update(wrap_var(dict(group.get("data") or {})))
    variables.update(omit=OMIT, ansible_search_path=[HERE], inventory_hostname="host1", groups={"all": ["host1"]})
    variables["vars"] = dict(variables)
    out = {"group": group["name"], "mode": mode, "source": source}
    try:
        out.update(describe(run(Templar(loader=loader, variables=variables))))
    except AnsibleError as e:
        out.update(failure(e))
    except Exception as e:  # noqa: B902: whatever it is, it is what the user gets
        out.update({"error": type(e).__name__, "msg": str(e)})
    print(json.dumps(out))


main()
