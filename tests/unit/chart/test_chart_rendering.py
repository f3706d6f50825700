"""What the chart renders, by the real helm."""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import CompletedProcess, run
from typing import Any

import pytest
import yaml

from gpucost.api.crds import render_all
from gpucost.runtime.authority import secret_name
from gpucost.runtime.settings import Settings
from local.programs import program

CHART = Path(__file__).parents[3] / "charts" / "gpucost"


def helm(*arguments: str) -> CompletedProcess[str]:
    return run(
        [str(program("helm")), *arguments], capture_output=True, text=True, check=False, timeout=60, cwd=CHART.parent
    )


def template(*settings: str) -> CompletedProcess[str]:
    flags = [word for setting in settings for word in ("--set", setting)]
    return helm("template", "cost", str(CHART), "--namespace", "gpucost-system", *flags)


def rendered(*settings: str) -> dict[str, dict[str, Any]]:
    """Every object by `Kind/name`."""
    done = template(*settings)
    assert done.returncode == 0, done.stderr
    objects = [each for each in yaml.safe_load_all(done.stdout) if each]
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in objects}


def pod(objects: dict[str, dict[str, Any]]) -> dict[str, Any]:
    spec: dict[str, Any] = objects["Deployment/cost-gpucost"]["spec"]["template"]["spec"]
    return spec


def environment(objects: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in pod(objects)["containers"][0]["env"]}


def rules(objects: dict[str, dict[str, Any]], role: str = "ClusterRole/cost-gpucost-operator") -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for rule in objects[role]["rules"]:
        for resource in rule["resources"]:
            found.setdefault(f"{resource}.{rule['apiGroups'][0]}".rstrip("."), set()).update(rule["verbs"])
    return found


def test_helm_lints_the_chart_without_a_complaint() -> None:
    done = helm("lint", "--strict", str(CHART))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_definitions_are_installed_and_kept() -> None:
    objects = rendered()
    for text in render_all().values():
        definition = yaml.safe_load(text)
        found = objects[f"CustomResourceDefinition/{definition['metadata']['name']}"]
        assert found["spec"] == definition["spec"]
        assert found["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_the_definitions_can_be_given_up_or_left_to_somebody_else() -> None:
    definition = rendered("crds.keep=false")["CustomResourceDefinition/trainingjobs.gpucost.dev"]
    assert "annotations" not in definition["metadata"]
    assert not [name for name in rendered("crds.enabled=false") if name.startswith("CustomResourceDefinition")]


def test_the_pod_is_locked_down() -> None:
    spec = pod(rendered())
    container = spec["containers"][0]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {probe: container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")} == {
        "livenessProbe": "/healthz",
        "readinessProbe": "/readyz",
    }
    assert container["resources"]["limits"]["memory"]


def test_one_pod_at_a_time_writes_the_ledger() -> None:
    deployment = rendered()["Deployment/cost-gpucost"]["spec"]
    assert deployment["replicas"] == 1
    assert deployment["strategy"] == {"type": "Recreate"}


def test_every_variable_is_one_that_the_operator_reads() -> None:
    settings = [f"settings.{name}={value}" for name, value in {
        "tickSeconds": 5, "reportSeconds": 60, "writesPerSecond": 2, "prometheusWindowSeconds": 90,
        "logFormat": "json", "logLevel": "DEBUG", "currency": "EUR", "leaseName": "other",
    }.items()]  # fmt: skip
    given = environment(rendered(*settings))
    assert {name.removeprefix("GPUCOST_").lower() for name in given} <= set(Settings.model_fields)
    plain = {name.removeprefix("GPUCOST_").lower(): value for name, value in given.items() if isinstance(value, str)}
    read = Settings(**plain)
    assert (read.tick_seconds, read.log_format, read.currency, read.lease_name) == (5, "json", "EUR", "other")
    assert read.api_listen == "0.0.0.0:9443"
    assert read.metrics_listen == "0.0.0.0:8080"


def test_every_setting_of_the_schema_is_one_of_the_operator() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    known = {"".join(part.title() for part in name.split("_")).lower() for name in Settings.model_fields}
    assert {name.lower() for name in schema["$defs"]["OperatorSettings"]["properties"]} <= known


def test_the_ledger_is_on_a_volume_that_outlives_the_release() -> None:
    objects = rendered("ledger.persistence.size=5Gi")
    claim = objects["PersistentVolumeClaim/cost-gpucost-ledger"]
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert claim["spec"]["resources"]["requests"]["storage"] == "5Gi"
    assert {"name": "ledger", "persistentVolumeClaim": {"claimName": "cost-gpucost-ledger"}} in pod(objects)["volumes"]
    assert environment(objects)["GPUCOST_LEDGER_URL"] == "sqlite:////var/lib/gpucost/ledger.db"


def test_a_database_server_needs_no_volume() -> None:
    objects = rendered("ledger.urlSecret.name=db", "ledger.urlSecret.key=url")
    assert environment(objects)["GPUCOST_LEDGER_URL"] == {"secretKeyRef": {"name": "db", "key": "url"}}
    assert [volume["name"] for volume in pod(objects)["volumes"]] == ["tmp"]
    assert not [name for name in objects if name.startswith("PersistentVolumeClaim")]


def test_without_persistence_the_ledger_is_temporary() -> None:
    objects = rendered("ledger.persistence.enabled=false")
    assert {"name": "ledger", "emptyDir": {}} in pod(objects)["volumes"]


def test_the_api_server_finds_the_cost_api() -> None:
    objects = rendered()
    service = objects["Service/cost-gpucost"]["spec"]
    registered = objects["APIService/v1alpha1.cost.gpucost.dev"]["spec"]
    assert registered["service"] == {"name": "cost-gpucost", "namespace": "gpucost-system", "port": 443}
    assert "caBundle" not in registered  # the operator's field
    assert {port["port"]: port["targetPort"] for port in service["ports"]} == {443: "https", 8080: "metrics"}
    labels = objects["Deployment/cost-gpucost"]["spec"]["template"]["metadata"]["labels"]
    assert service["selector"].items() <= labels.items()


def test_an_operator_outside_the_cluster_is_reached_by_name() -> None:
    objects = rendered("replicaCount=0", "service.externalName=localhost", "service.port=9443")
    service = objects["Service/cost-gpucost"]["spec"]
    assert (service["type"], service["externalName"]) == ("ExternalName", "localhost")
    assert "selector" not in service
    assert objects["APIService/v1alpha1.cost.gpucost.dev"]["spec"]["service"]["port"] == 9443
    assert objects["Deployment/cost-gpucost"]["spec"]["replicas"] == 0
    assert not [name for name in objects if name.startswith("PersistentVolumeClaim")]


def test_without_the_cost_api_its_rights_are_not_given() -> None:
    objects = rendered("costApi.enabled=false")
    assert not [name for name in objects if name.startswith("APIService")]
    assert "apiservices.apiregistration.k8s.io" not in rules(objects)
    assert "RoleBinding/cost-gpucost-authentication-reader" not in objects
    assert environment(objects)["GPUCOST_API_LISTEN"] == ""


def test_the_operator_has_no_right_that_could_hurt() -> None:
    given = rules(rendered())
    assert not [resource for resource in given if "secret" in resource or "*" in resource]
    dangerous = {"*", "delete", "deletecollection", "update"}
    assert {resource: verbs & dangerous for resource, verbs in given.items() if verbs & dangerous} == {
        "trainingjobs.gpucost.dev": {"delete"}  # runs that it has made itself, beyond their history limit
    }
    writes = {resource: verbs - {"get", "list", "watch"} for resource, verbs in given.items()}
    assert {resource: verbs for resource, verbs in writes.items() if verbs} == {
        "namespaces": {"patch"},
        "jobs.batch": {"create", "patch"},
        "jobsets.jobset.x-k8s.io": {"patch"},
        "workloads.kueue.x-k8s.io": {"patch"},
        "services": {"create"},
        "events.events.k8s.io": {"create"},
        "trainingjobs.gpucost.dev": {"create", "delete"},
        "trainingjobs/status.gpucost.dev": {"patch"},
        "pricebooks/status.gpucost.dev": {"patch"},
        "inferenceendpoints/status.gpucost.dev": {"patch"},
        "deployments/scale.apps": {"patch"},
        "statefulsets/scale.apps": {"patch"},
        "leaderworkersets/scale.leaderworkerset.x-k8s.io": {"patch"},
        "rollouts/scale.argoproj.io": {"patch"},
        "apiservices.apiregistration.k8s.io": {"patch"},
        "tokenreviews.authentication.k8s.io": {"create"},
    }


def test_training_runs_reach_the_tls_port_and_their_authority_outlives_the_pod() -> None:
    objects = rendered("service.port=8443")
    assert environment(objects)["GPUCOST_PROGRESS_URL"] == "https://cost-gpucost.gpucost-system.svc:8443"
    role = objects["Role/cost-gpucost-operator"]
    secrets = [(rule["verbs"], rule.get("resourceNames")) for rule in role["rules"] if rule["resources"] == ["secrets"]]
    assert secrets == [(["create"], None), (["get"], [secret_name("cost-gpucost")])]
    assert rules(objects)["pods/log"] == {"get"}


def test_without_reports_their_rights_are_not_given() -> None:
    objects = rendered("progress.enabled=false")
    assert "tokenreviews.authentication.k8s.io" not in rules(objects)
    assert "pods/log" not in rules(objects)
    assert "secrets" not in rules(objects, "Role/cost-gpucost-operator")
    assert "GPUCOST_PROGRESS_URL" not in environment(objects)
    assert "pods/log" not in rules(rendered("progress.logs=false"))


def test_runs_by_a_calendar_have_the_rights_that_they_need_and_no_others() -> None:
    objects = rendered()
    assert rules(objects)["trainingjobs.gpucost.dev"] == {"list", "watch", "get", "create", "delete"}
    assert rules(objects)["configmaps"] == {"get"}
    without = rendered("runs.enabled=false", "runs.configMaps=false")
    assert rules(without)["trainingjobs.gpucost.dev"] == {"list", "watch"}
    assert "configmaps" not in rules(without)


def test_replicas_are_set_only_where_that_is_granted() -> None:
    given = rules(rendered())
    assert given["deployments/scale.apps"] == {"get", "patch"}
    assert given["deployments.apps"] == given["leaderworkersets.leaderworkerset.x-k8s.io"] == {"get"}
    assert given["horizontalpodautoscalers.autoscaling"] == {"list", "watch"}
    without = rules(rendered("endpoints.scale=false"))
    assert without["deployments/scale.apps"] == without["statefulsets/scale.apps"] == {"get"}
    other = rules(rendered("endpoints.targets[0].apiGroup=example.com", "endpoints.targets[0].resources[0]=servers"))
    assert other["servers/scale.example.com"] == {"get", "patch"}
    assert other["servers.example.com"] == {"get"}


def test_reports_need_no_aggregated_api() -> None:
    assert environment(rendered("costApi.enabled=false"))["GPUCOST_PROGRESS_LISTEN"] == "0.0.0.0:9443"
    assert "GPUCOST_PROGRESS_LISTEN" not in environment(rendered())


def test_nodes_are_written_only_on_request() -> None:
    assert "patch" not in rules(rendered())["nodes"]
    objects = rendered("annotations.nodes=true")
    assert "patch" in rules(objects)["nodes"]
    assert environment(objects)["GPUCOST_NODE_ANNOTATIONS"] == "true"


def test_only_its_own_registration_may_be_changed() -> None:
    role = rendered()["ClusterRole/cost-gpucost-operator"]
    rule = next(rule for rule in role["rules"] if rule["resources"] == ["apiservices"])
    assert rule["resourceNames"] == ["v1alpha1.cost.gpucost.dev"]


def test_users_get_the_new_kinds_through_the_roles_they_have() -> None:
    def aggregated(objects: dict[str, dict[str, Any]], role: str) -> set[str]:
        prefix = "rbac.authorization.k8s.io/aggregate-to-"
        labels = objects[f"ClusterRole/cost-gpucost-{role}"]["metadata"]["labels"]
        return {label.removeprefix(prefix) for label in labels if label.startswith(prefix)}

    objects = rendered()
    assert aggregated(objects, "allocation-viewer") == {"view", "edit", "admin"}
    assert aggregated(objects, "trainingjob-viewer") == {"view", "edit", "admin"}
    assert aggregated(objects, "trainingjob-editor") == {"edit", "admin"}
    assert aggregated(objects, "pricebook-editor") == {"admin"}
    assert rules(objects, "ClusterRole/cost-gpucost-allocation-viewer") == {
        f"{name}.cost.gpucost.dev": {"get", "list"}
        for name in ("allocations", "offers", "runreports", "runreports/simulation", "savings", "unitcosts")
    }
    assert aggregated(rendered("rbac.aggregateClusterRoles=false"), "allocation-viewer") == set()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("promethus.url=http://x", "'promethus' not allowed"),
        ("ledger.pvc=true", "'pvc' not allowed"),
        ("settings.tick=5", "'tick' not allowed"),
        ("settings.tickSeconds=0", "/settings/tickSeconds"),
        ("settings.logFormat=xml", "/settings/logFormat"),
        ("prometheus.url=prometheus:9090", "/prometheus/url"),
        ("service.port=70000", "/service/port"),
        ("replicaCount=9", "/replicaCount"),
        ("replicaCount=2", "needs a database server"),
        ("serviceAccount.create=false", "serviceAccount.name is needed"),
    ],
)
def test_a_wrong_value_is_refused_by_name(setting: str, words: str) -> None:
    done = template(setting)
    assert done.returncode != 0
    assert words in done.stderr


def test_the_api_in_opencosts_shape_is_off_unless_asked_for() -> None:
    objects = rendered()
    assert "Service/cost-gpucost-opencost" not in objects
    assert "GPUCOST_OPENCOST_LISTEN" not in environment(objects)


def test_the_api_in_opencosts_shape_has_a_service_that_its_clients_find() -> None:
    secret = ("opencostApi.tokenSecret.name=dashboards", "opencostApi.tokenSecret.key=token")
    objects = rendered("opencostApi.enabled=true", *secret)
    service = objects["Service/cost-gpucost-opencost"]
    assert service["metadata"]["labels"]["app.kubernetes.io/name"] == "opencost"
    assert service["spec"]["selector"] == objects["Service/cost-gpucost"]["spec"]["selector"]
    (port,) = service["spec"]["ports"]
    assert (port["name"], port["port"], port["targetPort"]) == ("http-ui", 9003, "opencost")
    listening = {each["name"]: each["containerPort"] for each in pod(objects)["containers"][0]["ports"]}
    assert environment(objects)["GPUCOST_OPENCOST_LISTEN"] == f"0.0.0.0:{listening['opencost']}"
    key = environment(objects)["GPUCOST_OPENCOST_TOKEN"]["secretKeyRef"]
    assert key == {"name": "dashboards", "key": "token"}


def test_every_default_is_described_by_the_schema_and_the_other_way_round() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(schema["properties"]) - {"global"} == set(values)
    for name, field in schema["properties"].items():
        section = schema["$defs"].get(field.get("$ref", "").removeprefix("#/$defs/"), {})
        assert field.get("description") or section.get("description"), name
        if section:
            assert set(values[name]) <= set(section["properties"]), name


def notes(*settings: str) -> str:
    flags = [word for setting in settings for word in ("--set", setting)]
    done = helm("install", "cost", str(CHART), "-n", "gpucost-system", "--dry-run=client", *flags)
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("NOTES:")[2]


def test_the_notes_name_four_commands_and_warn_where_nothing_measures() -> None:
    assert notes().count("kubectl ") == 4
    assert "WARNING: prometheus.url is not set" in notes("settings.scrape=never")
    assert "the operator asks dcgm-exporter and gpucost-agent pods itself" in notes()
    for measured in (notes(), notes("prometheus.url=http://prometheus:9090", "settings.scrape=never")):
        assert "WARNING" not in measured
    assert "lost with the pod" in notes("ledger.persistence.enabled=false")


def test_the_password_of_a_database_is_mounted_and_never_in_the_environment() -> None:
    objects = rendered(
        "ledger.url=postgresql://gpucost@db:5432/gpucost",
        "ledger.passwordSecret.name=db",
        "ledger.passwordSecret.key=password",
        "ledger.tlsSecret=db-tls",
    )
    assert environment(objects)["GPUCOST_LEDGER_PASSWORD_FILE"] == "/etc/gpucost/ledger-password/password"
    volumes = {volume["name"]: volume for volume in pod(objects)["volumes"]}
    assert volumes["ledger-password"]["secret"] == {"secretName": "db"}
    assert volumes["ledger-tls"]["secret"] == {"secretName": "db-tls"}
    mounts = {mount["name"]: mount["mountPath"] for mount in pod(objects)["containers"][0]["volumeMounts"]}
    assert (mounts["ledger-password"], mounts["ledger-tls"]) == (
        "/etc/gpucost/ledger-password",
        "/etc/gpucost/ledger-tls",
    )
    assert "ledger" not in volumes
