"""Tables: facts as they were observed, and charges of the hours that are settled.

Every table begins with `cluster`, so that several clusters may share one database. Instants are microseconds since the
epoch, money is pico-units, both in 64 bits: a single charge always fits (an hour of a node would have to cost nine
million), sums may not and are formed in two halves (`charges.sums`). Prices are decimal text, because a binary float
would not be what somebody wrote; GPUs are rational text (`8`, `3/7`), because a slice is no decimal.
The sizes that a node had before are JSON in its row (`earlier`): most nodes have none, and they are read with it.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, MetaData, PrimaryKeyConstraint, String, Table, Text

from gpucost.core.booking import FIELDS

metadata = MetaData()


def _key(name: str) -> Column[str]:
    return Column(name, String(253), nullable=False)


def _gpus() -> Column[str]:
    return Column("gpus", String(64), nullable=False)


def _instant(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


nodes = Table(
    "nodes",
    metadata,
    _key("cluster"),
    _key("uid"),
    _key("name"),
    _instant("start"),
    _instant("ended", nullable=True),
    Column("cpu_milli", BigInteger, nullable=False),
    Column("memory", BigInteger, nullable=False),
    _gpus(),
    Column("storage", BigInteger, nullable=False),
    _key("instance_type"),
    _key("gpu_model"),
    _key("region"),
    _key("zone"),
    _key("capacity_type"),
    _key("kind"),
    Column("physical_gpus", String(64), nullable=False),
    Column("stranded_gpus", String(64), nullable=False),
    Column("earlier", Text, nullable=False),
    PrimaryKeyConstraint("cluster", "uid"),
)

prices = Table(
    "prices",
    metadata,
    _key("cluster"),
    _key("node_uid"),
    _instant("start"),
    Column("hourly", String(64), nullable=True),
    _key("capacity_type"),
    _key("source"),
    Column("on_demand", String(64), nullable=True),
    PrimaryKeyConstraint("cluster", "node_uid", "start"),
)

pods = Table(
    "pods",
    metadata,
    _key("cluster"),
    _key("uid"),
    _key("namespace"),
    _key("name"),
    _key("workload_kind"),
    _key("workload_name"),
    _key("category"),
    _key("node_uid"),
    _instant("start"),
    _instant("ended", nullable=True),
    Column("cpu_milli", BigInteger, nullable=False),
    Column("memory", BigInteger, nullable=False),
    _gpus(),
    Column("storage", BigInteger, nullable=False),
    Column("labels", Text, nullable=False),
    Column("end_reason", Text, nullable=False),
    Column("note", Text, nullable=False),
    PrimaryKeyConstraint("cluster", "uid"),
    Index("pods_by_node", "cluster", "node_uid", "start"),
    Index("pods_by_workload", "cluster", "namespace", "workload_kind", "workload_name"),
    Index("pods_by_end", "cluster", "ended"),
)

needs = Table(
    "needs",
    metadata,
    _key("cluster"),
    _key("pod_uid"),
    _instant("start"),
    Column("cpu_milli", BigInteger, nullable=False),
    Column("memory", BigInteger, nullable=False),
    _gpus(),
    Column("storage", BigInteger, nullable=False),
    PrimaryKeyConstraint("cluster", "pod_uid", "start"),
    sqlite_with_rowid=False,
)

usage = Table(
    "usage",
    metadata,
    _key("cluster"),
    _key("pod_uid"),
    _instant("start"),
    Column("ppm", BigInteger, nullable=True),
    PrimaryKeyConstraint("cluster", "pod_uid", "start"),
    sqlite_with_rowid=False,
)

gaps = Table(
    "gaps",
    metadata,
    _key("cluster"),
    _key("uid"),
    _instant("start"),
    _instant("ended"),
    Column("reason", Text, nullable=False),
    PrimaryKeyConstraint("cluster", "uid", "start"),
)

charges = Table(
    "charges",
    metadata,
    _key("cluster"),
    _key("node_uid"),
    _instant("hour"),
    _key("pod_uid"),
    _key("capacity_type"),
    *(Column(name, BigInteger, nullable=False) for name in FIELDS),
    PrimaryKeyConstraint("cluster", "node_uid", "hour", "pod_uid", "capacity_type"),
    Index("charges_by_hour", "cluster", "hour"),
    Index("charges_by_pod", "cluster", "pod_uid"),
    sqlite_with_rowid=False,
)

node_hours = Table(
    "node_hours",
    metadata,
    _key("cluster"),
    _key("node_uid"),
    _instant("hour"),
    Column("cost", BigInteger, nullable=False),
    PrimaryKeyConstraint("cluster", "node_uid", "hour"),
    Index("node_hours_by_hour", "cluster", "hour"),
    sqlite_with_rowid=False,
)

hour_sums = Table(
    "hour_sums",
    metadata,
    _key("cluster"),
    _instant("hour"),
    Column("sums", Text, nullable=False),
    PrimaryKeyConstraint("cluster", "hour"),
)
"""See the module `hour_sums`. JSON, because sums over a large cluster do not fit in 64 bits."""

marks = Table(
    "marks",
    metadata,
    _key("cluster"),
    _key("name"),
    Column("value", Text, nullable=False),
    PrimaryKeyConstraint("cluster", "name"),
)

# --- training runs: what they say of themselves ----------------------------------------------------------------------

run_reports = Table(
    "run_reports",
    metadata,
    _key("cluster"),
    _key("run"),
    _instant("at"),
    Column("said", Text, nullable=False),
    PrimaryKeyConstraint("cluster", "run", "at"),
    sqlite_with_rowid=False,
)
"""`run` is the UID of the TrainingJob. `said` is JSON as Python writes it, in which metrics may be NaN or Infinity."""

run_checkpoints = Table(
    "run_checkpoints",
    metadata,
    _key("cluster"),
    _key("run"),
    _instant("at"),
    Column("step", BigInteger, nullable=True),
    Column("duration", BigInteger, nullable=True),
    PrimaryKeyConstraint("cluster", "run", "at"),
    sqlite_with_rowid=False,
)

runs = Table(
    "runs",
    metadata,
    _key("cluster"),
    _key("run"),
    _key("namespace"),
    _key("name"),
    _key("parent"),
    Column("digest", String(64), nullable=False),
    _instant("created"),
    _instant("ended", nullable=True),
    _instant("due", nullable=True),
    Column("known", Text, nullable=False),
    Column("amounts", Text, nullable=True),
    PrimaryKeyConstraint("cluster", "run"),
    sqlite_with_rowid=False,
)
"""`run` and `parent` are UIDs of TrainingJobs; `known` is JSON of what nobody searches for. `amounts` is what a run of
a schedule has cost in all, once it is deleted and nothing is added any more: a JSON array in the order of `Amounts`."""

run_savings = Table(
    "run_savings",
    metadata,
    _key("cluster"),
    _key("run"),
    _instant("due"),
    Column("kind", String(63), nullable=False),
    _key("namespace"),
    Column("message", Text, nullable=False),
    Column("times", BigInteger, nullable=False),
    Column("saved", Text, nullable=True),
    PrimaryKeyConstraint("cluster", "run", "due", "kind"),
    sqlite_with_rowid=False,
)
"""Due times of schedules at which no run was made, and runs that were not started (`due` is when). `saved` is
pico-units as decimal text of any length, NULL for unknown."""

run_stays = Table(
    "run_stays",
    metadata,
    _key("cluster"),
    _key("run"),
    _instant("last"),
    Column("stays", Text, nullable=False),
    PrimaryKeyConstraint("cluster", "run"),
    sqlite_with_rowid=False,
)
"""`last` is when the last stay began; `stays` is JSON (`core.training.auto.stays_json`)."""

endpoint_hours = Table(
    "endpoint_hours",
    metadata,
    _key("cluster"),
    _key("endpoint"),
    _instant("hour"),
    Column("done", Text, nullable=False),
    PrimaryKeyConstraint("cluster", "endpoint", "hour"),
    sqlite_with_rowid=False,
)
"""What an endpoint (by UID) did in an hour; `done` is JSON (`core.serving.work_json`)."""

endpoint_memory = Table(
    "endpoint_memory",
    metadata,
    _key("cluster"),
    _key("endpoint"),
    _instant("last"),
    Column("known", Text, nullable=False),
    PrimaryKeyConstraint("cluster", "endpoint"),
    sqlite_with_rowid=False,
)
"""Starts and quiet times of an endpoint, as of the instant `last`; `known` is JSON."""

# --- roll-ups: what is left of hours that are older than the retention of details -----------------------------------

rolled_keys = Table(
    "rolled_keys",
    metadata,
    _key("cluster"),
    Column("id", BigInteger, nullable=False),
    _key("namespace"),
    _key("workload_kind"),
    _key("workload_name"),
    _key("category"),
    _key("asset"),
    Column("labels", Text, nullable=False),
    PrimaryKeyConstraint("cluster", "id"),
    Index("rolled_keys_by_name", "cluster", "namespace", "workload_kind", "workload_name"),
    sqlite_with_rowid=False,
)
"""Everything by which an hour is told apart, once for all hours; a number stands for it in them."""

rolled_charges = Table(
    "rolled_charges",
    metadata,
    _key("cluster"),
    _instant("hour"),
    _key("holder"),
    Column("key", BigInteger, nullable=False),
    _key("capacity_type"),
    Column("part", BigInteger, nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in FIELDS),
    PrimaryKeyConstraint("cluster", "hour", "holder", "key", "capacity_type", "part"),
    Index("rolled_charges_by_key", "cluster", "key"),
    sqlite_with_rowid=False,
)
"""`part` counts rows of one sum that does not fit in 64 bits."""

rolled_hours = Table(
    "rolled_hours",
    metadata,
    _key("cluster"),
    _instant("hour"),
    Column("cost", Text, nullable=False),
    PrimaryKeyConstraint("cluster", "hour"),
    sqlite_with_rowid=False,
)
"""What all nodes cost in an hour by their own integration, as decimal text of any length."""

rolled_nodes = Table(
    "rolled_nodes",
    metadata,
    _key("cluster"),
    _key("node_uid"),
    _key("holder"),
    Column("amounts", Text, nullable=False),
    PrimaryKeyConstraint("cluster", "node_uid", "holder"),
    sqlite_with_rowid=False,
)
"""Sums of nodes that have not ended, over all hours that are rolled up: a JSON array in the order of `Amounts`."""

# --- replicas of endpoints --------------------------------------------------------------------------------------------

replica_hours = Table(
    "replica_hours",
    metadata,
    _key("cluster"),
    _key("endpoint"),
    _instant("hour"),
    Column("applied", BigInteger, nullable=False),
    _key("namespace"),
    _key("name"),
    Column("sums", Text, nullable=False),
    PrimaryKeyConstraint("cluster", "endpoint", "hour", "applied"),
    sqlite_with_rowid=False,
)
"""What the replicas of InferenceEndpoints (by UID) have cost and would have cost otherwise; see
`core.serving.counterfactual`. `applied` is 1 for time in which the operator set the number. `sums` is JSON."""

replica_notes = Table(
    "replica_notes",
    metadata,
    _key("cluster"),
    _key("endpoint"),
    Column("kind", String(63), nullable=False),
    Column("said", Text, nullable=False),
    PrimaryKeyConstraint("cluster", "endpoint", "kind"),
    sqlite_with_rowid=False,
)
"""What is remembered of an endpoint, by what it is: what its GPUs were seen to need, how it was taken over."""
