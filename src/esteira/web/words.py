"""The words of the pages, in English and Brazilian Portuguese."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.web.rollout_words import ROLLOUT_WORDS

if TYPE_CHECKING:
    from collections.abc import Mapping

LANGUAGES = {"en": "English", "pt-BR": "Português"}

_PORTUGUESE: Mapping[str, str] = {
    **ROLLOUT_WORDS,
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
    "serving": "serviço",
    "model": "modelo",
    "not running": "parado",
    "draining": "encerrando",
    "ready": "no ar",
    "loading": "carregando",
    "unloading": "saindo",
    "unavailable": "indisponível",
    "on demand": "sob demanda",
    "no gateway runs": "nenhum gateway em execução",
    "No gateway of this project runs.": "Nenhum gateway deste projeto está em execução.",
    "Start one with everything around it, or by itself:": "Inicie um com tudo ao redor, ou só ele:",
    "Nobody answers on a port whose folder is there: a gateway was killed, or is only starting.": (
        "Ninguém responde em uma porta cuja pasta existe: um gateway foi morto, ou ainda está iniciando."
    ),
    "Ports": "Portas",
    "Requests a second, last five minutes": "Requisições por segundo, últimos cinco minutos",
    "Models that are not listed, for they were asked least:": (
        "Modelos que não estão na lista, por receberem menos requisições:"
    ),
    "How to ask": "Como perguntar",
    "Its tensors are too large for an example.": "Seus tensores são grandes demais para um exemplo.",
    "/invocations asks another model: it names none.": (
        "/invocations, que não nomeia nenhum modelo, pergunta a outro."
    ),
    "Its OpenAPI document": "Seu documento OpenAPI",
    "back to serving": "voltar ao serviço",
    "since the start": "desde o início",
    "last minute": "último minuto",
    "Latency, last minute": "Latência, último minuto",
    "Latency, since the start": "Latência, desde o início",
    "How latencies spread": "Como as latências se distribuem",
    "whole request": "requisição inteira",
    "in the model": "no modelo",
    "mean of a request": "média de uma requisição",
    "of it in the model": "dela, no modelo",
    "of it the server's own": "dela, do próprio servidor",
    "p50 in the model": "p50 no modelo",
    "p99 in the model": "p99 no modelo",
    "rows of one call, mean": "linhas por chamada, média",
    "requests a second": "requisições por segundo",
    "a second": "por segundo",
    "errors a second": "erros por segundo",
    "refused a second": "recusadas por segundo",
    "rows that wait": "linhas em espera",
    "memory": "memória",
    "memory of all workers": "memória dos workers",
    "newest revision": "revisão mais nova",
    "could not be taken up": "não pôde ser assumida",
    "arm": "braço",
    "share": "parcela",
    "Changes": "Mudanças",
    "what": "o quê",
    "loaded": "carregado",
    "unloaded": "descarregado",
    "Answers by status": "Respostas por status",
    "Answers that no model gave": "Respostas que nenhum modelo deu",
    "protocol": "protocolo",
    "status": "status",
    "Refused": "Recusadas",
    "refused": "recusadas",
    "reason": "motivo",
    "too many waited for the model": "requisições demais esperavam pelo modelo",
    "it would have waited beyond its deadline": "esperaria além do seu prazo",
    "the gateway was overloaded": "o gateway estava sobrecarregado",
    "Models": "Modelos",
    "who answers": "quem responde",
    "all requests": "todas as requisições",
    "errors": "erros",
    "now": "agora",
    "Workers": "Workers",
    "workers": "workers",
    "process": "processo",
    "speaks": "fala",
    "GPU memory": "memória da GPU",
    "in flight": "em andamento",
    "models in memory": "modelos na memória",
    "within": "em até",
    "release": "versão do esteira",
    "other gateways": "outros gateways",
    "Logs": "Registros",
    "log": "registro",
    "waiting": "em espera",
    "left out": "deixados de fora",
    "What waits for the disk, and what was answered but left out of a log, since the start.": (
        "O que espera pelo disco, e o que foi respondido mas ficou fora de um registro, desde o início."
    ),
    "Who may ask": "Quem pode perguntar",
    "Anybody who reaches the gateway may ask; what changes models takes a key with the role admin.": (
        "Quem alcança o gateway pode perguntar; o que muda modelos exige uma chave com o papel admin."
    ),
    "Only who brings a key that is valid may ask.": "Só pergunta quem traz uma chave válida.",
    "Keys are made with: esteira keys add NAME --role predict": (
        "Chaves são feitas com: esteira keys add NOME --role predict"
    ),
    "key": "chave",
    "roles": "papéis",
    "every model": "todo modelo",
    "expires": "expira",
    "revoked": "revogada",
    "expired": "expirada",
    "valid": "válida",
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
