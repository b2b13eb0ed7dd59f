from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

import pytest
from tests.serving.worlds import deployment, tree_model, tree_score

from esteira.base.errors import CorruptArtifact
from esteira.pipelines.artifacts import ArtifactStore
from esteira.serving.live.assembly import Assembly
from esteira.serving.live.loads import Load
from esteira.serving.live.trimming import Trimming
from esteira.serving.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.serving.routes import Routes

ROW = [1.0, 0.0, 0.0]


class Bench:
    """An assembly and the store that it loads from."""

    def __init__(self, root: Path) -> None:
        self.artifacts = ArtifactStore(f"file:{root}/artifacts")
        self.trimming = Trimming(every_s=0)
        self.assembly = Assembly(
            self.artifacts.folder, lambda _views: pytest.fail("no views"), 60.0, self.trimming, Metrics()
        )

    def routes(self, *lows: float, shares: tuple[float, ...] = (1.0,)) -> Routes:
        return deployment(self.artifacts, *map(tree_model, lows), shares=shares)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_what_is_there_is_kept_and_the_rest_is_loaded(bench: Bench) -> None:
    before = bench.assembly.wait(bench.routes(-1.0), None)
    routes = bench.routes(-1.0, -2.0, shares=(0.5, 0.5))
    parts = bench.assembly.begin(routes, before)
    assert [isinstance(each, Load) for each in parts.values()] == [False, True]
    after = bench.assembly.wait(routes, before)
    assert after.champion.runtime is before.champion.runtime
    assert after.arms["challenger"].runtime.predict_row(ROW) == tree_score(-2.0)
    assert set(after.by_version) == {"1", "2"}


def test_the_size_counts_each_bundle_once(bench: Bench) -> None:
    routes = bench.routes(-1.0, -1.0, shares=(0.5, 0.5))
    alone = bench.assembly.size(bench.routes(-1.0))
    assert bench.assembly.size(routes) == alone > 0


def test_what_cannot_be_loaded_is_raised(bench: Bench) -> None:
    routes = bench.routes(-1.0)
    folder = bench.artifacts.folder(routes.champion.digest)
    (folder / "model.txt").write_bytes(b"garbage")
    with pytest.raises(CorruptArtifact):
        bench.assembly.wait(routes, None)


def test_a_version_that_nobody_holds_is_gone_without_the_collector_and_its_memory_given_back(
    bench: Bench,
) -> None:
    gc.disable()
    try:
        model = bench.assembly.wait(bench.routes(-1.0), None)
        runtime = weakref.ref(model.champion.runtime)
        del model
        assert runtime() is None
        assert bench.trimming.tick()
    finally:
        gc.enable()
