from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from esteira.base.errors import BadInput
from esteira.serving.rpc.messages import MESSAGES, MalformedMessage, parse, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = sorted(name for name in MESSAGES if not name.startswith("HealthCheck"))


def public(name: str) -> Any:
    """The same message as the public client has it."""
    found = service_pb2
    for part in name.split("."):
        found = getattr(found, part)
    return found.DESCRIPTOR


def facts(descriptor: Any) -> Iterator[tuple[Any, ...]]:
    for field in descriptor.fields:
        oneof, message = field.containing_oneof, field.message_type
        inner = tuple(facts(message)) if message is not None and message.GetOptions().map_entry else ()
        kind = message.full_name if message is not None else field.type
        yield field.number, field.name, kind, field.is_repeated, oneof and oneof.name, inner


@pytest.mark.parametrize("name", OURS)
def test_every_field_has_the_public_number_name_and_type(name: str) -> None:
    ours, theirs = MESSAGES[name].DESCRIPTOR, public(name)
    assert ours.full_name == theirs.full_name
    assert list(facts(ours)) == list(facts(theirs))


def test_our_messages_are_no_ones_else_and_the_bytes_are_the_same() -> None:
    request = service_pb2.ModelInferRequest(model_name="late", id="f1", raw_input_contents=[b"\0\1"])
    request.parameters["key"].string_param = "UA-1"
    request.inputs.add(name="miles", datatype="FP64", shape=[1]).contents.fp64_contents.append(1.5)
    read = parse("ModelInferRequest", request.SerializeToString())
    assert type(read) is not type(request)
    assert read.inputs[0].contents.fp64_contents == [1.5]
    assert plain(read.parameters) == {"key": "UA-1"}
    assert service_pb2.ModelInferRequest.FromString(read.SerializeToString()) == request


@given(st.sampled_from(OURS), st.binary(max_size=200))
def test_whatever_bytes_come_they_are_a_message_or_bad_input(name: str, content: bytes) -> None:
    with suppress(BadInput):
        assert type(parse(name, content)) is MESSAGES[name]


def test_bytes_that_are_no_message_are_refused_by_its_name() -> None:
    with pytest.raises(MalformedMessage, match="not a ModelInferRequest"):
        parse("ModelInferRequest", b"\x0a\xff")
    with pytest.raises(MalformedMessage):
        parse("ModelReadyRequest", b"\x0a\x02\xff\xfe")  # a name that is not UTF-8


def test_a_parameter_without_a_value_is_none() -> None:
    request = MESSAGES["ModelInferRequest"]()
    request.parameters["key"].SetInParent()
    request.parameters["many"].uint64_param = 2
    assert plain(request.parameters) == {"key": None, "many": 2}
