#!/usr/bin/env bash
# GGUF files that llama.cpp's gguf package wrote from our goldens' weights give the same logits, bit for bit, as the
# goldens themselves: the file's order of q and k rows, its ternary blocks and its metadata are understood alike.
set -uo pipefail
package=$1/.deps/python-formats
[ -x "$2/bin/bitnet-run" ] || { echo "$2/bin/bitnet-run is not built" >&2; exit 1; }
export PYTHONPATH=$package${PYTHONPATH:+:$PYTHONPATH} PYTHONDONTWRITEBYTECODE=1
python3 -c 'import gguf' 2>/dev/null || { echo "no gguf package in $package (tools/install-deps --test)" >&2; exit 1; }
exec python3 "$1/tests/install/gguf_package.py" "$1/tests/data/goldens" "$2/bin/bitnet-run"
