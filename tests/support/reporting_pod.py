"""A pod that reports, without its program: what its Job gave it, tokens of the API server, and the real door."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from gpucost.sdk import CA_CERT, TOKEN, URL
from support.operator_world import Json, Team


def token_of(team: Team, pod: Json, audience: str) -> str:
    """A token as the kubelet asks for it: for the pod's account, bound to the pod."""
    metadata = pod["metadata"]
    reference = {"kind": "Pod", "apiVersion": "v1", "name": metadata["name"], "uid": metadata["uid"]}
    spec = {"audiences": [audience], "expirationSeconds": 3600, "boundObjectRef": reference}
    account = f"/api/v1/namespaces/{team.namespace}/serviceaccounts/default/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    return str(team.cluster.api.create(account, body)["status"]["token"])


def projected(team: Team, pod: Json, folder: Path) -> dict[str, str]:
    """The pod's environment with its projected volume as files, as the kubelet makes them."""
    sources = next(v for v in pod["spec"]["volumes"] if v["name"] == "gpucost-progress")["projected"]["sources"]
    token, authority = sources[0]["serviceAccountToken"], sources[1]["downwardAPI"]["items"][0]
    annotation = authority["fieldRef"]["fieldPath"].removeprefix("metadata.annotations['").removesuffix("']")
    (folder / token["path"]).write_text(token_of(team, pod, token["audience"]))
    (folder / authority["path"]).write_text(pod["metadata"]["annotations"][annotation])
    values = {one["name"]: one.get("value", "") for one in pod["spec"]["containers"][0]["env"]}
    return {URL: values[URL], CA_CERT: str(folder / "ca.crt"), TOKEN: str(folder / "token")}


@dataclass
class ReportingPod:
    """What the one pod of a run may say; `refused` is the last answer that was no 200."""

    environment: dict[str, str]
    refused: str = field(default="", init=False)

    @classmethod
    def of(cls, team: Team, pod: Json, folder: Path) -> ReportingPod:
        """With the environment of a pod that runs."""
        folder.mkdir(parents=True, exist_ok=True)
        return cls(projected(team, pod, folder))

    def tell(self, percent: float, saved_at: str = "") -> Json | None:
        """Report progress, and a checkpoint that was complete at an instant; the answer, None when it is to wait."""
        checkpoint = {"checkpoint": {"time": saved_at}} if saved_at else {}
        body = json.dumps({"trainerStatus": {"progressPercentage": percent}, **checkpoint}).encode()
        token = Path(self.environment[TOKEN]).read_text()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.environment[URL], body, headers, method="POST")
        context = ssl.create_default_context(cafile=self.environment[CA_CERT])
        try:
            with urllib.request.urlopen(request, context=context, timeout=10) as answer:
                found: Json = json.loads(answer.read())
                return found
        except urllib.error.HTTPError as error:
            self.refused = f"{error.code}: {error.read().decode(errors='replace')[:300]}"
            return None
