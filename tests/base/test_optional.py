from __future__ import annotations

import sys
from datetime import UTC, datetime
from importlib.util import find_spec

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.errors import BadInput, MissingExtra, UnknownScheme
from esteira.base.optional import EXTRAS, load, open_by_scheme, path_of

NEW_YEAR = datetime(2013, 1, 1, tzinfo=UTC)
relative = st.text("abc./-_ é", min_size=1, max_size=30).filter(lambda path: not path.startswith("/"))
schemes = st.sampled_from(["file", "sqlite", "lmdb", "delta", "simulated"])


def test_a_target_is_loaded_by_name() -> None:
    assert load("esteira.base.errors:BadInput") is BadInput


@pytest.mark.parametrize("vendor", sorted(EXTRAS))
def test_a_vendor_that_is_absent_gives_the_command_that_mends_it(
    vendor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, vendor, None)  # what an import sees when the vendor is not installed
    with pytest.raises(MissingExtra, match=rf"pip install 'esteira-ml\[{EXTRAS[vendor]}\]'"):
        load(f"{vendor}:anything")


@pytest.mark.parametrize("vendor", sorted(EXTRAS))
def test_every_vendor_that_is_named_can_be_installed(vendor: str) -> None:
    assert find_spec(vendor) is not None


def test_a_mistake_of_our_own_is_not_reported_as_a_missing_extra() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"esteira\.base\.nothing"):
        load("esteira.base.nothing:Thing")
    with pytest.raises(AttributeError, match="Nothing"):
        load("esteira.base.errors:Nothing")


def test_options_reach_the_implementation() -> None:
    clock = open_by_scheme({"simulated": "esteira.base.clock:SimulatedClock"}, "simulated:", start=NEW_YEAR)
    assert (clock.url, clock.now()) == ("simulated:", NEW_YEAR)


def test_a_bare_name_is_a_scheme() -> None:
    assert open_by_scheme({"error": "esteira.base.errors:BadInput"}, "error").args == ("error",)


def test_a_url_that_cannot_be_split_still_has_its_scheme() -> None:
    assert open_by_scheme({"error": "esteira.base.errors:BadInput"}, "error://[::1").args == ("error://[::1",)
    with pytest.raises(UnknownScheme, match="use one of: error"):
        open_by_scheme({"error": "esteira.base.errors:BadInput"}, "other://[::1")


def test_a_scheme_nobody_answers_to_is_refused_with_those_that_exist() -> None:
    with pytest.raises(UnknownScheme, match="use one of: lmdb, memory") as refused:
        open_by_scheme({"memory": "", "lmdb": ""}, "redis://localhost")
    assert refused.value.url == "redis://localhost"


@given(schemes, relative)
def test_a_relative_path_comes_out_of_a_url_as_it_was(scheme: str, path: str) -> None:
    assert path_of(f"{scheme}:{path}") == path


@given(schemes, relative)
def test_an_absolute_path_may_be_written_with_one_or_four_slashes(scheme: str, path: str) -> None:
    assert path_of(f"{scheme}:/{path}") == path_of(f"{scheme}:////{path}") == f"/{path}"
