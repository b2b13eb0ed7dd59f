"""Models answer over HTTP here: routes, runtimes, the gateway and its process."""

from __future__ import annotations

from esteira.serving.address import PortInUse
from esteira.serving.process import GatewayProcess
from esteira.serving.routes import Arm, Routes, RouteStore, choose
from esteira.serving.runtimes import open_runtime, open_tensor_runtime
from esteira.serving.runtimes.payloads import sklearn_files, tensors_of, torch_files
from esteira.serving.runtimes.port import Runtime, TensorRuntime

__all__ = [
    "Arm",
    "GatewayProcess",
    "PortInUse",
    "RouteStore",
    "Routes",
    "Runtime",
    "TensorRuntime",
    "choose",
    "open_runtime",
    "open_tensor_runtime",
    "sklearn_files",
    "tensors_of",
    "torch_files",
]
