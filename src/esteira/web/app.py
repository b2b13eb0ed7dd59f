"""The site: one server-rendered page per room, in English and Portuguese."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from esteira import __version__
from esteira.base.errors import EsteiraError, NotFound, UnknownName
from esteira.project.overview import overview
from esteira.project.station import Station, open_station
from esteira.project.story import Story
from esteira.web import pages
from esteira.web.features import feature_view, features
from esteira.web.pulse import Pulses
from esteira.web.ring import ring
from esteira.web.rollout_doors import RolloutDoors
from esteira.web.serving import model_page, serving_page
from esteira.web.words import LANGUAGES, Words, negotiate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request
    from starlette.responses import Response

log = logging.getLogger(__name__)

_HERE = Path(__file__).parent
_SECTIONS: dict[str, Callable[[Station, Words], list[pages.Section]]] = {
    "data": pages.data,
    "features": features,
    "runs": pages.runs,
    "models": pages.models,
    "traffic": pages.traffic_page,
    "performance": pages.performance,
    "drift": pages.drift,
    "alerts": pages.alerts,
    "audit": pages.audit,
}
_PAGES = (
    *("ring", "data", "features", "runs", "models", "serving", "traffic", "rollouts"),
    *("performance", "drift", "alerts", "audit"),
)
_POLICY = (
    "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
}
_WITH_FORMS = _HEADERS | {
    "content-security-policy": _POLICY.replace("form-action 'none'", "form-action 'self'")
}


@dataclass(frozen=True, slots=True)
class _Event:
    at: Any
    message: str
    alarming: bool


class Site:
    """Renders the pages of one station."""

    def __init__(self, station: Station) -> None:
        self._station, self._pulses = station, Pulses(station.settings)
        self.rollouts = RolloutDoors(station, self._pulses, self)
        self._templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined
        )

    async def front(self, request: Request) -> Response:
        """The ring and the story."""
        return await run_in_threadpool(self._front, request)

    async def section(self, request: Request) -> Response:
        """One room's page."""
        return await run_in_threadpool(self._section, request)

    async def view(self, request: Request) -> Response:
        """One feature view."""
        return await run_in_threadpool(self._view, request)

    async def serving(self, request: Request) -> Response:
        """The gateway and its models."""
        return await run_in_threadpool(self._serving, request)

    async def served(self, request: Request) -> Response:
        """One model that the gateway serves."""
        return await run_in_threadpool(self._served, request)

    @asynccontextmanager
    async def living(self, _app: Starlette) -> AsyncIterator[None]:
        """While the site runs it looks at the gateways: a page shows the minutes before it, too."""
        self._pulses.watch()
        yield
        self._pulses.close()

    async def state(self, request: Request) -> Response:
        """The page before one asks for it: is the site there?"""
        del request
        return JSONResponse({"project": self._station.project.name})

    def _front(self, request: Request) -> Response:
        say = self.words(request)
        events = [
            _Event(event.at, event.tell(say.language), event.is_alarming)
            for event in reversed(Story(self._station.state).events(newest=200))
        ]
        drawn = ring(overview(self._station), say, say.language)
        return self.page("ring.html", say, "ring", title="The ring", ring=drawn, story=events)

    def _section(self, request: Request) -> Response:
        say = self.words(request)
        name = request.path_params["page"]
        if name not in _SECTIONS:
            return self.missing_page(say)
        return self.page("sections.html", say, name, title=name, sections=_SECTIONS[name](self._station, say))

    def _view(self, request: Request) -> Response:
        say = self.words(request)
        name = request.path_params["name"]
        try:
            sections = feature_view(self._station, say, name)
        except UnknownName:
            return self.missing_page(say)
        title = f"{say('view')} {name}"
        return self.page("sections.html", say, "features", title=title, sections=sections)

    def _serving(self, request: Request) -> Response:
        say = self.words(request)
        page = serving_page(self._station, self._pulses, say, _port(request))
        root = self._station.settings.root
        return self.page("serving.html", say, "serving", title="serving", page=page, root=root)

    def _served(self, request: Request) -> Response:
        say, name = self.words(request), request.path_params["name"]
        try:
            model = model_page(self._station, self._pulses, say, name, _port(request))
        except NotFound:
            return self.missing_page(say)
        title = f"{say('model')} {name}"
        return self.page("served_model.html", say, "serving", title=title, model=model)

    async def missing(self, request: Request, error: Exception) -> Response:
        """An address that leads nowhere."""
        del error
        return await run_in_threadpool(self.missing_page, self.words(request))

    def missing_page(self, say: Words) -> Response:
        """That there is no such page."""
        return self.page("missing.html", say, "", status=404, title="no such page")

    def words(self, request: Request) -> Words:
        """The language of a visitor."""
        accepted = request.headers.get("accept-language", "")
        return Words(
            negotiate(request.query_params.get("lang"), accepted, self._station.settings.web.language)
        )

    def page(self, template: str, say: Words, here: str, *, status: int = 200, **values: object) -> Response:
        """A template as a page; one that has forms may send them back here."""
        html = self._templates.get_template(template).render(
            say=say,
            here=here,
            pages=_PAGES,
            languages=LANGUAGES,
            project=self._station.project.name,
            now=self._station.clock.now(),
            simulated=self._station.settings.clock.startswith("simulated"),
            release=__version__,
            **values,
        )
        return HTMLResponse(html, status, _WITH_FORMS if values.get("has_forms") else _HEADERS)


async def _refused(request: Request, error: Exception) -> Response:
    """A store that cannot be read: said in a line, logged, no traceback to the visitor."""
    log.error("page failed", extra={"path": request.url.path, "error": str(error)})
    return HTMLResponse(f"<p>{type(error).__name__}: see the server's log</p>", 503, _HEADERS)


def _port(request: Request) -> int | None:
    """The port that a visitor asks for, of several gateways."""
    text = request.query_params.get("port", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else None


def create_app(station: Station) -> Starlette:
    """The ASGI application for a station."""
    site = Site(station)
    routes = [
        Route("/", site.front),
        Route("/healthz", site.state),
        Mount("/static", StaticFiles(directory=_HERE / "static")),
        Route("/features/{name}", site.view),
        Route("/serving", site.serving),
        Route("/serving/{name:path}", site.served),
        *site.rollouts.routes(),
        Route("/{page}", site.section),
    ]
    handlers: dict[Any, Any] = {404: site.missing, EsteiraError: _refused}
    return Starlette(routes=routes, exception_handlers=handlers, lifespan=site.living)


def application(root: str) -> Starlette:
    """The application of a project folder, for a server that starts it by name."""
    return create_app(open_station(Path(root)))
