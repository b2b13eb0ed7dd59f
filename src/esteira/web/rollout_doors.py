"""The addresses of rollouts: their pages, their reports as files, and the forms behind the buttons."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from esteira.base.errors import NotFound
from esteira.project.rollouts.report_files import POLICY
from esteira.project.rollouts.reporting import KINDS, report_text
from esteira.serving.access.guard import NotAllowed, NotAuthenticated
from esteira.web.pressing import NO_BUTTON, START, NotPressed, Presser
from esteira.web.rollouts import RolloutPages
from esteira.web.signing import COOKIE, LIFE_S, Doorkeeper, is_from_here, is_same_token

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from esteira.project.station import Station
    from esteira.web.pulse import Pulses
    from esteira.web.signing import Visitor
    from esteira.web.words import Words

log = logging.getLogger(__name__)

PATH = "/rollouts"
NOT_FROM_HERE = "This form did not come from this site; open the page here and try again."
STALE = "This page is out of date; load it again."
BAD_KEY = "This API key is not valid."
OTHER_ROLE = "This API key has not the role admin for this model."
_LARGEST = 8_192  # bytes of a form
_FORM = "application/x-www-form-urlencoded"
_TYPES = {"html": "text/html", "md": "text/markdown", "json": "application/json"}


class Renderer(Protocol):
    """What makes a page of a template."""

    def words(self, request: Request) -> Words:
        """The language of a visitor."""
        ...

    def page(self, template: str, say: Words, here: str, *, status: int = 200, **values: object) -> Response:
        """A page."""
        ...

    def missing_page(self, say: Words) -> Response:
        """That there is no such page."""
        ...


class RolloutDoors:
    """Answers under /rollouts."""

    def __init__(self, station: Station, pulses: Pulses, renderer: Renderer) -> None:
        self._station, self._renderer = station, renderer
        self._pages = RolloutPages(station, pulses)
        self._presser = Presser(station)
        self._keeper = Doorkeeper(station)

    def routes(self) -> list[Route]:
        """For the application."""
        return [
            Route(PATH, self.all),
            Route(PATH, self.post, methods=["POST"]),
            Route(f"{PATH}/{{id}}", self.one),
            Route(f"{PATH}/{{id}}", self.post, methods=["POST"]),
            Route(f"{PATH}/{{id}}/report.{{kind}}", self.report),
        ]

    async def all(self, request: Request) -> Response:
        """All rollouts."""
        return await run_in_threadpool(self._show, request)

    async def one(self, request: Request) -> Response:
        """One rollout."""
        return await run_in_threadpool(self._show, request)

    async def report(self, request: Request) -> Response:
        """The report of a rollout as a file."""
        return await run_in_threadpool(self._report, request)

    async def post(self, request: Request) -> Response:
        """A form: signing in or out, or a button."""
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
            return Response("send a form of this site", 415)
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _LARGEST:
                return Response("this form is too large", 413)
        form = dict(parse_qsl(body.decode("utf-8", "replace")))
        return await run_in_threadpool(self._take, request, form)

    def _show(self, request: Request, refused: NotPressed | None = None) -> Response:
        say = self._renderer.words(request)
        notice = "" if refused is None else f"{say(refused.why)} {refused.detail}".strip()
        status = 200 if refused is None else refused.status
        rollout_id, visitor = request.path_params.get("id"), self._keeper.visitor(request)
        values: dict[str, Any] = {"visitor": visitor, "notice": notice, "status": status, "has_forms": True}
        if rollout_id is None:
            page = self._pages.all(say)
            values |= {"page": page, "start": START, "title": "rollouts"}
            return self._renderer.page("rollouts.html", say, "rollouts", **values)
        try:
            one = self._pages.one(rollout_id, say)
        except NotFound:
            return self._renderer.missing_page(say)
        title = f"{say('rollout')} {rollout_id}"
        return self._renderer.page("rollout.html", say, "rollouts", title=title, page=one, **values)

    def _report(self, request: Request) -> Response:
        say, kind = self._renderer.words(request), request.path_params["kind"]
        rollout_id = request.path_params["id"]
        try:
            report = self._pages.report(rollout_id)
        except NotFound:
            return self._renderer.missing_page(say)
        if kind not in KINDS:
            return self._renderer.missing_page(say)
        headers = {"content-security-policy": f"{POLICY}; frame-ancestors 'none'"}
        headers |= {"cache-control": "no-store", "x-content-type-options": "nosniff"}
        headers["content-disposition"] = f'inline; filename="{report.rollout.id}.{kind}"'
        text = report_text(report, kind, say, say.language)
        return Response(text, 200, headers, f"{_TYPES[kind]}; charset=utf-8")

    def _take(self, request: Request, form: Mapping[str, str]) -> Response:
        if not is_from_here(request):
            return self._show(request, NotPressed(403, NOT_FROM_HERE))
        try:
            if form.get("act") == "sign-in":
                return self._sign_in(request, form)
            visitor = self._keeper.visitor(request)
            if not visitor.may_act:
                raise NotPressed(403, visitor.why_not)
            if not is_same_token(visitor, form.get("token", "")):
                raise NotPressed(403, STALE)
            return self._pressed(request, visitor, form)
        except NotFound:
            return self._renderer.missing_page(self._renderer.words(request))
        except NotPressed as refused:
            log.info("button refused", extra={"path": request.url.path, "why": str(refused)})
            return self._show(request, refused)

    def _pressed(self, request: Request, visitor: Visitor, form: Mapping[str, str]) -> Response:
        if form.get("act") == "sign-out":
            self._keeper.sign_out(request)
            gone = self._back(request)
            gone.delete_cookie(COOKIE, path=PATH, httponly=True, samesite="strict")
            return gone
        rollout_id = request.path_params.get("id")
        if rollout_id is not None:
            self._presser.press(visitor, rollout_id, form)
            return self._back(request)
        if form.get("act") != START.act:
            raise NotPressed(400, NO_BUTTON)
        return self._back(request, f"{PATH}/{self._presser.start(visitor, form).id}")

    def _sign_in(self, request: Request, form: Mapping[str, str]) -> Response:
        try:
            secret = self._keeper.sign_in(form.get("key", "").strip())
        except NotAuthenticated:
            raise NotPressed(401, BAD_KEY) from None
        except NotAllowed:
            raise NotPressed(403, OTHER_ROLE) from None
        answer = self._back(request)
        is_secure = request.url.scheme == "https"
        answer.set_cookie(
            COOKIE, secret, max_age=int(LIFE_S), path=PATH, httponly=True, samesite="strict", secure=is_secure
        )
        return answer

    def _back(self, request: Request, path: str = "") -> Response:
        language = self._renderer.words(request).language
        return RedirectResponse(f"{path or request.url.path}?lang={language}", 303)
