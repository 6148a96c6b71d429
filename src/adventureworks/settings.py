"""The settings, typed and read from the environment (`ADVENTUREWORKS_…`). Secrets never appear in a repr."""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

import contracts

PROJECT_ROOT = Path(contracts.__file__).resolve().parent.parent
"""The folder that holds `dags`, `contracts` and `checks`."""
WATCH_HEARTBEAT = "watch.beat"
"""A file in the home that the watch touches every second while it works. What counts is its age, not its content."""


class Settings(BaseSettings):
    """The platform's settings. Each field is read from `ADVENTUREWORKS_<NAME>`; an empty value counts as not set."""

    model_config = SettingsConfigDict(
        env_prefix="ADVENTUREWORKS_", extra="ignore", env_ignore_empty=True, regex_engine="python-re"
    )

    home: Path = Field(
        default=PROJECT_ROOT / ".adventureworks", description="Databases, logs, reports and generated secrets."
    )
    source: str = Field(
        default="",
        repr=False,
        description="A folder or an archive of files, the URL of an object store, a download, or a PostgreSQL or SQL"
        " Server database, or `airflow:` and the id of an Airflow connection; empty: the embedded source.",
    )
    environment: str = Field(
        default="",
        # PostgreSQL reserves names that begin with pg_.
        pattern=r"\A((?!pg(_|\Z))[a-z][a-z0-9_]{0,30})?\Z",
        description="Prefix of every schema's name, so that environments can share a database; empty: production.",
    )
    warehouse: Literal["postgres", "snowflake"] = Field(default="postgres", description="Where the data is stored.")
    warehouse_url: SecretStr | None = Field(
        default=None,
        description="URL of the PostgreSQL warehouse, or of the platform's records if the data is in Snowflake; none:"
        " the embedded one.",
    )
    snowflake_connection: str = Field(default="snowflake_default", description="Airflow connection of Snowflake.")
    snowflake_database: str = Field(default="DBT_DB", description="Database of the tables in Snowflake.")
    snowflake_raw_schema: str = Field(default="DBT_SCHEMA", description="Schema of the source tables in Snowflake.")
    source_url: SecretStr | None = Field(
        default=None, description="URL of the source, with its secrets; none: the one that `source` names."
    )
    source_password: SecretStr | None = Field(
        default=None, description="Password for a SQL Server source whose URL has none."
    )
    allow_missing: bool = Field(
        default=False,
        description="Whether the source may lack tables that marts need. Without them, those marts stay empty.",
    )
    dags_folder: Path = Field(default=PROJECT_ROOT / "dags", description="Folder of the DAG files.")
    checks_folder: Path = Field(default=PROJECT_ROOT / "checks", description="Folder of the Soda checks.")
    set_aside_limit: float = Field(
        default=0.01, ge=0, le=1, description="Largest share of a table's rows that may be in quarantine."
    )
    set_aside_floor: int = Field(
        default=2,
        ge=0,
        description="Number of rows of any table that may be in quarantine in any case, if most of its rows are good.",
    )
    lost_limit: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="Largest share of rows that may disappear at once. More than that blocks a table with months, and"
        " is a warning for others.",
    )
    least_share_of_rows: float = Field(
        default=0.5, ge=0, le=1, description="A table that keeps less than this share of its rows is blocked."
    )
    stale_after_days: int = Field(
        default=31,
        ge=0,
        description="How many days a table's newest change may be older than that of its last version.",
    )
    keep_days: int = Field(
        default=90,
        ge=7,
        description="How many days the platform's closed records, Airflow's runs and the logs of tasks are kept.",
    )
    keep_versions: int = Field(
        default=10,
        ge=1,
        description="Number of earlier versions of a table or mart that are kept for a rollback.",
    )
    keep_versions_days: int = Field(
        default=14, ge=1, description="Maximum number of days that a replaced version of a table or mart is kept."
    )
    overlap_minutes: int = Field(
        default=60,
        ge=0,
        description="How many minutes before its watermark a table is read again, to find late commits.",
    )
    table_timeout_minutes: float = Field(
        default=10.0,
        gt=0,
        description="How many minutes the source may take to return the state or the next rows of a table. After that,"
        " the table is blocked, and the others continue.",
    )
    batch_rows: int = Field(default=50_000, gt=0, description="Number of rows that are held in memory at a time.")
    file_rest_seconds: float = Field(
        default=3.0, ge=0, description="How many seconds a text file of the source must be unchanged before it is read."
    )
    watch_seconds: float = Field(
        default=10.0, gt=0, description="How many seconds at most pass between two checks of the source for changes."
    )
    quiet_seconds: float | None = Field(
        default=None,
        ge=0,
        description="How many seconds the source must be unchanged before its changes are ingested; while it keeps"
        " changing, they wait at most three times as long. None: 0 for PostgreSQL, 300 for Snowflake, whose virtual"
        " warehouse would otherwise never suspend.",
    )
    as_of: date | None = Field(default=None, description="Business date of the marts; none: that of the newest order.")
    slack_connection: str = Field(default="slack_default", description="Airflow connection of the Slack webhook.")
    smtp_connection: str = Field(default="smtp_default", description="Airflow connection of the mail server.")
    owner_emails: dict[str, str] = Field(
        default_factory=dict, description='Address of each owner or group, as JSON: {"sales": "…"}.'
    )
    routes: Path | None = Field(
        default=None, description="A YAML file that says who is notified of what, when, and in which language."
    )
    reports_url: str = Field(
        default="", description="Where reports are stored, e.g. s3://connection@bucket/reports; empty: home/reports."
    )
    report_languages: tuple[Literal["en", "fr"], ...] = Field(
        default=("en", "fr"), min_length=1, description="Languages of the monthly reports."
    )
    late_after_minutes: int | None = Field(
        default=None,
        gt=0,
        description="How many minutes a mart may be behind its inputs before its owner is notified; none: as long as"
        " the catalogue promises (`fresh_within`).",
    )
    metadata_url: SecretStr | None = Field(
        default=None, description="URL of Airflow's database; none: Airflow's own setting, or the embedded one."
    )
    ui_url: str = Field(default="", description="Address of the Airflow UI, for links in messages.")

    @property
    def quiet_time(self) -> float:
        """`quiet_seconds`, or the default for the warehouse."""
        if self.quiet_seconds is not None:
            return self.quiet_seconds
        return 300.0 if self.warehouse == "snowflake" else 0.0

    @property
    def ingestion_interval(self) -> timedelta:
        """How often the calendar starts the ingestion, as a safety net beside the changes that start it."""
        # Beside batches, each of these runs costs as much as a batch.
        return timedelta(hours=1) if self.quiet_time else timedelta(minutes=15)


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Return the settings of this process, which are read once."""
    return Settings()
