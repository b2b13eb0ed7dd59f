"""Models as files, their versions and aliases in MLflow, and the journal of what was promoted."""

from esteira.registry.backends import open_backend
from esteira.registry.backends.port import Backend
from esteira.registry.bundle import Model
from esteira.registry.columns import Column, WrongInput
from esteira.registry.derived import Derived
from esteira.registry.encodings import Encodings, UnfitEncoding
from esteira.registry.promotions import Promotion, PromotionJournal
from esteira.registry.signature import Signature, ViewRef, infer_signature
from esteira.registry.tensors import TensorSignature, TensorSpec

__all__ = [
    "Backend",
    "Column",
    "Derived",
    "Encodings",
    "Model",
    "Promotion",
    "PromotionJournal",
    "Signature",
    "TensorSignature",
    "TensorSpec",
    "UnfitEncoding",
    "ViewRef",
    "WrongInput",
    "infer_signature",
    "open_backend",
]
