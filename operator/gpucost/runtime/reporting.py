"""Puts together what reports of training runs need: who may report, whom the runs trust, who takes it in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from gpucost.core.clock import Instant
from gpucost.core.training.reporting import AUDIENCE, Reporting
from gpucost.kube.client import KubeClient
from gpucost.ledger import Ledger
from gpucost.runtime.accounting import Accounting
from gpucost.runtime.authority import lasting_authority, secret_name
from gpucost.runtime.progress import RunHistories
from gpucost.runtime.runs.book import RunBook
from gpucost.runtime.settings import Settings
from gpucost.sources.token_reviews import TokenReviews
from gpucost.web.progress import ProgressApi
from gpucost.web.tls import Authority


@dataclass(frozen=True, slots=True)
class Intake:
    """What the doors need to take reports in, and what Jobs are told; all None where runs cannot report."""

    api: ProgressApi | None = None
    authority: Authority | None = None
    reporting: Reporting | None = None


async def intake_of(
    settings: Settings, client: KubeClient, histories: RunHistories, now: Callable[[], Instant]
) -> Intake:
    """Nothing without an address at which runs reach the TLS door: their Jobs start all the same."""
    if not settings.progress_url or not (settings.api_listen or settings.progress_listen):
        return Intake()
    authority = await lasting_authority(client, settings.namespace, secret_name(settings.service_name))
    api = ProgressApi(TokenReviews(client, AUDIENCE, now, histories.world.pods.__contains__), histories)
    return Intake(api, authority, Reporting(settings.progress_url, authority.pem.decode()))


async def with_ledger(histories: RunHistories, accounting: Accounting, ledger: Ledger) -> None:
    """Begin with what the ledger knows of the runs that exist, and write there from now on."""
    living = histories.world.trainingjob_uids
    histories.load(await accounting.call(partial(ledger.sayings.progress, living)))
    histories.write = lambda changes: accounting.call(partial(ledger.sayings.record, changes))
    histories.forget = lambda horizon: accounting.call(
        partial(ledger.sayings.forget, histories.world.trainingjob_uids, horizon)
    )


async def with_runs(book: RunBook, accounting: Accounting, ledger: Ledger) -> None:
    """Begin with the runs that the ledger knows, and write there from now on."""
    book.load(await accounting.call(ledger.runs.load))
    book.write = lambda new: accounting.call(partial(ledger.runs.record, new))
    book.forget = lambda uids: accounting.call(partial(ledger.runs.forget, list(uids)))
