"""The messages of the kubelet's PodResources API, v1, as far as the agent reads them.

They are declared here field by field and built by the protobuf library when the module is loaded: no generated code
that has to match the version of the library, and no compiler. Fields that are not declared are skipped.
The numbers are those of k8s.io/kubelet/pkg/apis/podresources/v1.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

LIST = "/v1.PodResourcesLister/List"

_Field = tuple[str, int, str]
_TEXT = "string"
_MANY = "repeated "
_MESSAGES: dict[str, tuple[_Field, ...]] = {
    "ListPodResourcesRequest": (),
    "ListPodResourcesResponse": (("pod_resources", 1, "repeated PodResources"),),
    "PodResources": (("name", 1, _TEXT), ("namespace", 2, _TEXT), ("containers", 3, "repeated ContainerResources")),
    "ContainerResources": (
        ("name", 1, _TEXT),
        ("devices", 2, "repeated ContainerDevices"),
        ("dynamic_resources", 5, "repeated DynamicResource"),
    ),
    "ContainerDevices": (("resource_name", 1, _TEXT), ("device_ids", 2, "repeated string")),
    "DynamicResource": (
        ("claim_name", 2, _TEXT),
        ("claim_namespace", 3, _TEXT),
        ("claim_resources", 4, "repeated ClaimResource"),
    ),
    "ClaimResource": (
        ("cdi_devices", 1, "repeated CDIDevice"),
        ("driver_name", 2, _TEXT),
        ("pool_name", 3, _TEXT),
        ("device_name", 4, _TEXT),
    ),
    "CDIDevice": (("name", 1, _TEXT),),
}


def _declare(target: Any, field: _Field) -> None:
    name, number, kind = field
    proto = descriptor_pb2.FieldDescriptorProto
    label = proto.LABEL_REPEATED if kind.startswith(_MANY) else proto.LABEL_OPTIONAL
    kind = kind.removeprefix(_MANY)
    if kind == _TEXT:
        target.field.add(name=name, number=number, label=label, type=proto.TYPE_STRING)
    else:
        target.field.add(name=name, number=number, label=label, type=proto.TYPE_MESSAGE, type_name=f".v1.{kind}")


def _build() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="podresources.proto", package="v1", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field in fields:
            _declare(message, field)
    pool = descriptor_pool.DescriptorPool()  # our own: a process may hold only one file of a name in the shared one
    pool.Add(file)
    found = pool.FindFileByName(file.name).message_types_by_name
    return {name: message_factory.GetMessageClass(found[name]) for name in _MESSAGES}


_CLASSES = _build()
Request: Any = _CLASSES["ListPodResourcesRequest"]
Response: Any = _CLASSES["ListPodResourcesResponse"]
