"""The build of the Go programs takes fitting ones that are there, builds the rest once, and names what is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import build
from build import Failure, Module, Program, Source
from local.programs import REPOSITORY


def executable(folder: Path, name: str, output: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{output}'\n")
    path.chmod(0o755)
    return path


def etcd(version: str = "v1") -> Module:
    return Module("etcd", version, (Program("etcd", "example.com/etcd", ("--version",), ("3.6", "4")),))


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("Kubernetes v1.37.2", (1, 37, 2)),
        ("etcd Version: 3.7.3\nGit SHA: x", (3, 7, 3)),
        ("go1.26", (1, 26, 0)),
        ("unknown", None),
    ],
)
def test_a_version_is_found_in_what_programs_print(text: str, version: tuple[int, ...] | None) -> None:
    assert build.parse_version(text) == version


@pytest.mark.parametrize(("output", "taken"), [("etcd 3.6.0", True), ("etcd 3.5.9", False), ("etcd 4.0.0", False)])
def test_a_program_on_path_is_used_only_in_a_fitting_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, *, taken: bool
) -> None:
    path = executable(tmp_path / "path", "etcd", output)
    monkeypatch.setenv("PATH", f"{path.parent}:/bin:/usr/bin")
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)

    assert build.installed(etcd().programs[0], tmp_path / "bin") == (path if taken else None)


def test_kubebuilder_assets_come_before_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assets = executable(tmp_path / "assets", "etcd", "etcd 3.7.3")
    other = executable(tmp_path / "path", "etcd", "etcd 3.7.3")
    monkeypatch.setenv("PATH", f"{other.parent}:/bin:/usr/bin")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets.parent))

    assert build.installed(etcd().programs[0], tmp_path / "bin") == assets


def test_our_own_links_are_not_taken_for_installed_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(tmp_path / "bin", "etcd", "etcd 3.7.3")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin:/usr/bin")
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)

    assert build.installed(etcd().programs[0], tmp_path / "bin") is None


def test_what_is_in_the_cache_is_not_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUCOST_TOOLS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))  # neither etcd nor go
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    module = next(m for m in build.load_modules() if m.name == "etcd")
    cached = tmp_path / "cache" / f"etcd-{module.key()}"
    cached.mkdir(parents=True)

    assert build.provide(module, tmp_path / "bin", "etcd") == {"etcd": cached / "etcd"}


def test_the_key_changes_with_everything_that_changes_the_program() -> None:
    module = next(m for m in build.load_modules() if m.name == "karpenter")
    variants = [
        module,
        Module(module.name, "v0", module.programs, module.ldflags, module.folder, module.source),
        Module(module.name, module.version, module.programs, "-X a=b", module.folder, module.source),
        Module(module.name, module.version, (), module.ldflags, module.folder, module.source),
        Module(module.name, module.version, module.programs, module.ldflags, module.folder, Source("m", (), ("d",))),
    ]

    assert len({variant.key() for variant in variants}) == len(variants)


def test_a_patch_that_no_longer_applies_is_named(tmp_path: Path) -> None:
    (tmp_path / "module").mkdir()
    (tmp_path / "module" / "main.go").write_text("package main\n")
    (tmp_path / "scratch").mkdir()
    source = Source("example.com/m", (("main.go", "Listen(", "ListenLocal("),))

    with pytest.raises(Failure, match=r"example.com/m/main.go no longer has 'Listen\('"):
        build._patch(Module("m", "v1", (), "", tmp_path, source), tmp_path / "module", tmp_path / "scratch")


def test_every_program_is_pinned_by_a_module_with_checksums() -> None:
    for module in build.load_modules():
        text = (module.folder / "go.mod").read_text()
        assert all(program.package in text for program in module.programs)
        assert (module.folder / "go.sum").stat().st_size > 0


@pytest.mark.parametrize(
    ("version", "message"),
    [(None, "tools: Go is missing: install Go >= 1.26"), ("go1.22.1", "tools: Go >= 1.26 is needed, found go1.22.1")],
)
def test_a_missing_or_old_go_is_told_in_one_line(tmp_path: Path, version: str | None, message: str) -> None:
    (tmp_path / "path").mkdir()
    if version:
        executable(tmp_path / "path", "go", version)
    env = {**os.environ, "PATH": str(tmp_path / "path"), "GPUCOST_TOOLS_CACHE": str(tmp_path / "cache")}
    env.pop("KUBEBUILDER_ASSETS", None)
    script = REPOSITORY / "tools" / "build.py"

    done = subprocess.run(
        [sys.executable, script, "--bin-dir", tmp_path / "bin", "etcd"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1


def test_an_unknown_module_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    script = REPOSITORY / "tools" / "build.py"

    done = subprocess.run([sys.executable, script, "nonsense"], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "unknown module nonsense; known are etcd, helm" in done.stderr
