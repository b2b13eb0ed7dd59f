"""Pipelines: steps as plain functions, a cache that can be trusted, runs that survive `kill -9`."""

from __future__ import annotations

from esteira.pipelines.artifacts import ArtifactStore
from esteira.pipelines.code import fingerprint, versions
from esteira.pipelines.codecs.port import Codec, Unstorable
from esteira.pipelines.execution import StepFailed, WrongOutput
from esteira.pipelines.graph import Cycle, DoubledName, Graph, MissingParameter, UnknownStep
from esteira.pipelines.inputs import Input, Pinned
from esteira.pipelines.journal import Journal, RunInProgress, StepRecord, StepStatus
from esteira.pipelines.run import Outcome, StepEvent, run
from esteira.pipelines.runners.port import Runner
from esteira.pipelines.step import Step, step
from esteira.pipelines.why import why

__all__ = [
    "ArtifactStore",
    "Codec",
    "Cycle",
    "DoubledName",
    "Graph",
    "Input",
    "Journal",
    "MissingParameter",
    "Outcome",
    "Pinned",
    "RunInProgress",
    "Runner",
    "Step",
    "StepEvent",
    "StepFailed",
    "StepRecord",
    "StepStatus",
    "UnknownStep",
    "Unstorable",
    "WrongOutput",
    "fingerprint",
    "run",
    "step",
    "versions",
    "why",
]
