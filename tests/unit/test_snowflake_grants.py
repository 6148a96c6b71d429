"""Missing grants of the platform's role in Snowflake, and the statements that grant them."""

from __future__ import annotations

import re

from adventureworks.settings import PROJECT_ROOT, Settings
from adventureworks.warehouse.snowflake import schemas_of
from adventureworks.warehouse.snowflake_grants import Grant, held_by, inherited_roles, missing, needed

SETTINGS = Settings()
WANTED = needed(SETTINGS, "ADVENTUREWORKS")


def shown(grant: Grant) -> tuple[str, ...]:
    """Return a row of `show grants to role`."""
    return ("2026-01-01", grant.privilege, grant.kind, grant.name, "ROLE", "SOME_ROLE", "false", "SYSADMIN")


def test_nothing_is_missing_if_all_grants_are_held() -> None:
    assert missing(WANTED, held_by(map(shown, WANTED))) == []


def test_each_missing_grant_is_listed_and_has_a_statement() -> None:
    for lacking in WANTED:
        others = held_by(shown(grant) for grant in WANTED if grant != lacking)
        assert missing(WANTED, others) == [lacking]
    assert Grant("CREATE TABLE", "SCHEMA", "DBT_DB.MARTS").statement("R") == (
        "grant create table on schema DBT_DB.MARTS to role R;"
    )


def test_ownership_of_a_schema_implies_all_its_privileges() -> None:
    owned = [Grant("OWNERSHIP", "SCHEMA", f"DBT_DB.{schema}") for _, schema in schemas_of(SETTINGS)]
    lacking = missing(WANTED, held_by(map(shown, owned)))
    assert {grant.kind for grant in lacking} == {"WAREHOUSE", "DATABASE"}


def test_roles_are_inherited() -> None:
    row = ("2026-01-01", "USAGE", "ROLE", "ADVENTUREWORKS_LOADER", "ROLE", "ADVENTUREWORKS_TRANSFORMER", "false", "X")
    assert inherited_roles([row, shown(WANTED[0])]) == ["ADVENTUREWORKS_LOADER"]


def test_the_set_up_script_grants_everything_needed_but_no_administrator_role() -> None:
    script = (PROJECT_ROOT / "deploy" / "snowflake" / "set-up.sql").read_text()
    granted = {
        (privilege.strip().upper(), kind.upper(), name.upper())
        for privileges, kind, name in re.findall(
            r"^grant ([a-z, ]+) on (warehouse|database|schema) (\S+) to role ADVENTUREWORKS_(?:LOADER|TRANSFORMER);",
            script,
            re.MULTILINE,
        )
        for privilege in privileges.split(",")
    }
    assert missing(WANTED, granted) == []
    assert "auto_suspend = 60" in script
    assert "alter warehouse ADVENTUREWORKS set resource_monitor = ADVENTUREWORKS;" in script
    assert "on 100 percent do suspend" in script
    assert "default_ddl_collation = ''" in script
    assert not re.search(r"grant (role )?(accountadmin|sysadmin|ownership)", script, re.IGNORECASE)
