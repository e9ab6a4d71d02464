"""The plans that a control room knows: the YAML files in the folders of the setting `exports.plans`."""

from collections.abc import Sequence
from pathlib import Path

from orakul.errors import PlanError
from orakul.exports.plan import Plan, load_plan

__all__ = ["PlanLibrary"]

_ENDINGS = (".yaml", ".yml")


class PlanLibrary:
    """Finds plans by name: the path of the file in its folder, such as `sales.yaml` or `finance/month.yaml`."""

    def __init__(self, folders: Sequence[Path | str]) -> None:
        self.folders = [Path(folder).expanduser().absolute() for folder in folders]

    def names(self) -> list[str]:
        """Return the names, sorted; hidden files and folders are passed over."""
        found = set()
        for folder in self.folders:
            for path in folder.rglob("*.y*ml"):
                name = path.relative_to(folder)
                if path.suffix in _ENDINGS and path.is_file() and not any(part[0] in "._" for part in name.parts):
                    found.add(name.as_posix())
        return sorted(found)

    def path(self, name: str) -> Path:
        """Return the file of a plan. Raises PlanError for a name that is none of `names()`."""
        if name in self.names():
            return next(folder / name for folder in self.folders if (folder / name).is_file())
        where = ", ".join(map(str, self.folders)) or "no folder: set exports.plans"
        raise PlanError(f"there is no plan {name!r} here (plans are looked for in {where})")

    def load(self, plan: str) -> Plan:
        """Read a plan by its name, or by the absolute path of its file. Raises PlanError."""
        return load_plan(Path(plan) if Path(plan).is_absolute() else self.path(plan))

    def output_folders(self) -> list[Path]:
        """Return where the plans that can be read put their files: files elsewhere are not handed out."""
        found = []
        for name in self.names():
            try:
                found.append(self.load(name).output.directory.resolve())
            except PlanError:
                continue
        return found
