#!/usr/bin/env bash
# Make a virtual environment with the first Python here that is 3.11 or newer.
set -euo pipefail

fits='import sys; sys.exit(sys.version_info < (3, 11))'
for python in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
    if command -v "$python" >/dev/null && "$python" -c "$fits" 2>/dev/null; then
        if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
            # Debian and Ubuntu keep this part of Python in a package of its own.
            package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
            if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
                apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$package" >/dev/null
            else
                echo "make: $python has no venv; install it: sudo apt-get install $package" >&2
                exit 1
            fi
        fi
        exec "$python" -m venv "$1"
    fi
done
echo "make: Orakul needs Python 3.11 or newer, and there is none on the PATH (PYTHON=/path/to/python make …)" >&2
exit 1
