"""What the browser is answered. Every page is behind Airflow's login: who has not signed in gets 401 and no data."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode, urlsplit

import psycopg
from airflow.api_fastapi.core_api.security import GetUserDep, get_user, requires_access_dag
from airflow.configuration import conf
from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles

from adventureworks.catalog import ANALYSES, MARTS, SOURCE_TABLES, marts_of
from adventureworks.charts.dashboard import SPARK_HEIGHT, SPARK_WIDTH, forecast
from adventureworks.charts.monthly import bars, columns_and_line
from adventureworks.charts.theme import FONTS, Spec
from adventureworks.dashboard import PREFIX, figures
from adventureworks.errors import PlatformError, ServiceUnavailable
from adventureworks.incidents import ledger
from adventureworks.lineage import origins
from adventureworks.reports.delivery import KINDS, MEDIA_TYPES
from adventureworks.reports.delivery import files as filed
from adventureworks.settings import settings
from adventureworks.texts import LANGUAGES, Language, language
from adventureworks.texts.terms import dimension_name, verdict_name
from adventureworks.warehouse import open_warehouse
from adventureworks.warehouse.state import is_laid_out

STATIC = Path(str(files("adventureworks.dashboard"))) / "static"
STATEMENT_TIMEOUT_MS = 10_000
PAGES = ("overview", "forecast", "quality", "incidents", "lineage", "reports")

_POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
)

Found = TypeVar("Found")

_log = logging.getLogger(__name__)

app = FastAPI(title="AdventureWorks", docs_url=None, redoc_url=None, openapi_url=None, dependencies=[Depends(get_user)])
app.add_middleware(GZipMiddleware, minimum_size=1000)


# The looks of the pages hold no data, and the page that asks to sign in needs them.
app.mount("/static/fonts", StaticFiles(directory=FONTS), name="fonts")
app.mount("/static", StaticFiles(directory=STATIC), name="static")


@app.middleware("http")
async def _add_headers(request: Request, call_next: Callable[..., Any]) -> Any:
    request.state.nonce = secrets.token_urlsafe(16)
    answer = await call_next(request)
    answer.headers["Content-Security-Policy"] = _POLICY.replace("{nonce}", request.state.nonce)
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["Referrer-Policy"] = "same-origin"
    if request.url.path.startswith(f"{_prefix(request)}/static/"):
        answer.headers["Cache-Control"] = "private, max-age=3600"
    else:
        answer.headers["Cache-Control"] = "private, no-cache"
    return answer


@app.exception_handler(StarletteHTTPException)
async def _refused(request: Request, error: StarletteHTTPException) -> Response:
    return _explained(request, error.status_code)


@app.exception_handler(RequestValidationError)
async def _misspelt(request: Request, error: RequestValidationError) -> Response:
    return _explained(request, 404)


@app.exception_handler(PlatformError)
async def _broken(request: Request, error: PlatformError) -> Response:
    speech = language(_code(request))
    status = 503 if isinstance(error, ServiceUnavailable) else 500
    return _page(request, "message", speech, status, title=speech.text("This page cannot be shown now"), error=error)


@app.exception_handler(psycopg.Error)
async def _unread(request: Request, error: psycopg.Error) -> Response:
    _log.error("The dashboard could not read the warehouse", exc_info=error)
    cause = f"The warehouse did not answer this page: {error.diag.message_primary or type(error).__name__}."
    return await _broken(request, ServiceUnavailable(cause, "adventureworks doctor"))


def _speech(request: Request, lang: Annotated[str | None, Query()] = None) -> Language:
    return language(lang if lang in LANGUAGES else _code(request))


Speech = Annotated[Language, Depends(_speech)]


@app.get("/")
def root(request: Request) -> Response:
    """The first page."""
    return RedirectResponse(f"{_prefix(request)}/overview")


@app.get("/overview")
def overview(request: Request, speech: Speech) -> Response:
    """KPIs, how they came about, and what is fresh."""
    with _reading() as connection:
        if connection is None:
            return _nothing_yet(request, speech)
        shown = _remembered(connection, f"overview {speech.code}", lambda: figures.overview(connection, speech))
        assets = figures.assets(settings(), connection)
        incidents = ledger.open_incidents(connection)
    if shown.month is None:
        return _being_computed(request, speech, shown.is_computed)
    marts = [asset for asset in assets if asset.state.kind == "mart"]
    charts = {
        "history": lambda scheme: columns_and_line(
            [
                (speech.short_month(month), revenue, profit, partial)
                for month, revenue, profit, partial in shown.history
            ],
            speech,
            scheme=scheme,
        ),
        "territories": lambda scheme: bars(shown.territories, speech, width=260, scheme=scheme),
    }
    return _page(
        request,
        "overview",
        speech,
        shown=shown,
        standing={group.name: figures.standing(group.marts, assets, speech) for group in shown.groups},
        fresh=sum(asset.state.fresh and asset.state.verdict != "blocked" for asset in marts),
        marts=len(marts),
        reading_blocked=sum(bool(asset.state.reads_blocked) for asset in marts),
        incidents=incidents,
        charts=_both(charts),
    )


@app.get("/forecast")
def forecast_page(request: Request, speech: Speech, channel: str = "", territory: str = "") -> Response:
    """What is expected of each channel and territory, and how good such forecasts were."""
    with _reading() as connection:
        if connection is None:
            return _nothing_yet(request, speech)
        names = figures.series_names(connection)
        if not names:
            return _being_computed(request, speech)
        chosen = next((name for name in names if (name[0], str(name[1])) == (channel, territory)), names[0])
        series = figures.series(connection, *chosen)
    charts = {"forecast": lambda scheme: forecast(series.past, series.ahead, speech, scheme)}
    return _page(request, "forecast", speech, series=series, names=names, charts=_both(charts))


@app.get("/quality")
def quality(request: Request, speech: Speech) -> Response:
    """Freshness, version and verdict of every table and mart, and the scores of the data."""
    with _reading() as connection:
        if connection is None:
            return _nothing_yet(request, speech)
        overall, at, scores = figures.scores(connection)
        assets = figures.assets(settings(), connection)
    named = [(dimension_name(name, speech), score) for name, score in scores]
    verdicts = {asset.state.verdict: verdict_name(asset.state.verdict, speech) for asset in assets}
    return _page(request, "quality", speech, assets=assets, verdicts=verdicts, overall=overall, at=at, scores=named)


@app.get("/incidents")
def incidents_page(request: Request, speech: Speech, user: GetUserDep) -> Response:
    """What is wrong, what was, and who has taken it on."""
    with _reading() as connection:
        if connection is None:
            return _nothing_yet(request, speech)
        found = ledger.all_incidents(connection)
    return _page(request, "incidents", speech, incidents=found, may_acknowledge=_may_edit(request, user))


@app.post("/incidents/{incident_id}/acknowledge", dependencies=[Depends(requires_access_dag(method="PUT"))])
def acknowledge(request: Request, incident_id: str, user: GetUserDep) -> Response:
    """Notes that this user has taken an incident on; only for who may edit DAGs."""
    origin = request.headers.get("origin")
    # Behind a proxy the browser knows the page by Airflow's base_url.
    own = {request.headers.get("host"), urlsplit(conf.get("api", "base_url", fallback="")).netloc}
    if origin and urlsplit(origin).netloc not in own - {""}:
        raise HTTPException(403, "The request comes from another site.")
    with open_warehouse(settings()).connect("acknowledge incident") as connection:
        incident = ledger.acknowledge(connection, incident_id, user.get_name())
    if incident is None:
        raise HTTPException(409, "The incident is not open any more.")
    return RedirectResponse(f"{_prefix(request)}/incidents", status_code=303)


@app.get("/lineage")
def lineage_page(request: Request, speech: Speech, mart: str = "territory_sales") -> Response:
    """What a mart is made of, back to the source, column by column."""
    if mart not in MARTS:
        raise HTTPException(404, f"There is no mart {mart}.")
    return _page(
        request,
        "lineage",
        speech,
        mart=MARTS[mart],
        marts=list(MARTS),
        siblings=[other.name for other in marts_of(MARTS[mart].dag)],
        columns=origins.columns(mart),
        by_column=origins.by_column(mart),
        levels=origins.levels(mart),
        sources=SOURCE_TABLES,
    )


@app.get("/dag/{dag}")
def of_dag(request: Request, dag: str) -> Response:
    """From a DAG's page to its marts; from the ingestion's to the source tables."""
    marts = marts_of(dag) if dag in ANALYSES else ()
    page = f"lineage?mart={marts[0].name}" if marts else "quality"
    return RedirectResponse(f"{_prefix(request)}/{page}")


@app.get("/reports")
def reports(request: Request, speech: Speech) -> Response:
    """The reports that are filed."""
    with _reading() as connection:
        if connection is None:
            return _nothing_yet(request, speech)
        found = list(filed(connection))
    months: dict[str, list[Any]] = {}
    for file in found:
        months.setdefault(file.month, []).append(file)
    return _page(request, "reports", speech, months=months)


@app.get("/reports/{month}/{code}/{kind}")
def download(month: str, code: str, kind: str) -> Response:
    """One report as a file."""
    from adventureworks.orchestration.storage import report_folder

    if kind not in KINDS:
        raise HTTPException(404, "There is no such report.")
    with _reading() as connection:
        found = (
            [file for file in filed(connection, month) if (file.language, file.kind) == (code, kind)]
            if connection
            else []
        )
    if not found:
        raise HTTPException(404, "There is no such report.")
    try:
        content = (report_folder(settings()) / found[0].path).read_bytes()
    except OSError:
        # It was filed, and somebody took it away; the next delivery puts it back.
        raise HTTPException(404, "The file of this report is gone.") from None
    disposition = f'attachment; filename="{found[0].name}"'
    return Response(content, media_type=MEDIA_TYPES[found[0].kind], headers={"Content-Disposition": disposition})


@contextmanager
def _reading() -> Iterator[psycopg.Connection[Any] | None]:
    """A connection that only reads; None while nothing was ever published. Raises ServiceUnavailable."""
    with open_warehouse(settings()).connect("dashboard") as connection:
        connection.execute(f"set statement_timeout = {STATEMENT_TIMEOUT_MS}")
        connection.commit()
        connection.read_only = True
        yield connection if is_laid_out(connection) else None


_memory: dict[str, tuple[int, Any]] = {}


def _remembered(connection: psycopg.Connection[Any], name: str, read: Callable[[], Found]) -> Found:
    """What was read before, as long as nothing was published since."""
    version = figures.versions(connection)
    known = _memory.get(name)
    if known is None or known[0] != version:
        known = _memory[name] = (version, read())
    found: Found = known[1]
    return found


def _both(charts: dict[str, Callable[[Any], Spec]]) -> str:
    """The charts for a light and a dark page, as JSON that is safe inside HTML."""
    specs = {name: {scheme: make(scheme) for scheme in ("light", "dark")} for name, make in charts.items()}
    return json.dumps(specs).replace("<", "\\u003c")


def _may_edit(request: Request, user: Any) -> bool:
    try:
        requires_access_dag(method="PUT")(request, user)
    except HTTPException:
        return False
    return True


def _nothing_yet(request: Request, speech: Language) -> Response:
    return _page(request, "message", speech, title=speech.text("Nothing is published yet"), error=None)


def _being_computed(request: Request, speech: Language, has_sales: bool = False) -> Response:
    """The source is there; the marts are not yet, or no month is over."""
    title = speech.text("No month is over yet") if has_sales else speech.text("The figures are being computed")
    return _page(request, "message", speech, title=title, error=None, progress=True)


def _explained(request: Request, status: int) -> Response:
    speech = language(_code(request))
    titles = {
        401: speech.text("Please sign in"),
        403: speech.text("You may not do this"),
        409: speech.text("The incident is not open any more"),
    }
    title = titles.get(status, speech.text("This was not found"))
    return _page(request, "message", speech, status, title=title, error=None, sign_in=status == 401)


def _prefix(request: Request) -> str:
    """Where the dashboard is: below the path of Airflow's base_url, if it has one."""
    return str(request.scope.get("root_path") or PREFIX)


def _code(request: Request) -> str:
    """The language of the reader: the one chosen last, else the browser's, else English."""
    wanted = [request.query_params.get("lang"), request.cookies.get("adventureworks_language")]
    wanted += [part.strip()[:2] for part in request.headers.get("accept-language", "").split(",")]
    return next((code for code in wanted if code in LANGUAGES), LANGUAGES[0])


def _page(request: Request, name: str, speech: Language, status: int = 200, **values: Any) -> Response:
    prefix = _prefix(request)
    shown = {"sign_in": False, "progress": False, "charts": "", **values}
    html = (
        _environment()
        .get_template(f"{name}.html")
        .render(
            t=speech.text,
            speech=speech,
            languages=LANGUAGES,
            page=name,
            pages=PAGES,
            prefix=prefix,
            airflow=prefix.removesuffix(PREFIX),
            in_language={code: urlencode({**request.query_params, "lang": code}) for code in LANGUAGES},
            nonce=getattr(request.state, "nonce", ""),
            spark=(SPARK_WIDTH, SPARK_HEIGHT),
            **shown,
        )
    )
    answer = HTMLResponse(html, status_code=status)
    if request.query_params.get("lang") in LANGUAGES:
        answer.set_cookie("adventureworks_language", speech.code, samesite="lax", path=prefix)
    return answer


@lru_cache(maxsize=1)
def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    return Environment(
        loader=PackageLoader("adventureworks.dashboard"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
