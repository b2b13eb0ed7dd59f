"""LightGBM's trees compiled to machine code when they are loaded: seconds to load, microseconds to ask.

A store holds LightGBM's text and never code. Nothing that was compiled is kept: a bundle has no place beside
it that its digest covers, and a cache file would be run as it is found.
Source: lleaves 1.3. Its own `compile` asks for a pass builder that llvmlite took out in 0.45, so its parser
and generator are used and the passes of LLVM are run here.
"""

from __future__ import annotations

import ctypes
import struct
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from lleaves.compiler import tree_compiler

from esteira.base.errors import BadInput
from esteira.base.files import writing
from esteira.serving.runtimes.tree_text import PAYLOAD, check_classes, check_columns, sound_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from esteira.registry.bundle import Model

    Forest = Any  # and what is made of it; lleaves ships no types

_ENTRY = "forest_root"
_ARGUMENTS = (None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32)
_llvm = tree_compiler.llvm  # llvmlite's binding
_compiling = threading.Lock()  # LLVM's one context


class NotCompilable(BadInput):
    """A model of LightGBM that lleaves cannot compile."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"lleaves cannot compile the model: {reason[:200]}; use runtime 'lightgbm'")
        self.reason = reason


class _Row:
    """What one thread reads and writes for a row."""

    def __init__(self, columns: int) -> None:
        self.row, self.score = (ctypes.c_double * columns)(), ctypes.c_double()
        self.write = struct.Struct(f"{columns}d").pack_into
        self.arguments = (ctypes.addressof(self.row), ctypes.addressof(self.score), 0, 1)


class LleavesRuntime:
    """LightGBM's trees for two classes or one number, as machine code.

    Raises: CorruptArtifact, NotCompilable.
    """

    is_exact = True

    def __init__(self, model: Model) -> None:
        text = sound_text(model.files.get(PAYLOAD, b""))
        if b"\nis_linear=" in text:
            raise NotCompilable("linear trees, whose leaves it would take for numbers")
        forest = _parsed(text)
        self._columns = len(model.signature.columns)
        check_columns(self._columns, len(forest.features))
        check_classes(forest.n_classes)
        self._engine = _compiled(forest)  # holds the code
        address = self._engine.get_function_address(_ENTRY)
        # Microseconds of work: giving up the interpreter lock would cost more than it frees.
        self._score_one = ctypes.PYFUNCTYPE(*_ARGUMENTS)(address)
        self._score_many = ctypes.CFUNCTYPE(*_ARGUMENTS)(address)
        self._local = threading.local()

    def predict_row(self, row: list[float]) -> float:
        prepared: _Row | None = getattr(self._local, "row", None)
        if prepared is None:
            prepared = self._local.row = _Row(self._columns)
        prepared.write(prepared.row, 0, *row)
        self._score_one(*prepared.arguments)
        return prepared.score.value

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        rows = np.ascontiguousarray(matrix, dtype=np.float64)
        if rows.shape[1:] != (self._columns,):
            raise BadInput(f"the model takes {self._columns} columns, found shape {rows.shape}")
        scores = np.empty(len(rows), dtype=np.float64)
        if len(rows):
            self._score_many(rows.ctypes.data, scores.ctypes.data, 0, len(rows))
        return scores


def _parsed(text: bytes) -> Forest:
    with writing(Path(PAYLOAD)), TemporaryDirectory(prefix="esteira-lleaves-") as folder:
        path = Path(folder) / PAYLOAD  # its parser reads files only
        path.write_bytes(text)
        try:
            forest = tree_compiler.parse_to_ast(path)
        except Exception as broken:  # what lleaves does not know breaks it in any way
            raise NotCompilable(str(broken)) from broken
    forest.raw_score = False
    return forest


def _compiled(forest: Forest) -> Forest:
    with _compiling:
        try:
            module = _generated(forest)
            target = _target()
            builder = _llvm.create_pass_builder(target, _llvm.create_pipeline_tuning_options(speed_level=2))
            builder.getModulePassManager().run(module, builder)
            engine = _llvm.create_mcjit_compiler(module, target)
            engine.finalize_object()
            engine.run_static_constructors()
        except Exception as broken:  # deep trees, objectives that lleaves does not know, LLVM itself
            raise NotCompilable(str(broken) or type(broken).__name__) from broken
    return engine


def _generated(forest: Forest) -> Forest:
    code = tree_compiler.llvmlite.ir.Module(name="forest")
    # One block of all trees: the sum of a row is then made in one order, LightGBM's.
    tree_compiler.gen_forest(forest, code, max(len(forest.trees), 1), _ENTRY, use_fp64=True)
    for function in code.functions:
        if function.blocks and function.name != _ENTRY:
            function.attributes.add("noinline")  # a forest in one function takes minutes to compile
    code.triple = _llvm.get_process_triple()
    module = _llvm.parse_assembly(str(code))
    module.verify()
    return module


def _target() -> Forest:
    _llvm.initialize_native_target()
    _llvm.initialize_native_asmprinter()
    return _llvm.Target.from_triple(_llvm.get_process_triple()).create_target_machine(
        cpu=_llvm.get_host_cpu_name(),
        features=_llvm.get_host_cpu_features().flatten(),
        reloc="pic",
        codemodel="large",
        opt=1,  # of the instructions; more takes longer and answers no sooner
    )
