"""A step that returns a combination: trained, judged, registered, deployed and asked as any other model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.project.worlds import HOUR, LIVE, rewrite

from esteira.project.release import champion_of, judge_and_register, load_model, train
from esteira.project.ring import Ring
from esteira.project.station import open_station
from esteira.serving.combining.files import bundle_digest, read_combination
from esteira.serving.runtimes import open_runtime

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

STEPS = """@step
def trees(train: pa.Table, seed: int = 7) -> Model:
    return fit("lightgbm:", train, signature_of(train), seed=seed, threads=1, max_rounds=40)


@step
def model(trees: Model, baseline: Model) -> Model:
    from esteira.serving.combining import weighted

    return weighted({"trees": trees, "straight": baseline}, {"trees": 0.75, "straight": 0.25})
"""


def test_a_step_may_return_a_combination_whose_members_read_views(fresh: Path) -> None:
    text = (fresh / "pumps.py").read_text(encoding="utf-8")
    own = text[text.index("@step\ndef model(") : text.index("@step\ndef baseline(")]
    rewrite(fresh, (own, f"{STEPS}\n\n"), ("holdout, model, baseline]", "holdout, trees, model, baseline]"))
    station = open_station(fresh, actor="test")
    ring = Ring(station)
    ring.ingest(LIVE - HOUR)
    ring.first_model()
    champion = champion_of(station)
    assert champion is not None
    model, outcome = load_model(station, champion), train(station)
    assert model.signature.views == outcome.value("trees").signature.views
    assert read_combination(model).members["trees"] == outcome.value("trees")
    assert model.facts["members"]["trees"] == bundle_digest(outcome.value("trees"))
    held = model.signature.encode_table(outcome.value("holdout"))
    scores, parts = open_runtime(model).predict_parts(held)
    assert np.array_equal(parts[:, 0], open_runtime(outcome.value("trees")).predict(held))
    assert np.allclose(scores, parts @ [0.75, 0.25])
    assert judge_and_register(station, train(station)).version.version == champion.version
