"""Carries out a second statement after a first one; prints its seconds and the modules it added.

    python import_time.py 'import airflow.sdk' 'import airflow_provider_arcgis_tasks.operators'

Needs nothing but Python, so that any interpreter can run it.
"""

import json
import sys
import time

before, statement = (compile(text, "<measured>", "exec") for text in sys.argv[1:])
exec(before)
modules = len(sys.modules)
began, worked = time.perf_counter(), time.process_time()
exec(statement)
figures = {
    "wall": time.perf_counter() - began,
    "cpu": time.process_time() - worked,
    "modules": len(sys.modules) - modules,
}
print(json.dumps(figures))
