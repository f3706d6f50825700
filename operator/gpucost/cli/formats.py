"""Prints documents for programs: JSON, YAML and CSV, the same way for every command."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click
import yaml
from pydantic import BaseModel


def print_json(document: Mapping[str, Any]) -> None:
    """JSON as it comes, in the order of the document."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def print_yaml(document: Mapping[str, Any]) -> None:
    """The same as YAML."""
    click.echo(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), nl=False)


def as_document(model: BaseModel) -> dict[str, Any]:
    """An answer as its published schema has it."""
    return model.model_dump(mode="json", by_alias=True)


def model_as_json(model: BaseModel, _options: object) -> None:
    """A view that prints an answer whole, as JSON."""
    print_json(as_document(model))


def model_as_yaml(model: BaseModel, _options: object) -> None:
    """A view that prints an answer whole, as YAML."""
    print_yaml(as_document(model))


def print_csv(titles: Sequence[str], rows: Iterable[Mapping[str, Any]], *, headers: bool) -> None:
    """Plain values; what a row lacks, or is null, is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, titles, restval="", lineterminator="\n", extrasaction="ignore")
    if headers:
        writer.writeheader()
    writer.writerows(rows)
    click.echo(text.getvalue(), nl=False)
