#!/usr/bin/env bash
# What bitnet-convert writes is read by the Python packages gguf and safetensors, and what they write is read by it: the
# same weights, both ways (python_formats.py).
set -euo pipefail
packages=$1/.deps/python-formats
[ -d "$packages" ] || { echo "$packages is not there: run tools/install-deps --test" >&2; exit 1; }
[ -x "$2/bin/bitnet-convert" ] || { echo "$2/bin/bitnet-convert is not built" >&2; exit 1; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
PYTHONPATH=$packages PYTHONDONTWRITEBYTECODE=1 python3 "$1/tests/install/python_formats.py" "$2/bin/bitnet-convert" \
  "$1/tests/data" "$scratch"
