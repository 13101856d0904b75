"""What the Python clients share: records as JSON lines, and checks with a name each.

    CLIENT.py BROKERS produce TOPIC CODEC   records on standard input
    CLIENT.py BROKERS consume TOPIC GROUP   records on standard output, until standard input ends
    CLIENT.py BROKERS check PREFIX          {"check": NAME, "error": null or what went wrong}
"""

import base64
import json
import sys
import threading
import traceback


def decode(b):
    return None if b is None else base64.b64decode(b)


def encode(b):
    return None if b is None else base64.b64encode(b).decode()


def records():
    for line in sys.stdin:
        r = json.loads(line)
        yield decode(r["key"]), decode(r["value"]), [(k, decode(v)) for k, v in r["headers"] or []]


def show(topic, partition, offset, key, value, headers):
    print(json.dumps({
        "topic": topic, "partition": partition, "offset": offset, "key": encode(key), "value": encode(value),
        "headers": [[k, encode(v)] for k, v in headers or []],
    }), flush=True)


def stdin_ended():
    """An event that is set when standard input ends."""
    ended = threading.Event()

    def wait():
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    return ended


def run(checks, prefix):
    """Calls each check with names of its own, and says what has come of it."""
    for check in checks:
        error = None
        try:
            check(f"{prefix}-{check.__name__.replace('_', '-')}")
        except Exception:  # noqa: BLE001 - whatever it is, the test shows it
            error = traceback.format_exc()
        print(json.dumps({"check": check.__name__, "error": error}), flush=True)


def same(got, want, what):
    if got != want:
        raise AssertionError(f"{what}: got {got!r}, want {want!r}")


def main(produce, consume, checks):
    mode, args = sys.argv[2], sys.argv[3:]
    if mode == "check":
        run(checks, *args)
    else:
        {"produce": produce, "consume": consume}[mode](*args)
