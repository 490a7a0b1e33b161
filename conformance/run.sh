#!/usr/bin/env bash
# Lets the official client work against the sandbox, and compares what it sends with what we send.
# PYTHON: the project's interpreter; UV: uv, if there is one; ARCGIS_PYTHON: one that has `arcgis` already.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=${PYTHON:-.venv/bin/python}
uv=$(command -v "${UV:-uv}" || command -v "$(dirname "$python")/uv" || true)
venv=.conformance-venv
requirement=arcgis==2.4.4

install() {
    echo "Installing $requirement into $venv, which takes a minute." >&2
    if [[ -n $uv ]]; then
        "$uv" venv --quiet --python "$python" "$venv"
        "$uv" pip install --quiet --python "$venv/bin/python" "$requirement"
    else
        "$python" -m venv "$venv"
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$requirement"
    fi
    echo '*' >"$venv/.gitignore"
    echo "$requirement" >"$venv/requirement"
}

client=${ARCGIS_PYTHON:-$venv/bin/python}
if [[ -z ${ARCGIS_PYTHON:-} && $(cat "$venv/requirement" 2>/dev/null) != "$requirement" ]]; then
    rm -rf "$venv"
    install
fi

work=$(mktemp -d)
"$python" -m airflow_provider_arcgis_tasks.sandbox --port 0 --tls --speed 60 --json "$work/facts.json" >"$work/log" &
sandbox=$!
trap 'kill "$sandbox" 2>/dev/null || true; wait "$sandbox" || true; rm -rf "$work"' EXIT

for _ in $(seq 200); do
    [[ -e $work/facts.json ]] && break
    kill -0 "$sandbox" || { cat "$work/log"; exit 1; }
    sleep 0.1
done
"$client" -W ignore conformance/official_client.py "$work/facts.json"
"$python" -m conformance.differential "$client"
