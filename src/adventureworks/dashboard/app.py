"""The dashboard's pages. All are behind Airflow's login: users who are not signed in get a 401 and no data."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode, urlsplit

import psycopg
from airflow.api_fastapi.core_api.security import GetUserDep, get_user, requires_access_dag
from airflow.configuration import conf
from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles

from adventureworks import texts
from adventureworks.catalog import ANALYSES, MARTS, SOURCE_TABLES, entry, marts_of
from adventureworks.catalog.pages import NAMED, address, asset_address, has_page, views_of
from adventureworks.charts.dashboard import SPARK_HEIGHT, SPARK_WIDTH, forecast
from adventureworks.charts.monthly import bars, columns_and_line
from adventureworks.charts.theme import FONTS, Spec
from adventureworks.columns import version_of
from adventureworks.dashboard import PREFIX, analysis, asset, breakdown, figures, rules, search
from adventureworks.dashboard.neighbourhood import MAX_STEPS, WIDTH
from adventureworks.dictionary import content_note, definitions, grain, label, limit_text, unit_text
from adventureworks.errors import PlatformError, ServiceUnavailable, Step, as_typed
from adventureworks.incidents import ledger
from adventureworks.lineage import origins
from adventureworks.messaging.dependants import affected
from adventureworks.messaging.incident_messages import page_of_run, rule_in_words, run_page_of
from adventureworks.messaging.wording import words
from adventureworks.months import key_of
from adventureworks.reports.bridge import BRIDGE_COLUMNS
from adventureworks.reports.delivery import KINDS, MEDIA_TYPES
from adventureworks.reports.delivery import files as filed
from adventureworks.settings import settings
from adventureworks.texts import LANGUAGES, Language
from adventureworks.texts.analyses import analysis_name, view_meaning, view_name
from adventureworks.texts.terms import (
    channel_name,
    dimension_name,
    incident_status,
    intervention_name,
    reason_withheld,
    severity_name,
    verdict_name,
)
from adventureworks.warehouse import open_records, open_warehouse
from adventureworks.warehouse.condition import condition, remarks, rollback_in_words
from adventureworks.warehouse.publication import newest
from adventureworks.warehouse.session import Session
from adventureworks.warehouse.state import AssetState, is_laid_out

STATIC = Path(str(files("adventureworks.dashboard"))) / "static"
STATEMENT_TIMEOUT_MS = 10_000
PAGES = ("overview", "forecast", "quality", "incidents", "lineage", "reports")

_POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
)

Value = TypeVar("Value")

_log = logging.getLogger(__name__)

app = FastAPI(title="AdventureWorks", docs_url=None, redoc_url=None, openapi_url=None, dependencies=[Depends(get_user)])
app.add_middleware(GZipMiddleware, minimum_size=1000)


# Static files contain no data, and the page that asks users to sign in needs them.
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
async def _http_error(request: Request, error: StarletteHTTPException) -> Response:
    return _error_page(request, error.status_code)


@app.exception_handler(RequestValidationError)
async def _invalid_request(request: Request, error: RequestValidationError) -> Response:
    return _error_page(request, 404)


@app.exception_handler(PlatformError)
async def _platform_error(request: Request, error: PlatformError) -> Response:
    language = texts.language(_language_code(request))
    status = 503 if isinstance(error, ServiceUnavailable) else 500
    return _page(
        request,
        "message",
        language,
        status,
        title=language.text("This page cannot be shown at the moment"),
        error=error,
    )


@app.exception_handler(analysis.InvalidParameter)
async def _invalid_parameter(request: Request, error: analysis.InvalidParameter) -> Response:
    language = texts.language(_language_code(request))
    title = language.text("The address of this page has an invalid value")
    return _page(request, "message", language, 400, title=title, error=PlatformError(error.reason.shown(language)))


@app.exception_handler(analysis.NotPublished)
async def _not_published(request: Request, error: analysis.NotPublished) -> Response:
    return _no_figures(request, texts.language(_language_code(request)))


@app.exception_handler(psycopg.Error)
async def _database_error(request: Request, error: psycopg.Error) -> Response:
    _log.error("The dashboard could not read the warehouse", exc_info=error)
    cause = f"The warehouse did not answer this page: {error.diag.message_primary or type(error).__name__}."
    return await _platform_error(request, ServiceUnavailable(cause, Step(command="adventureworks doctor")))


def _chosen_language(request: Request, lang: Annotated[str | None, Query()] = None) -> Language:
    return texts.language(lang if lang in LANGUAGES else _language_code(request))


ChosenLanguage = Annotated[Language, Depends(_chosen_language)]


@app.get("/")
def root(request: Request) -> Response:
    """Redirect to the overview."""
    return RedirectResponse(f"{_prefix(request)}/overview")


@app.get("/overview")
def overview(request: Request, language: ChosenLanguage) -> Response:
    """Show the KPIs, their recent history and the freshness of the marts."""
    with _read_only() as session:
        if session is None:
            return _nothing_published(request, language)
        version = figures.versions(session.records)
        shown = _cached(f"overview {language.code}", version, lambda: figures.overview(session, language))
        assets = figures.assets(settings(), session)
        incidents = ledger.open_incidents(session.records)
    if shown.month is None:
        return _no_figures(request, language, shown.is_computed)
    marts = [asset for asset in assets if asset.state.kind == "mart"]
    charts = {
        "history": lambda scheme: {
            **columns_and_line(
                [
                    (language.short_month(month), revenue, profit, partial)
                    for month, revenue, profit, partial in shown.history
                ],
                language,
                scheme=scheme,
            ),
            "width": "container",
        },
        "territories": lambda scheme: bars(shown.territories, language, width=260, scheme=scheme),
    }
    return _page(
        request,
        "overview",
        language,
        shown=shown,
        bridge_columns=BRIDGE_COLUMNS,
        unit_text=unit_text,
        limit_text=limit_text,
        channel_name=channel_name,
        content_note=content_note,
        warnings={group.name: figures.warning(group.marts, assets, language) for group in shown.groups},
        fresh=sum(asset.state.fresh and asset.state.verdict != "blocked" for asset in marts),
        marts=len(marts),
        analyses={dag: analysis_name(dag, language) for dag in ANALYSES},
        analysis_address=_analysis_address,
        reading_blocked=sum(bool(asset.state.reads_blocked) for asset in marts),
        incidents=incidents,
        charts=_charts_json(charts),
    )


@dataclass(frozen=True)
class _Selection:
    """The choices in the address of an analysis' page and of its files."""

    dag: str
    mart: str
    period: str
    month: str
    subject: int | None

    def choose(self, session: Session) -> tuple[analysis.Choice, analysis.Months]:
        """Return which rows are shown, and the months to choose from.

        Raises `InvalidParameter` and `NotPublished`.
        """
        if newest(session.records, self.mart) is None:
            raise analysis.NotPublished(self.mart)
        months = _cached(
            f"months {self.mart}",
            figures.versions(session.records),
            lambda: analysis.months_of(session.data, self.mart),
        )
        period = months.period(self.period, self.month)
        # A product that was not sold in the newest month has rows of other months.
        is_whole = self.subject is not None and not self.month
        return analysis.Choice(None if is_whole else period, self.subject), months


def _selected(dag: str, mart: str = "", period: str = analysis.PERIODS[0], month: str = "", of: str = "") -> _Selection:
    if dag not in ANALYSES:
        raise HTTPException(404, f"There is no analysis {dag}.")
    chosen = analysis.chosen_mart(dag, mart)
    return _Selection(dag, chosen, period, month, analysis.chosen_subject(chosen, of))


Selected = Annotated[_Selection, Depends(_selected)]


@app.get("/analysis/{dag}")
def analysis_page(request: Request, language: ChosenLanguage, selected: Selected) -> Response:
    """Show a mart of an analysis in a period: two charts, a table, and what the figures mean."""
    mart = selected.mart
    with _read_only() as session:
        if session is None:
            return _nothing_published(request, language)
        choice, months = selected.choose(session)
        shown = analysis.shown(session.data, mart, choice, months.partial, language)
        subject = analysis.subject_name(session.data, mart, choice.subject, language) if choice.subject else ""
        warning = figures.warning((mart,), figures.assets(settings(), session), language)
    charts = {f"chart-{place}": drawing.spec for place, drawing in enumerate(shown.drawings) if drawing.rows}
    period = choice.period
    chosen = {
        "mart": mart,
        **({"period": period.kind, "month": key_of(period.month)} if period else {}),
        **({"of": choice.subject} if choice.subject is not None else {}),
    }
    return _page(
        request,
        "analysis",
        language,
        dag=selected.dag,
        mart=mart,
        views=[(name, view_name(name, language)) for name in views_of(selected.dag)],
        analysis_name=analysis_name(selected.dag, language),
        view_name=view_name(mart, language),
        view_meaning=view_meaning(mart, language),
        grain=grain(MARTS[mart], language),
        shown=shown,
        subject=subject,
        period=period,
        periods=analysis.PERIODS,
        months=[(key_of(month), language.month(month), month in months.partial) for month in reversed(months.known)],
        partial=[language.month(month) for month in sorted(months.partial) if period and month in period],
        warning=warning,
        files=urlencode({**chosen, "lang": language.code}),
        charts=_charts_json(charts) if charts else "",
    )


@app.get("/analysis/{dag}/{kind}")
def download_analysis(language: ChosenLanguage, selected: Selected, kind: str) -> Response:
    """Return the rows of an analysis' page as a file: all of them, in the same order."""
    mart = selected.mart
    with _read_only() as session:
        as_of = figures.business_date(session.records) if session else None
        if session is None or as_of is None or kind not in ("csv", "xlsx"):
            raise HTTPException(404, "There is no such file.")
        choice, _ = selected.choose(session)
        headers = {"Content-Disposition": f'attachment; filename="{analysis.file_name(mart, choice, kind)}"'}
        if kind == "xlsx":
            content = analysis.workbook(session.data, mart, choice, as_of, language)
            return Response(content, media_type=MEDIA_TYPES["workbook"], headers=headers)
    parts = _csv_parts(mart, choice)
    # A failure before the first row is still shown as a page.
    first = next(parts)
    return StreamingResponse(chain([first], parts), media_type="text/csv; charset=utf-8", headers=headers)


def _csv_parts(mart: str, choice: analysis.Choice) -> Iterator[bytes]:
    """Yield a CSV file in parts, with a session that is open until the last one."""
    with _read_only() as session:
        if session is not None:
            yield from analysis.csv_parts(session.data, mart, choice)


@app.get("/figure/{name}")
def figure_page(
    request: Request, language: ChosenLanguage, name: str, month: str = "", channel: str = "", territory: str = ""
) -> Response:
    """Show a KPI of the overview in a month by channel, then by territory, then by product."""
    kpi = breakdown.KPIS.get(name)
    if kpi is None:
        raise HTTPException(404, f"There is no figure {name}.")
    in_address = {"channel": channel, "territory_id": territory}
    chosen = {level: in_address[level] for level in breakdown.LEVELS if in_address.get(level)}
    with _read_only() as session:
        if session is None:
            return _nothing_published(request, language)
        months = _cached(
            "months of sales", figures.versions(session.records), lambda: breakdown.months_of(session.data)
        )
        shown = breakdown.broken_down(session.data, name, months, month, chosen, language)
        field = analysis.field_of(kpi.mart, name, {}, language)
        warning = figures.warning((kpi.mart, "fact_sales"), figures.assets(settings(), session), language)

    def query(choice: Mapping[breakdown.Level, str]) -> str:
        """Return the address of the page with a choice."""
        values = {level.removesuffix("_id"): value for level, value in choice.items()}
        return urlencode({"month": key_of(shown.month), **values})

    bars_shown = [(part.name, part.now) for part in shown.parts[: analysis.BARS] if part.now is not None]
    charts = {
        "parts": lambda scheme: bars(
            bars_shown, language, labels=[field.short(value) for _, value in bars_shown], width=300, scheme=scheme
        )
    }
    dimension = label(NAMED[shown.level].label if shown.level in NAMED else shown.level, language)
    return _page(
        request,
        "figure",
        language,
        kpi=kpi,
        field=field,
        shown=shown,
        dimension=dimension,
        crumbs=[
            (title, query(dict(list(chosen.items())[:place])))
            for place, title in enumerate((field.label, *shown.chosen.values()))
        ],
        links={part.key: query({**chosen, shown.level: part.key}) for part in shown.parts if not shown.is_last},
        choice={level.removesuffix("_id"): value for level, value in chosen.items()},
        months=[
            (key_of(one), language.month(one), one in shown.months.partial) for one in reversed(shown.months.known)
        ],
        warning=warning,
        analysis_page=_analysis_address(kpi.mart),
        analysis_name=view_name(kpi.mart, language),
        chart_caption=analysis.caption(
            language.text("{figure} by {dimension}", figure=field.label, dimension=dimension.lower()),
            len(bars_shown),
            len(shown.parts),
            language,
        ),
        trend=figures.trend,
        charts=_charts_json(charts) if bars_shown else "",
    )


@app.get("/forecast")
def forecast_page(request: Request, language: ChosenLanguage, channel: str = "", territory: str = "") -> Response:
    """Show the forecast of one channel and territory and the accuracy of past forecasts."""
    with _read_only() as session:
        if session is None:
            return _nothing_published(request, language)
        names = figures.series_names(session.data)
        if not names:
            return _no_figures(request, language)
        chosen = next((name for name in names if (name[0], str(name[1])) == (channel, territory)), names[0])
        series = figures.series(session.data, *chosen)
        sales = newest(session.records, "territory_sales")
        as_of = sales.as_of if sales else None
        sold = figures.sold_so_far(session.data, series, as_of) if as_of else {}
        shown_marts = ("sales_forecast", "forecast_accuracy", "territory_sales")
        warning = figures.warning(shown_marts, figures.assets(settings(), session), language)
    charts = {"forecast": lambda scheme: forecast(series.past, series.ahead, language, scheme)}
    accuracy = definitions(MARTS["forecast_accuracy"], language)
    return _page(
        request,
        "forecast",
        language,
        series=series,
        warning=warning,
        as_of=as_of,
        sold={month: territory for month, (territory, _) in sold.items()},
        sold_in_channel={month: channel for month, (_, channel) in sold.items()},
        withheld=reason_withheld(series.withheld, language),
        withheld_total=reason_withheld(series.withheld_total, language),
        names=names,
        accuracy=accuracy,
        charts=_charts_json(charts),
    )


@app.get("/asset/{name}")
def asset_page(
    request: Request, language: ChosenLanguage, name: str, steps: Annotated[int, Query(ge=1, le=MAX_STEPS)] = 1
) -> Response:
    """Show a table or mart: its neighbourhood, why it is as it is, its versions and its columns."""
    if name not in SOURCE_TABLES and name not in MARTS:
        raise HTTPException(404, f"There is no table or mart {name}.")
    known = entry(name)
    with _read_only() as session:
        if session is None:
            return _nothing_published(request, language)
        about = asset.about(settings(), session, name, steps, language)
        profile = _profile(session, about.asset.state)
    return _page(
        request,
        "asset",
        language,
        about=about,
        state=about.asset.state,
        description=view_meaning(name, language),
        contract=version_of(known),
        calendar=ANALYSES[about.asset.dag].calendar if name in MARTS else "",
        interval=settings().ingestion_interval,
        siblings=[other.name for other in marts_of(about.asset.dag)],
        all_steps=range(1, MAX_STEPS + 1),
        steps=steps,
        width=WIDTH,
        months_of=asset.months_of,
        most_changes=asset.CHANGES,
        promised=language.number(about.asset.freshness.within.total_seconds() / 60),
        verdict_name=verdict_name,
        rollback_in_words=rollback_in_words,
        affected=affected(name, language, most=asset.DEPENDANTS),
        analysis_page=_analysis_address(name),
        worded={incident.incident_id: words(incident, language) for incident in about.incidents},
        intervention_name=intervention_name,
        page_of_run=page_of_run,
        profile=profile,
        private=asset.private_columns(name),
        meanings=definitions(known, language) if name in MARTS else {},
    )


def _profile(session: Session, state: AssetState) -> asset.Profile | None:
    name, version = state.asset, state.version
    if name in SOURCE_TABLES:
        return asset.recorded_profile(session.records, name)
    if version is None or (state.rows or 0) > asset.MOST_MEASURED:
        return None
    return _cached(f"profile {name}", version, lambda: asset.measured_profile(session.data, name, version))


@app.get("/quality")
def quality(
    request: Request, language: ChosenLanguage, rule: str = "", dimension: str = "", owner: str = ""
) -> Response:
    """Show the rules that fail, the data quality scores, and freshness, version and verdict of every table and mart."""
    with _read_only() as session:
        if session is None:
            return _nothing_published(request, language)
        found = rules.quality(session)
        assets = figures.assets(settings(), session)
    scores = [(dimension_name(name, language), score) for name, score in found.dimensions]
    return _page(
        request,
        "quality",
        language,
        assets=assets,
        condition=condition,
        remarks=remarks,
        quality=found,
        scores=scores,
        rules=rules.matching(found.failing, rule, dimension, owner),
        chosen={"rule": rule, "dimension": dimension, "owner": owner},
        dimensions=sorted({one.dimension for one in found.failing}),
        owners=sorted({one.owner for one in found.failing}),
        runs=rules.RUNS,
        rule_in_words=rule_in_words,
        dimension_name=dimension_name,
        severity_name=severity_name,
        trend=figures.trend,
        analysis_address=_analysis_address,
    )


@app.get("/incidents")
def incidents_page(request: Request, language: ChosenLanguage, user: GetUserDep) -> Response:
    """Show open, acknowledged and recently resolved incidents."""
    with _read_only() as session:
        if session is None:
            return _nothing_published(request, language)
        found = ledger.all_incidents(session.records)
    return _page(
        request,
        "incidents",
        language,
        incidents=found,
        worded={incident.incident_id: words(incident, language) for incident in found},
        runs={incident.incident_id: run_page_of(incident) for incident in found},
        affected={asset: affected(asset, language) for asset in {incident.asset for incident in found}},
        may_acknowledge=_may_edit(request, user),
        incident_status=incident_status,
        assets=SOURCE_TABLES.keys() | MARTS.keys(),
    )


@app.post("/incidents/{incident_id}/acknowledge", dependencies=[Depends(requires_access_dag(method="PUT"))])
def acknowledge(request: Request, incident_id: str, user: GetUserDep) -> Response:
    """Mark an incident as acknowledged by this user, who must have permission to edit DAGs."""
    origin = request.headers.get("origin")
    # Behind a proxy, the browser uses the host of Airflow's base_url.
    own = {request.headers.get("host"), urlsplit(conf.get("api", "base_url", fallback="")).netloc}
    if origin and origin.partition("://")[2] not in own - {""}:
        raise HTTPException(403, "The request comes from another site.")
    with open_records(settings()).connect("acknowledge incident") as records:
        incident = ledger.acknowledge(records, incident_id, user.get_name())
    if incident is None:
        raise HTTPException(409, "The incident is no longer open.")
    return RedirectResponse(f"{_prefix(request)}/incidents", status_code=303)


@app.get("/lineage")
def lineage_page(request: Request, language: ChosenLanguage, mart: str = "territory_sales") -> Response:
    """Show the lineage of a mart, back to the source, column by column."""
    if mart not in MARTS:
        raise HTTPException(404, f"There is no mart {mart}.")
    return _page(
        request,
        "lineage",
        language,
        mart=MARTS[mart],
        marts=list(MARTS),
        siblings=[other.name for other in marts_of(MARTS[mart].dag)],
        analysis_page=_analysis_address(mart),
        columns=origins.columns(mart),
        meanings=definitions(MARTS[mart], language),
        by_column=origins.by_column(mart),
        levels=origins.levels(mart),
        sources=SOURCE_TABLES,
    )


@app.get("/search")
def search_page(request: Request, language: ChosenLanguage, q: str = "") -> Response:
    """Show the pages of the figures, tables, products, territories and customers whose name contains all words."""
    wanted = search.words_of(q)
    with _read_only() as session:
        if session is None:
            return _nothing_published(request, language)
        groups = search.search(session.data, wanted, language) if wanted else ()
    return _page(
        request, "search", language, searched=q, wanted=wanted, groups=groups, most=language.number(search.MOST)
    )


@app.get("/dag/{dag}")
def of_dag(request: Request, dag: str) -> Response:
    """Redirect from a DAG's page to its main mart, or from the ingestion's page to the source tables."""
    page = asset_address(marts_of(dag)[0].name) if dag in ANALYSES else "quality"
    return RedirectResponse(f"{_prefix(request)}/{page}")


@app.get("/reports")
def reports(request: Request, language: ChosenLanguage) -> Response:
    """Show the filed reports."""
    with _read_only() as session:
        if session is None:
            return _nothing_published(request, language)
        found = list(filed(session.records))
    months: dict[str, list[Any]] = {}
    for file in found:
        months.setdefault(file.month, []).append(file)
    return _page(request, "reports", language, months=months)


@app.get("/reports/{month}/{code}/{kind}")
def download(month: str, code: str, kind: str) -> Response:
    """Return one report as a file."""
    from adventureworks.orchestration.storage import report_folder

    if kind not in KINDS:
        raise HTTPException(404, "There is no such report.")
    with _read_only() as session:
        found = (
            [file for file in filed(session.records, month) if (file.language, file.kind) == (code, kind)]
            if session
            else []
        )
    if not found:
        raise HTTPException(404, "There is no such report.")
    try:
        content = (report_folder(settings()) / found[0].path).read_bytes()
    except OSError:
        # The filed report was removed from storage; the next delivery restores it.
        raise HTTPException(404, "The file of this report is missing.") from None
    disposition = f'attachment; filename="{found[0].name}"'
    return Response(content, media_type=MEDIA_TYPES[found[0].kind], headers={"Content-Disposition": disposition})


@contextmanager
def _read_only() -> Iterator[Session | None]:
    """Yield a read-only session, or None if nothing was ever published. Raises ServiceUnavailable."""
    with open_warehouse(settings()).connect("dashboard") as session:
        session.records.execute(f"set statement_timeout = {STATEMENT_TIMEOUT_MS}")
        session.commit()
        session.records.read_only = True
        yield session if is_laid_out(session.records) else None


_cache: dict[str, tuple[int, Any]] = {}


def _cached(name: str, version: int, read: Callable[[], Value]) -> Value:
    """Return the cached value, or read it again if it is of another version."""
    known = _cache.get(name)
    if known is None or known[0] != version:
        known = _cache[name] = (version, read())
    found: Value = known[1]
    return found


def _analysis_address(mart: str) -> str:
    """Return the address of the page with this mart, below the dashboard's; empty if no page shows it."""
    return address(mart) if has_page(mart) else ""


def _charts_json(charts: dict[str, Callable[[Any], Spec]]) -> str:
    """Return the charts for light and dark mode as JSON that is safe inside HTML."""
    specs = {name: {scheme: make(scheme) for scheme in ("light", "dark")} for name, make in charts.items()}
    return json.dumps(specs).replace("<", "\\u003c")


def _may_edit(request: Request, user: Any) -> bool:
    try:
        requires_access_dag(method="PUT")(request, user)
    except HTTPException:
        return False
    return True


def _nothing_published(request: Request, language: Language) -> Response:
    return _page(request, "message", language, title=language.text("Nothing is published yet"), error=None)


def _no_figures(request: Request, language: Language, has_sales: bool = False) -> Response:
    """Return the page for a published source whose marts were never published, or without a complete month."""
    text = language.text
    title = text("No month is complete yet") if has_sales else text("These figures have not been published yet")
    return _page(request, "message", language, title=title, error=None, progress=True)


def _error_page(request: Request, status: int) -> Response:
    language = texts.language(_language_code(request))
    titles = {
        401: language.text("Please sign in"),
        403: language.text("You do not have permission to do this"),
        409: language.text("The incident is no longer open"),
    }
    title = titles.get(status, language.text("Page not found"))
    return _page(request, "message", language, status, title=title, error=None, sign_in=status == 401)


def _prefix(request: Request) -> str:
    """Return the path of the dashboard, under the path of Airflow's base_url if it has one."""
    return str(request.scope.get("root_path") or PREFIX)


def _language_code(request: Request) -> str:
    """Return the code of the user's language: the last one chosen, else the browser's, else English."""
    wanted = [request.query_params.get("lang"), request.cookies.get("adventureworks_language")]
    wanted += [part.strip()[:2] for part in request.headers.get("accept-language", "").split(",")]
    return next((code for code in wanted if code in LANGUAGES), LANGUAGES[0])


def _page(request: Request, name: str, language: Language, status: int = 200, **values: Any) -> Response:
    prefix = _prefix(request)
    shown = {"sign_in": False, "progress": False, "charts": "", "searched": "", **values}
    html = (
        _environment()
        .get_template(f"{name}.html")
        .render(
            t=language.text,
            as_typed=as_typed,
            label=partial(label, language=language),
            language=language,
            languages=LANGUAGES,
            page=name,
            pages=PAGES,
            prefix=prefix,
            airflow=prefix.removesuffix(PREFIX),
            asset_address=asset_address,
            in_language={code: urlencode({**request.query_params, "lang": code}) for code in LANGUAGES},
            nonce=getattr(request.state, "nonce", ""),
            spark=(SPARK_WIDTH, SPARK_HEIGHT),
            **shown,
        )
    )
    answer = HTMLResponse(html, status_code=status)
    if request.query_params.get("lang") in LANGUAGES:
        answer.set_cookie("adventureworks_language", language.code, samesite="lax", path=prefix)
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
