"""Settings of the operator, from environment variables with the prefix `GPUCOST_`."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from gpucost.core.clock import DAY, Micros
from gpucost.core.dra import GPU_DRIVERS
from gpucost.core.gpus import DEFAULT_RESOURCES
from gpucost.core.selector import is_label_key
from gpucost.ledger.engine import check_url
from gpucost.ledger.errors import LedgerError
from gpucost.sources.records import COST_LABELS
from gpucost.web.auth import is_loopback

DEFAULT_EXPORTERS = "app.kubernetes.io/name=dcgm-exporter;app=nvidia-dcgm-exporter;app.kubernetes.io/name=gpucost-agent"
Seconds = Annotated[float, Field(gt=0)]
Text = Annotated[str, Field(pattern=r"^[^=+\-@\s]")]
"""What ends up in cells of spreadsheets does not begin as a formula does."""


class Settings(BaseSettings):
    """Everything that an installation may want different; the chart's values set these."""

    model_config = SettingsConfigDict(env_prefix="GPUCOST_", extra="ignore")

    namespace: str = Field("gpucost-system", description="Namespace of the operator: its Lease and its Service.")
    service_name: str = Field("gpucost", description="Service through which the API server reaches the cost API.")
    cluster_name: str = Field("default", description="Name of this cluster in a ledger that several clusters share.")
    ledger_url: str = Field(
        "sqlite:////var/lib/gpucost/ledger.db",
        description="URL of the ledger: sqlite:////PATH or postgresql://USER@HOST:PORT/NAME. The latter's password "
        "may stand in the file GPUCOST_LEDGER_PASSWORD_FILE or in GPUCOST_LEDGER_PASSWORD.",
        repr=False,
    )
    retention: Annotated[str, Field(pattern="^([1-9][0-9]*d|forever)$")] = Field(
        "30d",
        description="How long the ledger knows pods and nodes one by one, such as 30d; older hours are kept as sums by "
        "workload, for ever. `forever` keeps everything.",
    )
    prometheus_url: str = Field("", description="Base URL of a PromQL engine; empty: GPU exporters are asked directly.")
    prometheus_window_seconds: Annotated[int, Field(ge=5, le=3600)] = Field(
        60, description="Averaging window of utilisation; at least two scrapes."
    )
    scrape: Literal["auto", "always", "never"] = Field(
        "auto", description="Ask GPU exporters directly; auto: only where there is no Prometheus."
    )
    scrape_selectors: str = Field(
        DEFAULT_EXPORTERS,
        description="Label selectors of exporters' pods that are asked directly, separated by semicolons.",
    )
    scrape_namespaces: str = Field(
        "", description="Namespaces of exporters' pods, separated by commas; empty: any. Others could make figures up."
    )
    scrape_targets: str = Field(
        "", description="URLs of further exporters that are asked directly, separated by commas."
    )
    scrape_seconds: Seconds = Field(10, description="How often exporters are asked between two passes.")
    scrape_most: Annotated[int, Field(ge=1, le=1000)] = Field(
        200, description="Exporters asked directly at most; beyond that use Prometheus."
    )
    gpu_resources: str = Field(
        ",".join(DEFAULT_RESOURCES),
        description="Names of the resources that are GPUs, separated by commas; * and ? match any characters.",
    )
    gpu_drivers: str = Field(
        ",".join(GPU_DRIVERS),
        description="Drivers of dynamic resource allocation whose devices are GPUs, separated by commas.",
    )
    pod_use: Literal["auto", "off"] = Field(
        "auto",
        description="CPU and memory used beyond the request count: from Prometheus, else from the metrics server.",
    )
    backfill_days: Annotated[float, Field(ge=0, le=400)] = Field(
        30, description="Days of the past that are filled in from kube-state-metrics' series in Prometheus; 0: none."
    )
    backfill_matchers: str = Field(
        "",
        description="Label matchers that tell this cluster's series from others', such as cluster=\"prod\".",
    )
    tick_seconds: Seconds = Field(30, description="Period of the full pass.")
    metrics_seconds: Seconds = Field(15, description="How often spec.metrics of a run is asked: its queries, its log.")
    metrics_queries: bool = Field(
        True,
        description="Ask the queries of spec.metrics: with the operator's rights, so whoever may create a TrainingJob "
        "can see the value of any query.",
    )
    report_seconds: Seconds = Field(300, description="Shortest time between two cost-only writes of one object.")
    writes_per_second: Seconds = Field(
        0.4, description="Budget of cost-only writes, shared by all objects; the Lease takes 0.5 a second beside it."
    )
    node_annotations: bool = Field(False, description="Write cost annotations on Nodes too.")
    api_listen: str = Field("0.0.0.0:9443", description="Address of the TLS cost API; empty turns it off.")
    progress_url: str = Field(
        "",
        description="Base URL at which training runs reach the TLS door, such as "
        "https://gpucost.gpucost-system.svc:443; empty: Jobs are made without it, and nothing is taken in.",
    )
    progress_listen: str = Field(
        "", description="Address of the TLS door for training runs where api_listen is empty; else they share that one."
    )
    loopback_listen: str = Field("", description="Address of the plain cost API; loopback only; empty turns it off.")
    metrics_listen: str = Field("0.0.0.0:8080", description="Address of /metrics, /healthz and /readyz.")
    log_format: Literal["text", "json"] = Field("text", description="Format of the log.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Lowest level that is logged.")
    lease_name: str = Field("gpucost-operator", description="Name of the Lease that one active operator holds.")
    identity: str = Field(
        "", description="Holder name in the Lease: the pod's name, so that a restarted container goes on at once."
    )
    labels: str = Field(
        ",".join(sorted(COST_LABELS)),
        description="Labels of pods that the ledger keeps beside gpucost.dev/*, so that costs can be grouped by them.",
    )
    opencost_listen: str = Field(
        "", description="Address of the API in OpenCost's shape, for clients inside the cluster; empty turns it off."
    )
    opencost_token: SecretStr = Field(
        SecretStr(""), description="Bearer token that it asks for; empty: whoever reaches the address sees all costs."
    )
    currency: str = Field("USD", description="Currency of prices that do not name one.")
    export_url: str = Field(
        "", description="Folder or URL (s3://, gs://, abfs://) to which every settled day goes as FOCUS; empty: none."
    )
    export_format: Literal["parquet", "csv", "csv.gz"] = Field("parquet", description="Format of exported days.")
    export_granularity: Literal["day", "hour"] = Field("day", description="Length of a charge period in the export.")
    export_account: Text = Field("gpucost", description="BillingAccountId in the export.")
    export_provider: Text = Field("gpucost", description="ServiceProviderName: who runs the cluster for its users.")
    export_host_provider: Annotated[str, Field(pattern=r"^([^=+\-@\s].*)?$")] = Field(
        "", description="HostProviderName: whose machines they are; empty: told by their instance types."
    )

    @property
    def details_kept(self) -> Micros | None:
        """`retention` as a length; None for ever."""
        return None if self.retention == "forever" else int(self.retention[:-1]) * DAY

    @field_validator("ledger_url")
    @classmethod
    def _database(cls, value: str) -> str:
        try:
            check_url(value)
        except LedgerError as error:
            raise ValueError(str(error)) from None
        return value

    @field_validator("prometheus_url")
    @classmethod
    def _http(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://, such as http://prometheus.monitoring:9090")
        return value

    @field_validator("gpu_resources", "gpu_drivers")
    @classmethod
    def _names(cls, value: str) -> str:
        if not listed(value, ","):
            raise ValueError("must name at least one, such as nvidia.com/*,amd.com/gpu and gpu.nvidia.com")
        return value

    @field_validator("scrape_targets")
    @classmethod
    def _urls(cls, value: str) -> str:
        if not all(url.startswith(("http://", "https://")) for url in listed(value, ",")):
            raise ValueError("must be URLs separated by commas, such as http://10.0.0.7:9400/metrics")
        return value

    @property
    def scrape_selector_list(self) -> tuple[str, ...]:
        """`scrape_selectors`, one by one."""
        return listed(self.scrape_selectors, ";")

    @property
    def scrape_namespace_list(self) -> tuple[str, ...]:
        """`scrape_namespaces`, one by one."""
        return listed(self.scrape_namespaces, ",")

    @property
    def scrape_target_list(self) -> tuple[str, ...]:
        """`scrape_targets`, one by one, each with a path."""
        urls = listed(self.scrape_targets, ",")
        return tuple(url if urlsplit(url).path.strip("/") else url.rstrip("/") + "/metrics" for url in urls)

    @field_validator("labels")
    @classmethod
    def _labels(cls, value: str) -> str:
        for key in listed(value, ","):
            if not is_label_key(key):
                raise ValueError(f"{key!r} is no key of a label; want such as team,app.kubernetes.io/name")
        return value

    @field_validator("progress_url")
    @classmethod
    def _https(cls, value: str) -> str:
        if value and not (value.startswith("https://") and urlsplit(value).hostname):
            raise ValueError("must start with https://, such as https://gpucost.gpucost-system.svc:443")
        return value.rstrip("/")

    @field_validator("api_listen", "metrics_listen", "loopback_listen", "opencost_listen", "progress_listen")
    @classmethod
    def _address(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if value and not (host and port.isdigit() and int(port) < 65536):
            raise ValueError("must be HOST:PORT, such as 127.0.0.1:9443")
        return value

    @field_validator("loopback_listen")
    @classmethod
    def _loopback(cls, value: str) -> str:
        if value and not is_loopback(value.rpartition(":")[0]):
            raise ValueError("asks nobody who they are, so it must be on loopback, such as 127.0.0.1:9003")
        return value

    @property
    def kept_labels(self) -> frozenset[str]:
        """`labels` as a set."""
        return frozenset(listed(self.labels, ","))


def listed(text: str, separator: str) -> tuple[str, ...]:
    """The parts of a list in one string."""
    return tuple(part.strip() for part in text.split(separator) if part.strip())


def address(text: str) -> tuple[str, int]:
    """Split HOST:PORT."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)
