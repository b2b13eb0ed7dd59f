"""The words of the pages of rollouts, in Brazilian Portuguese."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ROLLOUT_WORDS: Mapping[str, str] = {
    # ── the plan ────────────────────────────────────────────────────────────────────────────────────────────
    "A few requests go to the challenger first, then more: {shares} of the traffic, step by step.": (
        "Poucas requisições vão primeiro ao desafiante, depois mais: {shares} do tráfego, passo a passo."
    ),
    "All the traffic goes to the challenger at once; the champion stands by in memory.": (
        "Todo o tráfego vai de uma vez ao desafiante; o campeão fica de prontidão na memória."
    ),
    "After the reply the challenger is asked {mirrored} of what the champion answered; no user sees it.": (
        "Depois da resposta, o desafiante recebe {mirrored} do que o campeão respondeu; nenhum usuário vê."
    ),
    "After the reply the challenger is asked {mirrored} of what the champion answered; labels judge it.": (
        "Depois da resposta, o desafiante recebe {mirrored} do que o campeão respondeu; os rótulos o julgam."
    ),
    (
        "An experiment: a fixed {shares} of the keys go to the challenger, and what its answers bring about "
        "judges it."
    ): "Um experimento: {shares} das chaves vão ao desafiante, julgado pelo que suas respostas causam.",
    "Each version gets as much traffic as its chance of being the best, and neither less than {least}.": (
        "Cada versão recebe tanto tráfego quanto a sua chance de ser a melhor, e nenhuma menos de {least}."
    ),
    "It wins when {metric} shows it to be better": "Vence quando {metric} mostra que é melhor",
    "It wins when {metric} shows no harm beyond {margin}": (
        "Vence quando {metric} não mostra dano além de {margin}"
    ),
    "It wins when no guard fires": "Vence quando nenhuma guarda dispara",
    "by itself": "sem intervenção",
    "a person decides": "uma pessoa decide",
    "A step lasts at least {bake} and {minimum}.": "Um passo dura ao menos {bake} e {minimum}.",
    "Without evidence after {longest} the champion stays.": (
        "Sem evidência após {longest}, o campeão continua."
    ),
    "Only these segments take part: {names}.": "Só participam estes segmentos: {names}.",
    "labelled predictions": "previsões rotuladas",
    "day": "dia",
    "days": "dias",
    "hour": "hora",
    "hours": "horas",
    "minute": "minuto",
    "minutes": "minutos",
    # ── the verdict ─────────────────────────────────────────────────────────────────────────────────────────
    "Version {challenger} was promoted: it is the champion now.": (
        "A versão {challenger} foi promovida: agora é a campeã."
    ),
    "Version {challenger} was rolled back; version {champion} takes all the traffic.": (
        "A versão {challenger} foi revertida; a versão {champion} recebe todo o tráfego."
    ),
    "Version {challenger} waits for its first step.": "A versão {challenger} espera pelo primeiro passo.",
    "Version {challenger} is paused: it stays at this step until somebody resumes it.": (
        "A versão {challenger} está em pausa: fica neste passo até que alguém a retome."
    ),
    "Version {challenger} stays at this step until there is evidence.": (
        "A versão {challenger} fica neste passo até haver evidência."
    ),
    "Version {challenger} is ready to be promoted by hand.": (
        "A versão {challenger} está pronta para ser promovida à mão."
    ),
    "Version {challenger} is ready for the next step, by hand.": (
        "A versão {challenger} está pronta para o próximo passo, à mão."
    ),
    "Labels say nothing of it yet.": "Os rótulos ainda nada dizem dela.",
    "Labels show that it is worse.": "Os rótulos mostram que é pior.",
    "Labels show that it is better.": "Os rótulos mostram que é melhor.",
    "Labels show no harm beyond the margin.": "Os rótulos não mostram dano além da margem.",
    "Labels do not tell the two apart yet.": "Os rótulos ainda não distinguem as duas.",
    "Outcomes say nothing of it yet.": "Os desfechos ainda nada dizem dela.",
    "Outcomes show that it is worse.": "Os desfechos mostram que é pior.",
    "Outcomes show that it is better.": "Os desfechos mostram que é melhor.",
    "Outcomes show no harm beyond the margin.": "Os desfechos não mostram dano além da margem.",
    "Outcomes do not tell the two apart yet.": "Os desfechos ainda não distinguem as duas.",
    "not known yet": "ainda desconhecido",
    "between {low} and {high}": "entre {low} e {high}",
    "Reason": "Motivo",
    "strategy": "estratégia",
    "at this step since": "neste passo desde",
    "ended": "fim",
    "up to": "até",
    "Rollout of {model}: v{challenger} against v{champion}": (
        "Implantação de {model}: v{challenger} contra v{champion}"
    ),
    # ── what it waits for, and what nobody knows ────────────────────────────────────────────────────────────
    "Until it is promoted": "Até a promoção",
    "Until the next step": "Até o próximo passo",
    "Without evidence by {time} the champion stays.": "Sem evidência até {time}, o campeão continua.",
    "needed": "necessário",
    "is it there?": "já há?",
    "yes": "sim",
    "not yet": "ainda não",
    "predictions at this step": "previsões neste passo",
    "labelled predictions at this step": "previsões rotuladas neste passo",
    "time at this step": "tempo neste passo",
    "upper bound of the difference in {metric}": "limite superior da diferença em {metric}",
    "What is not known yet": "O que ainda não se sabe",
    "What stayed unknown": "O que ficou sem resposta",
    "What its answers would have brought about: nobody saw them.": (
        "O que suas respostas teriam causado: ninguém as viu."
    ),
    "Whether it is slower: one of the two answered too few requests.": (
        "Se é mais lenta: uma das duas respondeu poucas requisições."
    ),
    "How it does outside of its segments.": "Como vai fora dos seus segmentos.",
    "How much better or worse it is: too few labels have come.": (
        "Quanto é melhor ou pior: vieram poucos rótulos."
    ),
    "Whether it is better or worse: the interval holds zero.": (
        "Se é melhor ou pior: o intervalo contém o zero."
    ),
    "The labels of {missing} of {answers} answers.": "Os rótulos de {missing} das {answers} respostas.",
    # ── the split, the labels, both versions ────────────────────────────────────────────────────────────────
    "intended": "pretendida",
    "dealt at this step": "feita neste passo",
    "dealt at the last step": "feita no último passo",
    "dealt in the last minute": "feita no último minuto",
    "requests": "requisições",
    "keys of the challenger": "chaves do desafiante",
    "is it as intended?": "é a pretendida?",
    "no: sample-ratio mismatch": "não: proporção amostral divergente",
    "Callers get the champion's answers; the challenger was asked {share} of them: {count}.": (
        "Quem pergunta recebe as respostas do campeão; o desafiante recebeu {share} delas: {count}."
    ),
    "What labels say": "O que dizem os rótulos",
    "The bounds hold at every look at once: they narrow as labels come.": (
        "Os limites valem em todas as olhadas ao mesmo tempo: estreitam à medida que chegam rótulos."
    ),
    "How much worse the challenger is in {metric}, at every look": (
        "Quanto o desafiante é pior em {metric}, a cada olhada"
    ),
    "difference in {metric}, below 0 is better": "diferença em {metric}, abaixo de 0 é melhor",
    "where it lies": "onde está",
    "no difference": "sem diferença",
    "margin": "margem",
    "observations": "observações",
    "Both versions": "As duas versões",
    "mean score": "escore médio",
    "How their scores are distributed": "Como se distribuem seus escores",
    "Both said the same on {same} of {compared} requests that both were asked.": (
        "As duas disseram o mesmo em {same} de {compared} requisições feitas a ambas."
    ),
    "log loss": "perda logarítmica",
    "squared": "erro quadrático",
    "absolute": "erro absoluto",
    "error": "taxa de erro",
    "cost": "custo",
    "outcome": "desfecho",
    # ── guards and moves ────────────────────────────────────────────────────────────────────────────────────
    "Guards": "Guardas",
    "guard": "guarda",
    "seen": "visto",
    "limit": "limite",
    "quiet": "calma",
    "fires": "dispara",
    "nothing seen yet": "nada visto ainda",
    "not asked for": "não pedida",
    "judged by the ring": "julgada pelo anel",
    "scores that are no numbers": "escores que não são números",
    "requests that failed": "requisições que falharam",
    "latency, of the champion's": "latência, sobre a do campeão",
    "distance between the scores": "distância entre os escores",
    "answers on which both agree": "respostas em que ambas concordam",
    "keys that went to the challenger": "chaves que foram ao desafiante",
    "Moves": "Movimentos",
    "move": "movimento",
    "asked for": "pedida",
    "began": "começou",
    "widened": "ampliada",
    "shifted": "deslocada",
    "paused": "em pausa",
    "resumed": "retomada",
    "Plan": "Plano",
    # ── the pages and their buttons ─────────────────────────────────────────────────────────────────────────
    "rollouts": "implantações",
    "with {share}": "com {share}",
    "asked {share} besides": "também recebe {share}",
    "at step {step} of {steps}, with {share}": "no passo {step} de {steps}, com {share}",
    "back to all rollouts": "voltar a todas as implantações",
    "This report as a file:": "Este relatório como arquivo:",
    "By hand": "À mão",
    "Begin a rollout": "Começar uma implantação",
    "the project's plan": "o plano do projeto",
    "Pause": "Pausar",
    "It stays at this step until somebody resumes it; harm ends it all the same.": (
        "Fica neste passo até que alguém a retome; dano a encerra mesmo assim."
    ),
    "Resume": "Retomar",
    "It goes on to the next step as soon as there is evidence.": (
        "Segue para o próximo passo assim que houver evidência."
    ),
    "Promote now": "Promover agora",
    "The challenger becomes the champion at once, whatever its evidence.": (
        "O desafiante vira campeão na hora, qualquer que seja a evidência."
    ),
    "Abort": "Abortar",
    "The champion takes all the traffic back, and the rollout ends.": (
        "O campeão retoma todo o tráfego, e a implantação termina."
    ),
    "Start": "Começar",
    "The version gets its first traffic as the strategy says.": (
        "A versão recebe o primeiro tráfego como diz a estratégia."
    ),
    "Reason, for the audit ledger": "Motivo, para o registro de auditoria",
    "I am sure": "Tenho certeza",
    "API key": "Chave de API",
    "Sign in": "Entrar",
    "Sign out": "Sair",
    "signed in with the key": "sessão da chave",
    "Sign in with an API key that has the role admin.": "Entre com uma chave de API que tenha o papel admin.",
    (
        "This project has no API keys, so buttons work only on its own machine. "
        "Make a key there with: esteira keys add NAME --role admin"
    ): (
        "Este projeto não tem chaves de API, então os botões só funcionam na própria máquina. "
        "Faça uma chave lá com: esteira keys add NOME --role admin"
    ),
    "There is no such button.": "Esse botão não existe.",
    "Choose a version.": "Escolha uma versão.",
    "Give a reason of up to 300 characters: the audit ledger keeps it.": (
        "Dê um motivo de até 300 caracteres: o registro de auditoria o guarda."
    ),
    "Confirm that you are sure.": "Confirme que tem certeza.",
    "Nothing was done, for this rollout has changed meanwhile: see below where it stands now.": (
        "Nada foi feito, pois esta implantação mudou nesse meio-tempo: veja abaixo onde está agora."
    ),
    "Nothing was done:": "Nada foi feito:",
    "This could not be finished:": "Isto não pôde ser concluído:",
    "This form did not come from this site; open the page here and try again.": (
        "Este formulário não veio deste site; abra a página aqui e tente de novo."
    ),
    "This page is out of date; load it again.": "Esta página está desatualizada; carregue-a de novo.",
    "This API key is not valid.": "Esta chave de API não é válida.",
    "This API key has not the role admin for this model.": (
        "Esta chave de API não tem o papel admin para este modelo."
    ),
}
