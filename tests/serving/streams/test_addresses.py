from __future__ import annotations

import pytest

from esteira.base.errors import BadInput, UnknownName
from esteira.serving.streams.addresses import credential, parse_address


def test_a_url_is_read_with_its_defaults() -> None:
    found = parse_address("kafka://a,b:99/orders%20new?group=g", 9092, ["group"])
    assert (found.hosts, found.name, dict(found.options)) == ("a:9092,b:99", "orders new", {"group": "g"})
    assert found.shown == "kafka://a:9092,b:99/orders new"
    assert parse_address("nats://[::1]/S", 4222, ()).hosts == "[::1]:4222"
    assert parse_address("nats://[::1]:5/S", 4222, ()).hosts == "[::1]:5"


@pytest.mark.parametrize("url", ["nats://host", "nats://host/", "nats:///S", "nats://h/a/b", "nats:S"])
def test_a_url_that_names_no_stream_is_refused_with_the_form(url: str) -> None:
    with pytest.raises(BadInput, match="nats://HOST:4222/NAME"):
        parse_address(url, 4222, ())


@pytest.mark.parametrize(
    "url", ["nats://h:x/S", "nats://h:0/S", "nats://h:70000/S", "nats://:4/S", "nats://a,,b/S"]
)
def test_a_port_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(BadInput, match="HOST:4222"):
        parse_address(url, 4222, ())


def test_half_an_address_is_refused_and_shows_no_credential() -> None:
    with pytest.raises(BadInput, match=r"nats: URL can be read .*; write nats://HOST:4222") as refused:
        parse_address("nats://ana:s3cret@[::1/S", 4222, ())
    assert "s3cret" not in str(refused.value)


def test_a_misspelt_option_is_refused_with_the_right_one() -> None:
    with pytest.raises(UnknownName, match="did you mean 'subject'"):
        parse_address("nats://h/S?subjet=x", 4222, ["subject", "durable"])


def test_credentials_come_from_the_environment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match="KAFKA_PASSWORD") as refused:
        parse_address("kafka://ana:s3cret@h/S", 9092, ())
    assert "s3cret" not in str(refused.value)
    monkeypatch.setenv("NATS_TOKEN", "t")
    assert (credential("NATS_TOKEN"), credential("NATS_NONESUCH")) == ("t", "")
