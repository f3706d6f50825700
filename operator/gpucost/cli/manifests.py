"""Reads manifests as kubectl does: files or standard input, several documents, lists; every problem with its line."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gpucost.cli.failures import Failure

_LARGEST = 5 * 2**20


@dataclass(frozen=True, slots=True)
class Document:
    """One object of a file."""

    file: str
    number: int
    line: int
    body: dict[str, Any]

    @property
    def kind(self) -> str:
        """Kind as written."""
        return str(self.body.get("kind") or "")

    @property
    def name(self) -> str:
        """Name as written; empty without."""
        metadata = self.body.get("metadata")
        return str((metadata if isinstance(metadata, dict) else {}).get("name") or "")

    @property
    def namespace(self) -> str | None:
        """Namespace as written."""
        metadata = self.body.get("metadata")
        found = (metadata if isinstance(metadata, dict) else {}).get("namespace")
        return str(found) if found else None

    def __str__(self) -> str:
        return f"{self.file}: document {self.number} ({self.kind or 'no kind'}/{self.name or '?'}, line {self.line})"


class _Loader(yaml.SafeLoader):
    """Times stay text, as the API server sees them."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(files: Sequence[str]) -> list[Document]:
    """All objects of some files, `-` being standard input. Raises `Failure` with one line for what is wrong."""
    found = [document for file in files for document in _of_file(file)]
    if not found:
        raise Failure(f"{', '.join(files)}: there is no object in it; give a manifest with a TrainingJob")
    return found


def _of_file(file: str) -> Iterator[Document]:
    name = "standard input" if file == "-" else file
    try:
        text = sys.stdin.read(_LARGEST + 1) if file == "-" else Path(file).read_text()
    except OSError as error:
        raise Failure(f"{file}: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError:
        raise Failure(f"{file}: not a text file") from None
    if len(text) > _LARGEST:
        raise Failure(f"{name}: larger than {_LARGEST // 2**20} MiB, which is no manifest")
    yield from _objects(name, text)


def _objects(name: str, text: str) -> Iterator[Document]:
    try:
        loader = _Loader(text)
        number = 0
        while loader.check_node():
            node = loader.get_node()
            assert node is not None
            number += 1
            value = loader.construct_document(node)
            yield from _expanded(name, number, node.start_mark.line + 1, value)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark is not None else "somewhere"
        raise Failure(f"{name}: {where}: not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise Failure(f"{name}: not YAML: {' '.join(str(error).split())[:200]}") from None
    except RecursionError:
        raise Failure(f"{name}: nested too deeply for a manifest") from None


def _expanded(name: str, number: int, line: int, value: Any) -> Iterator[Document]:
    """The objects of a document: itself, the items of a List, nothing of an empty one."""
    if value is None:
        return
    if not isinstance(value, dict):
        raise Failure(f"{name}: document {number}, line {line}: not an object but a {type(value).__name__}")
    if value.get("kind") == "List" and isinstance(value.get("items"), list):
        for item in value["items"]:
            yield from _expanded(name, number, line, item)
        return
    yield Document(name, number, line, value)
