# Answers one JSON object per line with what Python's re makes of it.
import json, re, sys, warnings, signal

warnings.simplefilter("ignore")


class TooLong(Exception):
    pass


def alarm(*_):
    raise TooLong()


signal.signal(signal.SIGALRM, alarm)


def spans(m):
    return None if m is None else [list(m.span(i)) for i in range(m.re.groups + 1)]


def answer(q):
    enc = (lambda s: s.encode("latin-1")) if q.get("bytes") else (lambda s: s)
    dec = (lambda s: s.decode("latin-1")) if q.get("bytes") else (lambda s: s)
    text, repl = enc(q["text"]), enc(q["repl"])
    try:
        signal.setitimer(signal.ITIMER_REAL, 1)
        r = re.compile(enc(q["pattern"]), q["flags"])
        out = {
            "groups": r.groups,
            "index": dict(r.groupindex),
            "search": spans(r.search(text)),
            "match": spans(r.match(text)),
            "full": spans(r.fullmatch(text)),
            "all": [spans(m) for m in r.finditer(text)],
            "split": [None if f is None else dec(f) for f in r.split(text)],
        }
        try:
            out["sub"] = dec(r.sub(repl, text))
        except (re.error, IndexError, ValueError, OverflowError) as e:
            out["suberr"] = str(e)
        return out
    except (re.error, ValueError, OverflowError) as e:
        return {"error": str(e)}
    except TooLong:
        return {"skip": True}
    except RecursionError:
        return {"skip": True}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
