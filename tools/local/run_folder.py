"""One folder per cluster holds everything it is made of, so that one call removes it all, whoever makes it.

The owner removes its folder when it stops; a guardian process does when the owner dies without a word; and every
start looks for folders whose owner and guardian are both gone, for the day when everything was killed at once.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local import ports, processes
from local.processes import Identity
from local.programs import CONTROL_PLANE

GRACE = 8.0  # seconds that helpers (operator, Karpenter, exporter) get to end by themselves
STATE, RECORDS = "state.json", "processes"
COMPONENTS = frozenset({*CONTROL_PLANE, "kwok-controller", "prometheus"})


def base_folder() -> Path:
    """Folder of all run folders of this user: GPUCOST_RUN_DIR, the user's runtime folder, or the temporary one."""
    chosen = os.environ.get("GPUCOST_RUN_DIR")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if chosen:
        base = Path(chosen).resolve()
    elif runtime and os.access(runtime, os.W_OK):
        base = Path(runtime) / "gpucost"
    else:
        base = Path(tempfile.gettempdir()) / f"gpucost-{os.getuid()}"
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    if base.stat().st_uid != os.getuid() or (not chosen and stat.S_IMODE(base.stat().st_mode) & 0o077):
        raise PermissionError(f"{base} belongs to somebody else or is open to others: set GPUCOST_RUN_DIR")
    return base


@dataclass(frozen=True)
class RunFolder:
    """The files and processes of one cluster."""

    path: Path

    @classmethod
    def create(cls, name: str, owner: Identity | None, base: Path | None = None) -> RunFolder:
        """Make a fresh folder; with `owner` None it stays until it is removed by hand."""
        folder = cls((base or base_folder()) / f"{name}-{secrets.token_hex(4)}")
        folder.path.mkdir(mode=0o700, parents=True)
        (folder.path / RECORDS).mkdir()
        (folder.path / "logs").mkdir()
        folder.write_state({"name": name, "owner": owner.as_json() if owner else None})
        return folder

    def write_state(self, state: dict[str, Any]) -> None:
        """Replace the state file as a whole, so that nobody reads half of it."""
        scratch = self.path / f".{STATE}"
        scratch.write_text(json.dumps(state))
        scratch.replace(self.path / STATE)

    def read_state(self) -> dict[str, Any]:
        """What was written last; empty while the folder is being made or removed."""
        try:
            state = json.loads((self.path / STATE).read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return state if isinstance(state, dict) else {}

    def port(self) -> int:
        """Reserve a loopback port that is given back with the folder."""
        return ports.reserve(self._registry(), self.path)

    def _registry(self) -> Path:
        return base_folder() / "ports"  # one for all run folders of a user, wherever they lie

    def record(self, name: str, process: Identity) -> None:
        """Write a helper process down, so that it is found without its parent."""
        (self.path / RECORDS / f"{name}.json").write_text(json.dumps(process.as_json()))

    def recorded(self) -> dict[str, Identity]:
        """Helper processes by name, living or not."""
        found = {}
        for entry in sorted((self.path / RECORDS).glob("*.json")):
            try:
                found[entry.stem] = Identity(**json.loads(entry.read_text()))
            except (OSError, ValueError, TypeError):
                continue
        return found

    def components(self) -> list[Identity]:
        """Running parts of the control plane: known programs with this folder in their arguments."""
        return processes.find(COMPONENTS, f"{self.path}/")

    def owner(self) -> Identity | None:
        """The process whose end removes the folder; None for one that stays until it is removed by hand."""
        owner = self.read_state().get("owner")
        return Identity(**owner) if isinstance(owner, dict) else None

    def orphaned(self) -> bool:
        """Whether the owner is gone; a folder without an owner is nobody's orphan."""
        owner = self.owner()
        return owner is not None and not owner.alive()

    def remove(self, *, spare: str = "") -> None:
        """Stop every process and remove every file; safe to call twice and from several processes."""
        helpers = {name: p for name, p in self.recorded().items() if name != spare}
        guardian = helpers.pop("guardian", None)
        starting = helpers.pop("kwokctl", None)
        if starting:
            processes.terminate([starting], 0.0)
        processes.terminate(list(helpers.values()), GRACE)
        processes.terminate(self.components(), 0.0)
        shutil.rmtree(self.path, ignore_errors=True)
        ports.release(self._registry(), self.path)
        if guardian:
            processes.terminate([guardian], 0.0)


def reap(base: Path | None = None) -> list[Path]:
    """Remove the folders of dead owners; the result names them."""
    removed = []
    for entry in (base or base_folder()).glob("*-????????"):
        folder = RunFolder(entry)
        if folder.orphaned():
            folder.remove()
            removed.append(entry)
    return removed
