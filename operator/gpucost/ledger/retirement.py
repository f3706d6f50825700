"""The work of retention, in steps: each is a transaction of its own, so that it may be broken off anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from time import monotonic

from gpucost.core.clock import DAY, HOUR, Instant, Micros, floor_to
from gpucost.ledger import rolled, rollups
from gpucost.ledger.database import Database
from gpucost.ledger.db import Db


@dataclass
class Retirement:
    """How far the roll-ups have come: before `horizon` only sums are left."""

    database: Database
    horizon: Instant | None = None
    _untidy: bool = False

    def go_on(self, limit: Instant, hourly: Micros, seconds: float) -> int:
        """Roll up hours before `limit` and days `hourly` before that, for about so long; the number of hours."""
        deadline, done = monotonic() + seconds, 0
        while not done or monotonic() < deadline:
            hour = self.database.read(partial(rollups.next_hour, limit=limit))
            if hour is None:
                break
            self._roll(hour)
            done += 1
        while monotonic() < deadline and self._squeeze(floor_to((self.horizon or 0) - hourly, DAY)):
            pass
        while self._untidy and monotonic() < deadline:
            self._tidy(self.horizon or 0)
        return done

    def _roll(self, hour: Instant) -> None:
        def write(db: Db) -> None:
            if (rolled.horizon(db) or 0) <= hour:  # else a lost answer was a success
                rollups.roll(db, hour)

        self.database.write(write)
        self.horizon = hour + HOUR
        self._untidy = self._untidy or self.horizon % DAY == 0

    def _squeeze(self, limit: Instant) -> bool:
        day = self.database.read(partial(rollups.next_day, limit=limit))
        if day is None:
            return False

        def write(db: Db) -> None:
            if rolled.squeezed_until(db) <= day:
                rollups.squeeze(db, day)

        self.database.write(write)
        return True

    def _tidy(self, horizon: Instant) -> None:
        """Delete some of the facts that nobody needs any more."""
        if self.database.write(partial(rollups.forget_pods, horizon=horizon)):
            return
        self.database.write(partial(rollups.forget_rest, horizon=horizon))
        self.database.shrink()
        self._untidy = False
