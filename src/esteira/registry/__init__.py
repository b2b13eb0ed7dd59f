"""Models as files, their versions and aliases in MLflow, and the journal of what was promoted."""

from esteira.registry.backends import open_backend
from esteira.registry.backends.port import Backend
from esteira.registry.bundle import Model
from esteira.registry.promotions import Promotion, PromotionJournal
from esteira.registry.signature import Column, Signature, ViewRef, WrongInput, infer_signature

__all__ = [
    "Backend",
    "Column",
    "Model",
    "Promotion",
    "PromotionJournal",
    "Signature",
    "ViewRef",
    "WrongInput",
    "infer_signature",
    "open_backend",
]
