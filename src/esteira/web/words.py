"""The words of the pages, in English and Brazilian Portuguese."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

LANGUAGES = {"en": "English", "pt-BR": "Português"}

_PORTUGUESE: Mapping[str, str] = {
    "ring": "anel",
    "The ring": "O anel",
    "runs": "execuções",
    "models": "modelos",
    "traffic": "tráfego",
    "performance": "desempenho",
    "drift": "deriva",
    "alerts": "alertas",
    "data": "dados",
    "audit": "auditoria",
    "tables": "tabelas",
    "training": "treino",
    "registry": "registro",
    "gateway": "gateway",
    "labels": "rótulos",
    "rollout": "implantação",
    "rows": "linhas",
    "predictions": "previsões",
    "no model serves yet": "nenhum modelo em produção ainda",
    "all quiet": "tudo calmo",
    "none under way": "nenhuma em andamento",
    "The story so far": "A história até aqui",
    "Nothing has happened yet. Start with: esteira run": "Nada aconteceu ainda. Comece com: esteira run",
    "when": "quando",
    "why": "por quê",
    "step": "etapa",
    "time": "tempo",
    "started": "início",
    "version": "versão",
    "Versions": "Versões",
    "before": "antes",
    "alias": "alias",
    "gates": "portões",
    "metric": "métrica",
    "value": "valor",
    "interval": "intervalo",
    "created": "criada em",
    "digest": "digest",
    "Promotions": "Promoções",
    "Who answers now": "Quem responde agora",
    "Answers per day": "Respostas por dia",
    "revision": "revisão",
    "split": "divisão",
    "verdict": "veredito",
    "Rollouts": "Implantações",
    "since then": "desde então",
    "maturity": "maturidade",
    "window": "janela",
    "column": "coluna",
    "threshold": "limiar",
    "The columns that moved most": "As colunas que mais mudaram",
    "Now": "Agora",
    "Transitions": "Transições",
    "monitor": "monitor",
    "subject": "alvo",
    "state": "estado",
    "since": "desde",
    "message": "mensagem",
    "who": "quem",
    "action": "ação",
    "resource": "recurso",
    "The chain is whole": "A cadeia está íntegra",
    "The chain is broken at record": "A cadeia está rompida no registro",
    "records": "registros",
    "in quarantine": "em quarentena",
    "table": "tabela",
    "committed": "gravada em",
    "features": "features",
    "view": "visão",
    "keys": "chaves",
    "about": "sobre",
    "online": "online",
    "newest event": "evento mais novo",
    "distributions": "distribuições",
    "distribution": "distribuição",
    "From source to model": "Da fonte ao modelo",
    "From column to model": "Da coluna ao modelo",
    "source": "fonte",
    "event time": "tempo do evento",
    "created time": "tempo de registro",
    "newest known": "conhecido mais novo",
    "holds for": "vale por",
    "ever": "sempre",
    "computed on demand": "calculadas sob demanda",
    "known online until": "conhecido online até",
    "steps": "etapas",
    "Statistics": "Estatísticas",
    "feature": "feature",
    "type": "tipo",
    "null": "nulos",
    "distinct": "distintos",
    "mean": "média",
    "std": "desvio",
    "low": "mínimo",
    "median": "mediana",
    "high": "máximo",
    "new": "novo",
    "behind": "atrasado",
    "current": "em dia",
    "changed": "definição mudou",
    "unreachable": "inacessível",
    "count": "contagem",
    "sum": "soma",
    "min": "mínimo",
    "max": "máximo",
    "last": "último",
    "no such page": "página inexistente",
    "back to the ring": "voltar ao anel",
    "not enough data": "dados insuficientes",
    "worse": "pior",
    "ok": "ok",
    "drifted": "derivou",
    "cached": "do cache",
    "promoted": "promovida",
    "rolled back": "revertida",
    "passed": "passou",
    "failed": "falhou",
    "firing": "disparado",
    "pending": "pendente",
    "resolving": "resolvendo",
    "done": "concluída",
    "running": "executando",
    "champion": "campeão",
    "challenger": "desafiante",
    "There is nothing here yet.": "Ainda não há nada aqui.",
    "simulated time": "tempo simulado",
}


class Words:
    """Translates the pages' texts; a text without translation stays English.

    >>> Words("pt-BR")("alerts"), Words("en")("alerts")
    ('alertas', 'alerts')
    """

    def __init__(self, language: str) -> None:
        self.language = language if language in LANGUAGES else "en"

    def __call__(self, text: str) -> str:
        return _PORTUGUESE.get(text, text) if self.language == "pt-BR" else text

    def count(self, number: int) -> str:
        """A whole number; in Portuguese its thousands stand apart, for there a comma begins the fraction."""
        return f"{number:,}".replace(",", "\N{NO-BREAK SPACE}" if self.language == "pt-BR" else ",")


def negotiate(wanted: str | None, accepted: str, default: str) -> str:
    """The language of a visitor: the one asked for, else what the browser accepts, else the project's.

    >>> negotiate(None, "pt-BR,pt;q=0.9", "en"), negotiate("en", "pt-BR", "en")
    ('pt-BR', 'en')
    """
    if wanted in LANGUAGES:
        return wanted
    first = accepted.split(",", 1)[0].strip().lower()
    return {"pt": "pt-BR", "en": "en"}.get(first[:2], default)
