#!/usr/bin/env bash
# Makes .venv: the project, editable, with all it needs for development at the versions of constraints.txt.
set -euo pipefail
cd "$(dirname "$0")/.."
unset PYTHONDONTWRITEBYTECODE
export UV_SYSTEM_CERTS=1

make_environment() {
    local python
    python=$(scripts/python.sh)
    echo "Setting up .venv with $("$python" --version). The first time this takes a minute or two." >&2
    rm -rf .venv
    "$python" -m venv .venv
}

with_uv() {
    .venv/bin/python -m pip install -qq --disable-pip-version-check uv &&
        .venv/bin/uv pip install --quiet --python .venv/bin/python --compile-bytecode \
            --constraints constraints.txt --editable '.[sandbox]' --group dev
}

with_pip() {
    echo "uv did not do it: trying pip, which is slower." >&2
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --upgrade pip &&
        .venv/bin/python -m pip install --quiet --disable-pip-version-check \
            --constraint constraints.txt --editable '.[sandbox]' --group dev
}

.venv/bin/python -c '' 2>/dev/null || make_environment
with_uv || with_pip
.venv/bin/python -m compileall -q -j 0 airflow_provider_arcgis_tasks
echo "Ready after $SECONDS s." >&2
touch .venv/.ready
