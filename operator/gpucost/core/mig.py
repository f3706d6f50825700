"""Which part of a GPU each MIG profile is.

A profile's name gives its compute slices (`3g`) but not its memory slices: `1g.10gb` is an eighth of the memory of an
80 GB card and a quarter of that of a 40 GB card. So the tables below are needed; they are those of the NVIDIA MIG User
Guide ("Supported MIG Profiles") and of NVIDIA's mig-parted (`config-default.yaml`). A card or a profile that is not in
them is a `ValueError`, never a guess. Attributes such as `+me`, `+me.all`, `+gfx` and `-me` say which media and
graphics engines come along; they change neither slices nor, therefore, the cost.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

_SEVEN = ((1, 1), (1, 2), (2, 2), (3, 4), (4, 4), (7, 8))
_FOUR = ((1, 1), (2, 2), (4, 4))

_MEMORY_TOLERANCE = 0.05
"""Drivers report a little less memory than the card's name says (79.6 GiB for 80 GB)."""

_ATTRIBUTES = r"(?:[+.-](?:me(?:\.all)?|gfx))*"
_PROFILE = re.compile(rf"(\d+g\.\d+gb){_ATTRIBUTES}", re.IGNORECASE)
_IN_PRODUCT = re.compile(rf"\bMIG[- ](\d+g\.\d+gb{_ATTRIBUTES})", re.IGNORECASE)
_MEMORY_IN_MODEL = re.compile(r"\b(\d+) ?GI?B\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Slices:
    """Size of one MIG instance in slices of its card."""

    compute: int
    memory: int


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU that MIG can cut: its slices, and those of each profile by the profile's name without attributes."""

    name: str
    memory_gb: int
    whole: Slices
    profiles: dict[str, Slices]

    def part(self, profile: str) -> Fraction:
        """GPUs' worth of one instance: the larger of its parts of compute and memory."""
        size = self.slices(profile)
        return max(Fraction(size.compute, self.whole.compute), Fraction(size.memory, self.whole.memory))

    def slices(self, profile: str) -> Slices:
        """Slices of a profile; a `ValueError` when the card does not have it."""
        found = self.profiles.get(plain(profile))
        if found is None:
            raise ValueError(f"{self.name} has no MIG profile {profile!r} (it has {', '.join(self.profiles)})")
        return found


def _card(name: str, memory_gb: int, *sizes: int) -> Card:
    """`sizes` are the gigabytes in the names of the profiles, in the order of the tables."""
    table = _SEVEN if len(sizes) == len(_SEVEN) else _FOUR
    named = {f"{c}g.{gb}gb": Slices(c, m) for (c, m), gb in zip(table, sizes, strict=True)}
    return Card(f"{name} {memory_gb}GB", memory_gb, Slices(*table[-1]), named)


_CARDS: dict[str, tuple[Card, ...]] = {
    "A30": (_card("A30", 24, 6, 12, 24),),
    "A100": (_card("A100", 40, 5, 10, 10, 20, 20, 40), _card("A100", 80, 10, 20, 20, 40, 40, 80)),
    "H100": (
        _card("H100", 80, 10, 20, 20, 40, 40, 80),
        _card("H100", 94, 12, 24, 24, 47, 47, 94),
        _card("H100", 96, 12, 24, 24, 48, 48, 96),
    ),
    "H20": (_card("H20", 96, 12, 24, 24, 48, 48, 96),),
    "H200": (_card("H200", 141, 18, 35, 35, 71, 71, 141),),
    "GH200": (_card("GH200", 96, 12, 24, 24, 48, 48, 96), _card("GH200", 144, 18, 36, 36, 72, 72, 144)),
    "B200": (_card("B200", 180, 23, 45, 45, 90, 90, 180),),
    "GB200": (_card("GB200", 189, 24, 47, 47, 95, 95, 189),),
    "B300": (_card("B300", 269, 34, 67, 67, 135, 135, 269),),
    "RTX PRO 6000": (_card("RTX PRO 6000", 96, 24, 48, 96),),
}
_SAME: dict[str, str] = {"A800": "A100", "H800": "H100"}
"""Variants for export, cut like the originals."""


def plain(profile: str) -> str:
    """A profile's name as in the tables: without attributes, in lower case; malformed names stay as they are."""
    match = _PROFILE.fullmatch(profile)
    return match[1].lower() if match else profile


def profile_in(model: str) -> str:
    """The profile in a product name of the single strategy (`NVIDIA-H100-80GB-HBM3-MIG-1g.10gb`), or nothing."""
    match = _IN_PRODUCT.search(model)
    return match[1] if match else ""


@lru_cache(maxsize=256)
def card_of(model: str, memory_gib: float | None, profiles: Collection[str]) -> Card:
    """The card of a model; `profiles` (a frozenset) and the memory tell its variants apart.

    Raises `ValueError` where the model is not known, or where it could be several cards that are cut differently.
    """
    family = _family(model)
    if family is None:
        raise ValueError(f"MIG profiles of GPU model {model or '(none given)'!r} are not known ({_known()})")
    fitting = [card for card in _CARDS[family] if _size_fits(card, model, memory_gib)]
    if not fitting:
        sizes = ", ".join(str(card.memory_gb) for card in _CARDS[family])
        raise ValueError(f"no {family} has {memory_gib:g} GiB of memory (known: {sizes})")
    having = [card for card in fitting if all(plain(profile) in card.profiles for profile in profiles)]
    if not having:
        _complain(fitting[0], profiles)
    if len({tuple(card.part(profile) for profile in sorted(profiles)) for card in having}) > 1:
        names = " or ".join(card.name for card in having)
        raise ValueError(f"GPU model {model!r} can be {names}, which MIG cuts differently: give its memory")
    return having[0]


def _complain(card: Card, profiles: Collection[str]) -> None:
    for profile in sorted(profiles):
        card.slices(profile)


def _known() -> str:
    return "known: " + ", ".join(sorted({*_CARDS, *_SAME}))


def _family(model: str) -> str | None:
    words = re.split(r"[^A-Z0-9]+", _IN_PRODUCT.sub("", model).upper())
    if "RTX PRO 6000" in " ".join(words):
        return "RTX PRO 6000"
    found = [_SAME.get(word, word) for word in words if word in _CARDS or word in _SAME]
    return found[0] if found else None


def _size_fits(card: Card, model: str, memory_gib: float | None) -> bool:
    if memory_gib is not None:
        nearest = min(_CARDS[_family(model) or ""], key=lambda other: abs(other.memory_gb - memory_gib))
        return card is nearest and abs(card.memory_gb - memory_gib) <= _MEMORY_TOLERANCE * card.memory_gb
    sizes = [int(size) for size in _MEMORY_IN_MODEL.findall(model)]
    known = [size for size in sizes if any(size == other.memory_gb for other in _CARDS[_family(model) or ""])]
    return not known or card.memory_gb in known
