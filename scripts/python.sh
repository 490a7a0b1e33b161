#!/usr/bin/env bash
# Prints the path of a Python 3.11 or newer that runs and can make virtual environments.
set -u

usable='import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))'
for candidate in ${PYTHON:-} python3.11 python3.12 python3.13 python3 /usr/bin/python3; do
    if "$candidate" -c "$usable" >/dev/null 2>&1; then
        "$candidate" -c 'import sys; print(sys.executable)'
        exit 0
    fi
done

echo "No Python 3.11 or newer with venv found. Install one (on Debian: apt-get install python3 python3-venv)" >&2
echo "or name it: make PYTHON=/path/to/python3.11 ..." >&2
exit 1
