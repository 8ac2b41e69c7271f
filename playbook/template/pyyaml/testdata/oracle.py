# Answers one JSON object per line with what PyYAML on libyaml writes.
import json, sys, yaml

for line in sys.stdin:
    q = json.loads(line)
    try:
        out = {"text": yaml.dump(q["data"], Dumper=yaml.CSafeDumper, allow_unicode=True, **q["opts"])}
    except Exception as e:
        out = {"error": str(e)}
    print(json.dumps(out), flush=True)
