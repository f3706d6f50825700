"""Gives decisions what they need to know of runs, asks the world when one is due, and books what was decided.

`prepare` is the only part that asks anybody; what it finds holds for some seconds, because a decision about a run that
is due must rest on what the API server says now and not on a cache that may lag.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from gpucost.api.convert import training_spec
from gpucost.core.actions import Action, CreateTrainingJob, Decision
from gpucost.core.clock import HOUR, SECOND, Instant, Micros
from gpucost.core.model import Job, Key, Unknown
from gpucost.core.money import Pico
from gpucost.core.training.fingerprint import Fingerprint, config_maps, fingerprint
from gpucost.core.training.progress import Progress
from gpucost.core.training.runs.calendar import Calendar
from gpucost.core.training.runs.child import BECAUSE, SCHEDULED_BY
from gpucost.core.training.runs.plan import open_question
from gpucost.core.training.runs.run import Result, Run
from gpucost.core.training.runs.spec import VERSION_ANNOTATION, Deduplication
from gpucost.core.training.runs.twins import Twins
from gpucost.core.training.runs.worth import Answers
from gpucost.core.training.spec import TrainingSpec
from gpucost.core.training.validate import problems
from gpucost.kube import paths
from gpucost.kube.client import KubeClient
from gpucost.kube.errors import ApiError, Unreachable
from gpucost.runtime.runs.book import RunBook
from gpucost.runtime.runs.observed import as_seen, begun, child_run, refreshed
from gpucost.runtime.world import Custom, World, custom_record
from gpucost.sources.dataset_versions import data_digest, version_of
from gpucost.sources.model_quality import quality_of
from gpucost.sources.promql import PromQL

_FRESH = 5 * SECOND


@dataclass(frozen=True)
class Found:
    """What the world said about one TrainingJob, and when."""

    at: Instant
    answers: Answers | None = None
    children: tuple[Run, ...] = ()
    version: str | Unknown | None = None
    data: Mapping[str, str] = field(default_factory=dict)
    """Digests of ConfigMaps by name."""


@dataclass
class RunKeeper:
    """Calendars, twins and records of all TrainingJobs."""

    world: World
    client: KubeClient
    now: Callable[[], Instant]
    progress_of: Callable[[Key], Progress]
    cost_of: Callable[[Key], Pico | None]
    """What a TrainingJob has cost up to the last pass; None when unknown."""
    engine: PromQL | None = None
    book: RunBook = field(default_factory=RunBook)
    _found: dict[str, Found] = field(default_factory=dict)
    _prints: dict[str, tuple[object, Fingerprint | None]] = field(default_factory=dict)
    _tidied: Instant = 0

    # --- what decisions ask -------------------------------------------------------------------------------------------

    def calendar(self, record: Custom, spec: TrainingSpec | None) -> Calendar | None:
        """The past of a schedule, and what was found out about the run that is due."""
        if spec is None or spec.runs is None:
            return None
        found, records = self._fresh(record.uid), self.book.savings(record.uid)
        children = self.world.children_of(record.uid)
        seen = [run for child in children if (run := as_seen(child, self.book.run(child.uid))) is not None]
        fresh = found.children if found is not None else ()
        runs = {run.uid: run for run in (*self.book.children(record.uid), *seen)}
        runs |= {run.uid: replace(runs.get(run.uid, run), result=run.result) for run in fresh}
        skips = [one for one in records if one.is_skip]
        return Calendar(
            created=record.created,
            body=record.spec,
            runs=tuple(runs.values()),
            living=frozenset(child.uid for child in children) | {run.uid for run in fresh},
            savings=records,
            skipped=sum(one.times for one in skips),
            missed=sum(one.times for one in records if not one.is_skip),
            saved=sum(one.saved or 0 for one in skips),
            unpriced=sum(one.times for one in skips if one.saved is None),
            reasons={child.uid: child.annotations.get(BECAUSE, "") for child in children},
            answers=found.answers if found is not None else None,
            status=record.status.get("runs") or {},
        )

    def twins(self, record: Custom, spec: TrainingSpec | None, job: Job | None) -> Twins:
        """What tells a run from others, and the earlier ones that are the same."""
        if spec is None or spec.runs is not None or spec.template is None:
            return Twins()
        known, found = self._begun(record, job), self._found.get(record.uid)
        version = self._version(record, spec, known, found)
        made = self._print(record, spec, version, found.data if found is not None else {})
        if made is not None and job is not None:
            made = _as_made(made, record, known)
        if made is None or not made.is_exact:
            return Twins(made, version)
        earlier = [self._lived(run) for run in self.book.same(record.namespace, made.digest) if run.uid != record.uid]
        if job is not None:
            earlier = [run for run in earlier if (run.created, run.uid) < (job.created, record.uid)]
        return Twins(made, version, earlier)

    def _print(self, record: Custom, spec: TrainingSpec, version: str, data: Mapping[str, str]) -> Fingerprint | None:
        """Worked out once for a specification: it is asked for at every pass over everything."""
        key = (record.generation, version, tuple(sorted(data.items())))
        kept = self._prints.get(record.uid)
        if kept is None or kept[0] != key:
            kept = self._prints[record.uid] = key, fingerprint(spec, version=version, known=data)
        return kept[1]

    def _begun(self, record: Custom, job: Job | None) -> Run | None:
        """What was taken down of this very Job: an earlier one may have been made from something else."""
        known = self.book.run(record.uid)
        same = known is not None and job is not None and known.digest and known.created == job.created
        return known if same else None

    def _lived(self, run: Run) -> Run:
        """A run that was deleted before its end does not go on."""
        gone = not run.is_over and run.uid not in self.world.trainingjob_uids
        return replace(run, result=Result.GONE) if gone else run

    def _version(self, record: Custom, spec: TrainingSpec, known: Run | None, found: Found | None) -> str:
        if spec.dataset is None:
            return ""
        if known is not None:
            return known.version
        stored = (record.status.get("fingerprint") or {}).get("datasetVersion")
        asked = found.version if found is not None and isinstance(found.version, str) else ""
        written = spec.dataset.version or asked
        if spec.dataset.source is None:
            written = written or record.annotations.get(VERSION_ANNOTATION, "").strip()
        return written or str(stored or "")

    # --- asking -------------------------------------------------------------------------------------------------------

    async def prepare(self, record: Custom) -> None:
        """Ask whatever the next decision about a TrainingJob needs to know."""
        spec = training_spec(record.body).value
        if spec is None or spec.template is None:
            return
        if spec.runs is not None:
            await self._prepare_schedule(record, spec)
        elif self.world.job_of(record) is None and not _is_over(record):
            await self._prepare_run(record, spec)
        else:
            self._forget_answers(record.uid)

    def _fresh(self, uid: str) -> Found | None:
        found = self._found.get(uid)
        return found if found is not None and self.now() - found.at < _FRESH else None

    def _forget_answers(self, uid: str) -> None:
        """Digests of data stay: what a run was made from is taken down when its Job is seen."""
        found = self._found.get(uid)
        if found is not None and self.book.run(uid) is not None:
            del self._found[uid]

    async def _prepare_schedule(self, record: Custom, spec: TrainingSpec) -> None:
        calendar = self.calendar(record, spec)
        invalid = bool(problems(spec, name=record.name))  # a calendar that is none has no due times
        if calendar is None or invalid or open_question(spec, calendar, self.now()) is None:
            self._found.pop(record.uid, None)
            return
        if self._fresh(record.uid) is not None:
            return
        version, quality, children = await asyncio.gather(
            self._ask_version(record, spec), self._ask_quality(spec), self._children(record)
        )
        answers = None if children is None else Answers(version, quality)
        self._found[record.uid] = Found(self.now(), answers, tuple(children or ()), version)

    async def _ask_version(self, record: Custom, spec: TrainingSpec) -> str | Unknown | None:
        dataset = spec.dataset
        if dataset is None:
            return None
        if dataset.version:
            return dataset.version
        if dataset.source is not None:
            return await version_of(self.client, record.namespace, dataset.source)
        text = record.annotations.get(VERSION_ANNOTATION, "").strip()
        return text or Unknown(f"neither spec.dataset.version nor the annotation {VERSION_ANNOTATION} is there")

    async def _ask_quality(self, spec: TrainingSpec) -> float | Unknown | None:
        quality = spec.runs.quality if spec.runs is not None else None
        return None if quality is None else await quality_of(self.engine, quality.query)

    async def _children(self, record: Custom) -> list[Run] | None:
        """The runs that exist by the API server's word; None when it does not answer."""
        params = {"labelSelector": f"{SCHEDULED_BY}={record.name}"}
        try:
            listing = await self.client.get(paths.trainingjob(record.namespace), params)
        except (ApiError, Unreachable):
            return None
        bodies = [{**item, "kind": record.kind} for item in listing.get("items") or ()]
        found = (child_run(custom_record(body)) for body in bodies)
        return [run for run in found if run is not None and run.parent == record.uid]

    async def _prepare_run(self, record: Custom, spec: TrainingSpec) -> None:
        names = config_maps(spec) if spec.deduplication is not Deduplication.OFF else frozenset[str]()
        source = spec.dataset.source if spec.dataset is not None else None
        if (source is None and not names) or self._fresh(record.uid) is not None:
            return
        version = await version_of(self.client, record.namespace, source) if source is not None else None
        digests = {name: await data_digest(self.client, record.namespace, name) for name in sorted(names)}
        data = {name: digest for name, digest in digests.items() if digest is not None}
        self._found[record.uid] = Found(self.now(), version=version, data=data)

    # --- remembering --------------------------------------------------------------------------------------------------

    def observe(self, record: Custom, spec: TrainingSpec | None, job: Job | None, twins: Twins) -> None:
        """Take down what a TrainingJob says of the run that it is."""
        if spec is None or spec.runs is not None:
            return
        own = job if job is not None and job.owner is not None and job.owner.uid == record.uid else None
        known = self.book.run(record.uid)
        run = begun(record, own, known, twins.print, twins.version) if own is not None else known or child_run(record)
        if run is not None:
            cost, progress = self.cost_of(record.key), self.progress_of(record.key)
            self.book.put(refreshed(run, record, own, now=self.now(), cost=cost, progress=progress))

    def begin(self, record: Custom, action: Action, created: Mapping[str, object] | None) -> None:
        """A run was made: known from now on, whatever the caches show."""
        if isinstance(action, CreateTrainingJob) and created is not None:
            run = child_run(custom_record({**created, "kind": record.kind}))
            if run is not None and self.book.run(run.uid) is None:
                self.book.put(run)

    async def settle(self, decision: Decision) -> None:
        """Book what was decided, before anything is told of it."""
        self.book.book(decision.records)
        await self.book.flush()

    async def tidy(self, keep: Micros | None) -> None:
        """Forget what was found out about TrainingJobs that do not exist any more; now and then, old records."""
        living = self.world.trainingjob_uids
        for kept in (self._found, self._prints):
            for uid in kept.keys() - living:
                del kept[uid]
        if self.now() - self._tidied >= HOUR:
            self._tidied = self.now()
            await self.book.tidy(living, self.now(), keep)


def _as_made(now: Fingerprint, record: Custom, known: Run | None) -> Fingerprint:
    """What a run was made from does not change with its specification."""
    stored = record.status.get("fingerprint") or {}
    if known is not None:
        digest, exact = known.digest, known.exact
    elif stored.get("digest"):
        digest, exact = str(stored["digest"]), bool(stored.get("exact"))
    else:
        return now
    return Fingerprint(digest, () if exact else now.missing or ("spec: not all of it was known when the run began",))


def _is_over(record: Custom) -> bool:
    conditions = record.status.get("conditions") or ()
    return any(one.get("type") in {"Complete", "Failed"} and one.get("status") == "True" for one in conditions)
