"""What esteira writes on a model version as tags, and how a version is read back from them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from esteira.base.clock import from_micros, parse_time
from esteira.base.errors import BadInput, CorruptArtifact
from esteira.base.records import ModelVersion

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

RUN = "esteira.run"  # our id of the run, on the backend's run and on the version
DIGEST = "esteira.digest"
_METRICS = "esteira.metrics"
_CREATED = "esteira.created_at"  # in the project's time, which may be simulated
_OWN = {RUN, DIGEST, _METRICS, _CREATED}


def version_marks(
    run: str, digest: str, metrics: Mapping[str, float], created_at: datetime
) -> dict[str, str]:
    """The tags of a version that esteira registers."""
    return {
        RUN: run,
        DIGEST: digest,
        _METRICS: json.dumps(dict(metrics), sort_keys=True),
        _CREATED: created_at.isoformat(),
    }


def version_record(found: Any, aliases: Iterable[str]) -> ModelVersion:  # noqa: ANN401 - MLflow ships no types
    """A version of MLflow as our record; one of other makers has no digest and no metrics.

    Raises: CorruptArtifact (a tag of ours was edited).
    """
    tags: dict[str, str] = dict(found.tags)
    try:
        metrics: dict[str, float] = json.loads(tags.get(_METRICS, "{}"))
        at = tags.get(_CREATED)
        created_at = parse_time(at) if at else from_micros(int(found.creation_timestamp) * 1000)
    except (ValueError, BadInput) as edited:
        what = f"tag {_METRICS} or {_CREATED} of {found.name} version {found.version}"
        raise CorruptArtifact(what, "what esteira wrote", str(edited)) from edited
    return ModelVersion(
        name=found.name,
        version=int(found.version),
        digest=tags.get(DIGEST, ""),
        run_id=tags.get(RUN) or found.run_id or "",
        created_at=created_at,
        aliases=tuple(sorted(aliases)),
        metrics=metrics,
        tags={key: value for key, value in tags.items() if key not in _OWN},
    )
