#!/usr/bin/env bash
# Print the constraints that hold in a Python's environment: names and versions, no places.
set -euo pipefail
echo "# What 'make install' installs, to the version. Made by 'make lock'."
"$1" -m pip freeze --all --exclude-editable | grep -E '^[A-Za-z0-9_.-]+==' | grep -viE '^(orakul|setuptools|wheel|uv)==' | sort -f
