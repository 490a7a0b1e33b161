#!/usr/bin/env bash
# Resolves everything anew and writes constraints.txt: the newest versions that go together, one name==version a line.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C UV_SYSTEM_CERTS=1

.venv/bin/uv pip compile --quiet --python-version 3.11 --upgrade --no-header --no-annotate --no-emit-index-url \
    --all-extras --group dev pyproject.toml | sort >constraints.new
mv constraints.new constraints.txt
