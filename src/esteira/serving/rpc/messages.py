"""The messages of the gRPC services, described here and built at start: no generated code, no compiler.

Sources: kserve/open-inference-protocol, grpc_predict_v2.proto; triton-inference-server/common,
grpc_service.proto (the repository calls, and the parameters of both); grpc/grpc-proto, health.proto.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from esteira.base.errors import BadInput

Message: TypeAlias = Any  # of the pool below: its class is made at run time, so no type checker knows it

if TYPE_CHECKING:
    from collections.abc import Mapping

    Fields = tuple[str, ...]

INFERENCE, HEALTH = "inference.GRPCInferenceService", "grpc.health.v1.Health"

_TENSOR = ("1 name string", "2 datatype string", "3 shape int64*")
_TENSOR_WITH_DATA = (*_TENSOR, "4 parameters {InferParameter}", "5 contents InferTensorContents")
_NAMED_MODEL = ("1 name string", "2 version string")
_CHANGED_MODEL = (
    "1 repository_name string",
    "2 model_name string",
    "3 parameters {ModelRepositoryParameter}",
)

# Package → message → fields: number, name, type; "*" repeats, "{T}" maps texts to T. Outer messages first.
_MESSAGES: Mapping[str, Mapping[str, Fields]] = {
    "inference": {
        "ServerLiveRequest": (),
        "ServerLiveResponse": ("1 live bool",),
        "ServerReadyRequest": (),
        "ServerReadyResponse": ("1 ready bool",),
        "ServerMetadataRequest": (),
        "ServerMetadataResponse": ("1 name string", "2 version string", "3 extensions string*"),
        "ModelReadyRequest": _NAMED_MODEL,
        "ModelReadyResponse": ("1 ready bool",),
        "ModelMetadataRequest": _NAMED_MODEL,
        "ModelMetadataResponse": (
            "1 name string",
            "2 versions string*",
            "3 platform string",
            "4 inputs ModelMetadataResponse.TensorMetadata*",
            "5 outputs ModelMetadataResponse.TensorMetadata*",
        ),
        "ModelMetadataResponse.TensorMetadata": _TENSOR,
        "InferParameter": (
            "1 bool_param bool",
            "2 int64_param int64",
            "3 string_param string",
            "4 double_param double",
            "5 uint64_param uint64",
        ),
        "InferTensorContents": (
            "1 bool_contents bool*",
            "2 int_contents int32*",
            "3 int64_contents int64*",
            "4 uint_contents uint32*",
            "5 uint64_contents uint64*",
            "6 fp32_contents float*",
            "7 fp64_contents double*",
            "8 bytes_contents bytes*",
        ),
        "ModelInferRequest": (
            "1 model_name string",
            "2 model_version string",
            "3 id string",
            "4 parameters {InferParameter}",
            "5 inputs ModelInferRequest.InferInputTensor*",
            "6 outputs ModelInferRequest.InferRequestedOutputTensor*",
            "7 raw_input_contents bytes*",
        ),
        "ModelInferRequest.InferInputTensor": _TENSOR_WITH_DATA,
        "ModelInferRequest.InferRequestedOutputTensor": (
            "1 name string",
            "2 parameters {InferParameter}",
        ),
        "ModelInferResponse": (
            "1 model_name string",
            "2 model_version string",
            "3 id string",
            "4 parameters {InferParameter}",
            "5 outputs ModelInferResponse.InferOutputTensor*",
            "6 raw_output_contents bytes*",
        ),
        "ModelInferResponse.InferOutputTensor": _TENSOR_WITH_DATA,
        "ModelRepositoryParameter": (
            "1 bool_param bool",
            "2 int64_param int64",
            "3 string_param string",
            "4 bytes_param bytes",
        ),
        "RepositoryIndexRequest": ("1 repository_name string", "2 ready bool"),
        "RepositoryIndexResponse": ("1 models RepositoryIndexResponse.ModelIndex*",),
        "RepositoryIndexResponse.ModelIndex": (
            "1 name string",
            "2 version string",
            "3 state string",
            "4 reason string",
        ),
        "RepositoryModelLoadRequest": _CHANGED_MODEL,
        "RepositoryModelLoadResponse": (),
        "RepositoryModelUnloadRequest": _CHANGED_MODEL,
        "RepositoryModelUnloadResponse": (),
    },
    "grpc.health.v1": {
        "HealthCheckRequest": ("1 service string",),
        "HealthCheckResponse": ("1 status int32",),  # an enum in the source, which is a number on the wire
    },
}
_CHOICES = {"InferParameter": "parameter_choice", "ModelRepositoryParameter": "parameter_choice"}  # a oneof

_TYPES = {
    name: getattr(FieldDescriptorProto, f"TYPE_{name.upper()}")
    for name in ("bool", "int32", "int64", "uint32", "uint64", "float", "double", "string", "bytes")
}


class MalformedMessage(BadInput):
    """Bytes that are not the message that the call takes."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the request is not a {name}; check for a truncated message or another protocol")
        self.name = name


def parse(name: str, content: bytes) -> Any:  # noqa: ANN401 - a message class that is made at start
    """A message from its bytes. Raises: MalformedMessage.

    >>> parse("ModelReadyRequest", bytes.fromhex("0a046c617465")).name
    'late'
    """
    try:
        return MESSAGES[name].FromString(content)
    except DecodeError as wrong:
        raise MalformedMessage(name) from wrong


def plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of a message by name, each as the one value that it holds; None when it holds none."""
    chosen = {name: each.WhichOneof("parameter_choice") for name, each in parameters.items()}
    return {name: getattr(parameters[name], field) if field else None for name, field in chosen.items()}


def _classes() -> dict[str, Any]:
    pool = DescriptorPool()  # our own: a client in this process has its own copy of the same names
    found: dict[str, Any] = {}
    for package, messages in _MESSAGES.items():
        file = FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
        made: dict[str, DescriptorProto] = {}
        for name, fields in messages.items():
            outer, _, inner = name.rpartition(".")
            made[name] = (made[outer].nested_type if outer else file.message_type).add(name=inner)
            for line in fields:
                _add_field(made[name], name, package, line)
            if name in _CHOICES:
                made[name].oneof_decl.add(name=_CHOICES[name])
                for field in made[name].field:
                    field.oneof_index = 0
        pool.Add(file)
        for name in messages:
            found[name] = GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
    return found


def _add_field(message: DescriptorProto, path: str, package: str, line: str) -> None:
    number, name, kind = line.split()
    field = message.field.add(name=name, number=int(number), label=FieldDescriptorProto.LABEL_OPTIONAL)
    if kind.startswith("{"):  # a map is a repeated message of keys and values
        entry = message.nested_type.add(name=f"{name.capitalize()}Entry")
        entry.options.map_entry = True
        entry_path = f"{path}.{entry.name}"
        _add_field(entry, entry_path, package, "1 key string")
        _add_field(entry, entry_path, package, f"2 value {kind[1:-1]}")
        kind = f"{entry_path}*"
    if kind.endswith("*"):
        field.label = FieldDescriptorProto.LABEL_REPEATED
    kind = kind.rstrip("*")
    if kind in _TYPES:
        field.type = _TYPES[kind]
    else:
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{package}.{kind}"


MESSAGES: Mapping[str, Any] = _classes()  # by the name within its package, e.g. ModelInferRequest
