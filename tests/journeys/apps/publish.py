"""A process that publishes tasks: runs each line of its input (JSON text of Python code), answers with `result`.

It is its own process as a user's web application is one: Orakul is installed in it by the application's module.
"""

import importlib
import json
import sys
import traceback

import orakul

module = importlib.import_module(sys.argv[1])
names = {"app": module.app, "orakul": orakul, "celery": importlib.import_module("celery"), **vars(module)}
print(json.dumps("ready"), flush=True)
for line in sys.stdin:
    names["result"] = None
    try:
        exec(json.loads(line), names)
        answer = {"result": names["result"]}
    except Exception:
        answer = {"error": traceback.format_exc()}
    print(json.dumps(answer, default=str), flush=True)
