"""Provide the Go programs of the tests and the demo, building only what is not there yet.

Every module below tools/ pins one program by go.mod and go.sum. A built program lives in the user's cache
folder under a key made from those files, so that a second clone builds nothing. This file uses the standard
library only: it runs before the virtual environment exists.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")
MINIMUM_GO = (1, 26)


@dataclass(frozen=True)
class Program:
    """One executable: its Go package and, where it may come from PATH, the range of fitting versions."""

    name: str
    package: str
    version: tuple[str, ...] = ()
    fits: tuple[str, str] | None = None


@dataclass(frozen=True)
class Source:
    """The module that a program comes from, where more than its program is wanted.

    `patches` are (file, text, replacement), applied to a copy when it is compiled; `data` are folders whose files are
    kept beside the program.
    """

    module: str = ""
    patches: tuple[tuple[str, str, str], ...] = ()
    data: tuple[str, ...] = ()


@dataclass(frozen=True)
class Module:
    """One pinned Go module below tools/ and the programs it provides."""

    name: str
    version: str
    programs: tuple[Program, ...]
    ldflags: str = ""
    folder: Path = field(default=HERE)
    source: Source = field(default=Source())

    def key(self) -> str:
        """Content key of everything that changes the result of a build."""
        digest = hashlib.sha256()
        for name in ("go.mod", "go.sum"):
            digest.update((self.folder / name).read_bytes())
        digest.update(repr((self.version, self.ldflags, self.programs)).encode())
        if self.source.module:
            digest.update(repr(self.source).encode())
        return digest.hexdigest()[:16]


class Failure(Exception):
    """A problem that is told to the user in one line."""


def load_modules() -> list[Module]:
    """Read tools.toml."""
    table = tomllib.loads((HERE / "tools.toml").read_text())
    return [_module(name, entry) for name, entry in table.items()]


def _module(name: str, entry: dict[str, object]) -> Module:
    raw = entry["programs"]
    assert isinstance(raw, list)
    programs = tuple(
        Program(
            p["name"],
            p["package"],
            tuple(p.get("version", ())),
            (p["fits"][0], p["fits"][1]) if "fits" in p else None,
        )
        for p in raw
    )
    version = str(entry["version"])
    ldflags = str(entry.get("ldflags", "")).format(version=version.removeprefix("v"))
    if name == "kubernetes":  # Kubernetes reports its version with the leading v
        ldflags = str(entry["ldflags"]).format(version=version)
    return Module(name, version, programs, ldflags, HERE / name, _source(entry.get("source", {})))


def _source(entry: object) -> Source:
    assert isinstance(entry, dict)
    patches = tuple((p["file"], p["text"], p["replacement"]) for p in entry.get("patches", ()))
    return Source(str(entry.get("module", "")), patches, tuple(entry.get("data", ())))


def cache_root() -> Path:
    """Folder of the built programs: GPUCOST_TOOLS_CACHE, else the user's cache folder."""
    base = os.environ.get("GPUCOST_TOOLS_CACHE")
    if base:
        return Path(base)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gpucost" / "tools"


def parse_version(text: str) -> tuple[int, int, int] | None:
    """First version number in a text such as "Kubernetes v1.37.2"."""
    found = VERSION.search(text)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None


def _bound(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def fits(program: Program, path: Path) -> bool:
    """Whether the executable at a path reports a version inside the program's range."""
    if program.fits is None:
        return False
    try:
        done = subprocess.run([path, *program.version], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    found = parse_version(done.stdout or done.stderr)
    return found is not None and _bound(program.fits[0]) <= found < _bound(program.fits[1])


def installed(program: Program, exclude: Path) -> Path | None:
    """A fitting executable from KUBEBUILDER_ASSETS or PATH, if there is one."""
    folders = [os.environ.get("KUBEBUILDER_ASSETS", ""), *os.environ.get("PATH", "").split(os.pathsep)]
    for folder in filter(None, folders):
        candidate = Path(folder) / program.name
        if Path(folder).resolve() == exclude.resolve() or not os.access(candidate, os.X_OK):
            continue
        if fits(program, candidate):
            return candidate
    return None


def check_go() -> str:
    """Path of a Go tool chain that is new enough, or one clear line."""
    go = shutil.which("go")
    if go is None:
        raise Failure("Go is missing: install Go >= 1.26 (https://go.dev/dl) or put the programs on PATH")
    text = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False, cwd="/").stdout
    found = parse_version(text)
    if found is None or found[:2] < MINIMUM_GO:
        raise Failure(f"Go >= 1.26 is needed, found {text.strip() or 'an unknown version'} at {go}")
    return go


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock, so that two clones do not build the same thing twice."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"    waiting for another build of {path.stem}", flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def build(module: Module, target: Path, label: str) -> None:
    """Compile all programs of a module into a folder; the folder appears whole or not at all."""
    go = check_go()
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{module.name}-", dir=target.parent))
    try:
        flags = _prepare(go, module, scratch) if module.source.module else []
        for program in module.programs:
            _compile(go, module, program, scratch / program.name, label=f"{label} {program.name}", flags=flags)
        for leftover in ("source", "go.mod", "go.sum"):
            _discard(scratch / leftover)
        scratch.chmod(0o755)
        if target.exists():
            shutil.rmtree(target)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _discard(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def _prepare(go: str, module: Module, scratch: Path) -> list[str]:
    """Copy a module's data, patch copies of its sources, and return the compiler's flags that use them."""
    where = _module_folder(go, module)
    for folder in module.source.data:
        for file in sorted(path for path in (where / folder).glob("*") if path.is_file()):
            target = scratch / "data" / file.name
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(file.read_bytes())
    return _patch(module, where, scratch) if module.source.patches else []


def _patch(module: Module, where: Path, scratch: Path) -> list[str]:
    """Patch a copy of a module and return the flags that compile the copy; Go's own cache may not be overlaid."""
    copy = scratch / "source"
    shutil.copytree(where, copy, copy_function=shutil.copyfile)
    for folder in [copy, *(path for path in copy.rglob("*") if path.is_dir())]:
        folder.chmod(0o755)
    for file, text, replacement in module.source.patches:
        original = (copy / file).read_text()
        if text not in original:
            raise Failure(f"{module.source.module}/{file} no longer has {text!r}: see patches in tools.toml")
        (copy / file).write_text(original.replace(text, replacement))
    replaced = (module.folder / "go.mod").read_text() + f"\nreplace {module.source.module} => {copy}\n"
    (scratch / "go.mod").write_text(replaced)
    shutil.copyfile(module.folder / "go.sum", scratch / "go.sum")
    return ["-modfile", str(scratch / "go.mod")]


def _module_folder(go: str, module: Module) -> Path:
    """Folder of the module's sources in Go's module cache, downloaded when it is not there."""
    command = [go, "mod", "download", "-json", module.source.module]
    environment = {**os.environ, "GOWORK": "off"}
    done = subprocess.run(command, cwd=module.folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(f"downloading {module.source.module} failed: {(done.stderr or done.stdout).strip()}")
    return Path(json.loads(done.stdout)["Dir"])


def _compile(go: str, module: Module, program: Program, output: Path, *, label: str, flags: list[str]) -> None:
    command = [go, "build", "-mod=readonly", "-trimpath", "-v", *flags]
    command += ["-ldflags", f"-s -w {module.ldflags}".strip(), "-o", str(output), program.package]
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOWORK": "off"}
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, cwd=module.folder, env=environment, stdout=log, stderr=log)
        try:
            _watch(process, log.fileno(), label, started)
        except BaseException:
            process.send_signal(signal.SIGINT)
            process.wait()
            raise
        if process.returncode:
            log.seek(0)
            tail = "".join(log.readlines()[-15:])
            raise Failure(f"building {program.name} {module.version} failed:\n{tail}")
    _say(f"{label}: built in {time.monotonic() - started:.0f} s", final=True)


def _watch(process: subprocess.Popen[bytes], log: int, label: str, started: float) -> None:
    """Report the number of compiled packages while a build runs."""
    interval = 1.0 if sys.stdout.isatty() else 20.0
    while True:
        try:
            process.wait(interval)
            return
        except subprocess.TimeoutExpired:
            done = os.pread(log, 1 << 22, 0).count(b"\n")
            _say(f"{label}: {done} packages compiled, {time.monotonic() - started:.0f} s")


def _say(text: str, *, final: bool = False) -> None:
    if sys.stdout.isatty():
        print(f"\r\033[K{text}", end="\n" if final else "", flush=True)
    else:
        print(text, flush=True)


def provide(module: Module, bin_dir: Path, label: str) -> dict[str, Path]:
    """Find or build the programs of one module; the result maps a program to its executable."""
    found = {p.name: path for p in module.programs if (path := installed(p, bin_dir))}
    if len(found) == len(module.programs):
        _say(f"{label}: found {', '.join(str(path) for path in found.values())}", final=True)
        return found
    target = cache_root() / f"{module.name}-{module.key()}"
    if not target.is_dir():
        with locked(cache_root() / f"{module.name}.lock"):
            if not target.is_dir():
                build(module, target, label)
    # The parts of one control plane are taken together, so that their versions agree.
    return {p.name: target / p.name for p in module.programs}


def link(programs: dict[str, Path], bin_dir: Path) -> None:
    """Make every program reachable in one folder."""
    bin_dir.mkdir(parents=True, exist_ok=True)
    for name, path in programs.items():
        place = bin_dir / name
        if place.is_symlink() and place.readlink() == path:
            continue
        place.unlink(missing_ok=True)
        place.symlink_to(path)


def main() -> int:
    """Entry point; exit status 0, or 2 with one clear line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin-dir", type=Path, default=HERE.parent / ".tools" / "bin", help="folder for the links")
    parser.add_argument("--clean", action="store_true", help="remove what was built for this user, and build nothing")
    parser.add_argument("modules", nargs="*", help="modules to provide (default: all)")
    arguments = parser.parse_args()
    if arguments.clean:
        shutil.rmtree(cache_root(), ignore_errors=True)
        print(f"removed {cache_root()}")
        return 0
    modules = load_modules()
    names = {module.name for module in modules}
    if unknown := set(arguments.modules) - names:
        raise Failure(f"unknown module {', '.join(sorted(unknown))}; known are {', '.join(sorted(names))}")
    wanted = [m for m in modules if not arguments.modules or m.name in arguments.modules]
    for number, module in enumerate(wanted, 1):
        label = f"[{number}/{len(wanted)}] {module.name} {module.version}"
        link(provide(module, arguments.bin_dir, label), arguments.bin_dir)
    print(f"{sum(len(module.programs) for module in wanted)} programs in {arguments.bin_dir}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        print(f"tools: {failure}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("\ntools: interrupted; what was built so far is kept", file=sys.stderr)
        sys.exit(130)
