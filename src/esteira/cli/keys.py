"""`esteira keys add | list | revoke`: who may ask the gateway."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError
from typing import TYPE_CHECKING

from esteira.cli.acts import add_acts
from esteira.cli.output import print_json, print_table

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

    from esteira.project.station import Station
    from esteira.serving.access.keys import ApiKey

_DAYS = 90.0
_MOST_DAYS = 36_500.0


def configure(parser: ArgumentParser) -> None:
    acts = add_acts(
        parser,
        {
            "add": "make a key and show it, once",
            "list": "what keys there are and what they are for",
            "revoke": "shut a key out",
        },
    )
    add = acts["add"]
    add.add_argument("name", help="what records call it, such as who holds it")
    add.add_argument(
        "--role",
        action="append",
        required=True,
        help="what it may do: predict, report, observe or admin; may be given several times",
    )
    add.add_argument(
        "--model",
        action="append",
        default=[],
        help="the only model that it is for, or a pattern such as 'price-*'; may be given several times",
    )
    ends = add.add_mutually_exclusive_group()
    ends.add_argument("--days", type=_days, default=_DAYS, help=f"until it expires (default: {_DAYS:g})")
    ends.add_argument("--forever", action="store_true", help="it is valid until it is revoked")
    acts["list"].add_argument("--all", action="store_true", help="revoked and expired keys too")
    acts["revoke"].add_argument("name")
    for name, told in (("add", "made by hand"), ("revoke", "revoked by hand")):
        acts[name].add_argument("--reason", default=told, help="what the audit ledger keeps")


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = math.nan
    if not 0 < days <= _MOST_DAYS:
        raise ArgumentTypeError(f"must be a number of days above 0, up to {_MOST_DAYS:g}; found {text!r}")
    return days


def run(arguments: Namespace) -> int:
    from esteira.project.station import open_station

    station = open_station(arguments.folder)
    {"add": _add, "list": _list, "revoke": _revoke}[arguments.act](station, arguments)
    return 0


def _add(station: Station, arguments: Namespace) -> None:
    from datetime import timedelta

    from esteira.project.keys import add_key

    key, secret = add_key(
        station,
        arguments.name,
        arguments.role,
        models=arguments.model,
        lifetime=None if arguments.forever else timedelta(days=arguments.days),
        reason=arguments.reason,
    )
    if arguments.json:
        print_json({"key": secret.text, **_shown(station, key)})
    else:
        print(f"{secret.text}\nthis is key {key.name!r}; it is kept nowhere, so it cannot be shown again")


def _list(station: Station, arguments: Namespace) -> None:
    from esteira.project.keys import key_store

    found = [_shown(station, key) for key in key_store(station).all()]
    shown = [each for each in found if arguments.all or each["state"] == "valid"]
    if arguments.json:
        print_json({"keys": shown})
        return
    if not shown:
        print("no valid keys; make one with: esteira keys add NAME --role predict")
        return
    columns = ("name", "id", "roles", "models", "created", "expires", "state")
    print_table("keys", columns, [[_cell(each[column]) for column in columns] for each in shown])


def _revoke(station: Station, arguments: Namespace) -> None:
    from esteira.project.keys import revoke_key

    key = revoke_key(station, arguments.name, arguments.reason)
    if arguments.json:
        print_json({"name": key.name, "id": key.id, "state": "revoked"})
    else:
        print(f"key {key.name!r} is revoked")


def _cell(value: Any) -> object:  # noqa: ANN401 - a name, a list or a time
    if isinstance(value, list):
        return ", ".join(value)
    return f"{value:%Y-%m-%d %H:%M}" if hasattr(value, "strftime") else value


def _shown(station: Station, key: ApiKey) -> dict[str, Any]:
    """What a key is, without what opens anything."""
    from esteira.base.clock import from_micros
    from esteira.project.keys import standing

    return {
        "name": key.name,
        "id": key.id,
        "roles": list(key.roles),
        "models": list(key.models) or ["*"],
        "created": from_micros(key.created),
        "expires": None if key.expires is None else from_micros(key.expires),
        "state": standing(key, station.clock.micros()),
    }
