"""A load on an OpenAI-shaped endpoint: requests at a given rate, each counted as in time, late or failed.

    python -m servers.load --url http://127.0.0.1:8000 --rate 20 --seconds 60 --late-after 2

Requests come whether or not earlier ones are done (an open loop): a server that falls behind cannot slow down the users
who measure it. Bounded all the same: beyond `--at-once` open requests a new one is not sent, and counts as late.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from dataclasses import asdict, dataclass, field

import aiohttp


@dataclass
class Tally:
    """What became of the requests."""

    sent: int = 0
    in_time: int = 0
    late: int = 0
    """The first token came after the limit, or the request could not be sent because too many were open."""
    failed: int = 0
    first_tokens: list[float] = field(default_factory=list)
    """Seconds until each first token."""

    @property
    def late_fraction(self) -> float:
        """Late and failed ones among all."""
        total = self.in_time + self.late + self.failed
        return (self.late + self.failed) / total if total else 0.0


@dataclass
class Load:
    """Sends requests while `run` runs; `rate` may be changed meanwhile."""

    url: str
    rate: float
    """Requests a second."""
    late_after: float = 2.0
    at_once: int = 256
    prompt_tokens: int = 50
    max_tokens: int = 40
    timeout: float = 60.0
    seed: int = 1
    users: tuple[str, ...] = ()
    """Who asks, in turn; empty: nobody says."""
    tally: Tally = field(default_factory=Tally)
    _stopped: bool = False
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def open(self) -> int:
        """Requests that are not answered yet."""
        return len(self._open)

    def stop(self) -> None:
        """Send nothing more; `run` ends when what is open is answered."""
        self._stopped = True

    async def run(self, seconds: float) -> Tally:
        """Send for so long, and wait for the answers."""
        chance, end = random.Random(self.seed), time.monotonic() + seconds
        timeout = aiohttp.ClientTimeout(total=self.timeout)
        connector = aiohttp.TCPConnector(limit=self.at_once)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            due = time.monotonic()
            while due < end and not self._stopped:
                due += chance.expovariate(self.rate) if self.rate > 0 else 0.1
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                if self.rate > 0:
                    self._send(session)
            await asyncio.gather(*self._open)
        return self.tally

    def _send(self, session: aiohttp.ClientSession) -> None:
        self.tally.sent += 1
        if len(self._open) >= self.at_once:
            self.tally.late += 1
            return
        user = {"user": self.users[self.tally.sent % len(self.users)]} if self.users else {}
        task = asyncio.create_task(self._request(session, user))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _request(self, session: aiohttp.ClientSession, user: dict[str, str]) -> None:
        prompt = "word " * self.prompt_tokens
        body = {"model": "any", "prompt": prompt, "max_tokens": self.max_tokens, "stream": True, **user}
        begun = time.monotonic()
        try:
            async with session.post(f"{self.url}/v1/completions", json=body) as response:
                response.raise_for_status()
                await response.content.readline()
                first = time.monotonic() - begun
                await response.read()
        except (aiohttp.ClientError, TimeoutError):
            self.tally.failed += 1
            return
        self.tally.first_tokens.append(first)
        if first > self.late_after:
            self.tally.late += 1
        else:
            self.tally.in_time += 1


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--rate", type=float, default=10.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--late-after", type=float, default=2.0, help="seconds until the first token")
    parser.add_argument("--at-once", type=int, default=256, help="open requests at most")
    parser.add_argument("--max-tokens", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--users", default="", help="who asks, in turn, such as sales,research")
    arguments = parser.parse_args()
    load = Load(
        arguments.url,
        arguments.rate,
        arguments.late_after,
        arguments.at_once,
        max_tokens=arguments.max_tokens,
        seed=arguments.seed,
        users=tuple(one for one in arguments.users.split(",") if one),
    )
    tally = asdict(asyncio.run(load.run(arguments.seconds)))
    tally.pop("first_tokens")
    print(json.dumps({**tally, "lateFraction": round(load.tally.late_fraction, 6)}))


if __name__ == "__main__":
    main()
