"""What SQL Server gives for each of its types, and what becomes of it; what is asked, as T-SQL; what errors mean."""

import json
import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Context, Decimal

import pyarrow as pa
import pymssql
import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as some
from polars.testing import assert_frame_equal
from pydantic import SecretStr
from sqlglot import exp

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.columns import key_of, source_columns_of
from adventureworks.errors import PlatformError, ServiceUnavailable, TableBlocked
from adventureworks.gate.contract import hold_against
from adventureworks.settings import PROJECT_ROOT
from adventureworks.source import sqlserver_queries as queries
from adventureworks.source.files import FileSource
from adventureworks.source.sqlserver_columns import SqlServerColumn, contract_columns, literal
from adventureworks.source.sqlserver_errors import Address, meaning

ADDRESS = Address.of(SecretStr("mssql://reader:s3cret@db.example/AdventureWorks"))
EPOCH = datetime(1753, 1, 1)
COMPUTED = {
    "Customer.AccountNumber": "varchar(10)",
    "Document.DocumentLevel": "smallint",
    "Employee.OrganizationLevel": "smallint",
    "PurchaseOrderDetail.LineTotal": "money",
    "PurchaseOrderDetail.StockedQty": "decimal(9,2)",
    "PurchaseOrderHeader.TotalDue": "money",
    "SalesOrderDetail.LineTotal": "numeric(38,6)",
    "SalesOrderHeader.SalesOrderNumber": "nvarchar(25)",
    "SalesOrderHeader.TotalDue": "money",
    "WorkOrder.StockedQty": "int",
}
"""Types of AdventureWorks' computed columns."""


def column(declared: str, name: str = "Value", nullable: bool = True) -> SqlServerColumn:
    """A column as `sys.columns` describes it."""
    plain, _, size = declared.rstrip(")").partition("(")
    if plain == "sysname":
        plain, size = "nvarchar", "128"
    numbers = [int(part) for part in size.split(",") if part.isdigit()]
    precision, scale = {"money": (19, 4), "smallmoney": (10, 4)}.get(plain, (0, 0))
    if plain in {"decimal", "numeric"}:
        precision, scale = numbers
    length = -1 if size == "max" or plain == "xml" else numbers[0] if numbers else 8
    wide = 2 if plain in {"nchar", "nvarchar"} and length > 0 else 1
    return SqlServerColumn(name, plain, length * wide, precision, scale, nullable)


def arrived(declared, *values):
    return column(declared).to_arrow(values, "T").to_pylist()


@pytest.mark.parametrize(
    ("declared", "expression"),
    [
        ("money", "convert(varchar(30), t.[Value], 2)"),
        ("decimal(8,2)", "convert(varchar(41), t.[Value])"),
        ("datetime", "convert(varchar(23), t.[Value], 121)"),
        ("uniqueidentifier", "lower(convert(varchar(36), t.[Value]))"),
        ("xml(Sales.Survey)", "convert(nvarchar(max), t.[Value])"),
        ("hierarchyid", "convert(varchar(max), cast(t.[Value] as varbinary(892)), 2)"),
        ("geography", "convert(varchar(max), cast(t.[Value] as varbinary(max)), 2)"),
        ("varbinary(max)", "convert(varchar(max), convert(varbinary(max), t.[Value]), 2)"),
        ("varchar(15)", "convert(nvarchar(15), t.[Value])"),
        ("nchar(6)", "t.[Value]"),
        ("bit", "t.[Value]"),
        ("tinyint", "t.[Value]"),
        ("sql_variant", "convert(nvarchar(max), t.[Value])"),
    ],
)
def test_each_type_is_asked_for_in_a_form_that_loses_nothing(declared, expression):
    assert column(declared).expression == expression
    assert sqlglot.parse_one(f"select {expression} from t", dialect="tsql")


@given(some.data(), some.integers(1, 38), some.integers(0, 38))
def test_decimals_are_exact(data, precision, places):
    scale = min(places, precision)
    units = data.draw(some.integers(-(10**precision) + 1, 10**precision - 1))
    number = Decimal(units).scaleb(-scale, context=Context(prec=precision + 1))
    assert arrived(f"decimal({precision},{scale})", format(number, "f"), None) == [number, None]


@given(some.integers(-(2**63), 2**63 - 1))
def test_money_keeps_its_four_places(units):
    number = Decimal(units).scaleb(-4)
    assert arrived("money", f"{number:.4f}") == [number]


@given(some.integers(0, 2958463 - 53690), some.integers(0, 300 * 86400 - 1))
def test_datetimes_are_what_sql_server_shows_of_300ths_of_a_second(day, tick):
    milliseconds = (tick * 10 + 1) // 3
    moment = EPOCH + timedelta(days=day, milliseconds=milliseconds)
    assert moment.microsecond // 1000 % 10 in {0, 3, 7}
    shown = moment.isoformat(sep=" ", timespec="milliseconds")
    assert arrived("datetime", shown, None) == [moment, None]
    assert queries._texts(pa.chunked_array([pa.array([moment], pa.timestamp("us"))])) == [shown.replace(" ", "T")]


@given(some.datetimes(min_value=datetime(1, 1, 1)), some.times(), some.dates())
def test_other_dates_and_times(moment, clock, day):
    assert arrived("datetime2(7)", moment.isoformat(sep=" ", timespec="microseconds")) == [moment]
    assert arrived("smalldatetime", "2014-06-30 12:30:00") == [datetime(2014, 6, 30, 12, 30)]
    assert arrived("datetimeoffset(7)", moment.isoformat(sep=" ")) == [moment.replace(tzinfo=UTC)]
    assert arrived("time(7)", clock.isoformat(timespec="microseconds"), None) == [clock, None]
    assert arrived("date", day.isoformat(), None) == [day, None]


@given(some.text(max_size=6), some.integers(0, 255), some.integers(-(2**31), 2**31 - 1))
def test_texts_and_whole_numbers(text, tiny, number):
    assert arrived("nvarchar(50)", text, None) == [text, None]
    (padded,) = arrived("nchar(6)", text.rstrip(" "))
    assert (padded.rstrip(" "), len(padded)) == (text.rstrip(" "), 6)
    assert arrived("tinyint", tiny, None) == [tiny, None]
    assert arrived("int", number) == [number]
    assert arrived("bit", True, 0, None) == [True, False, None]


@pytest.mark.parametrize(
    ("declared", "value"), [("int", "seven"), ("tinyint", 300), ("datetime", "soon"), ("decimal(4,2)", "100.001")]
)
def test_a_value_of_another_type_blocks_the_table_and_is_not_told(declared, value):
    with pytest.raises(TableBlocked) as error:
        column(declared).to_arrow([value], "Sales_Store")
    assert error.value.rule == "column_types_are_kept"
    assert str(value) not in str(error.value)


@given(some.text(some.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20))
def test_no_key_can_break_out_of_a_question(text):
    parsed = sqlglot.parse_one(f"select {literal(text)} as x", dialect="tsql")
    assert next(found.this for found in parsed.find_all(exp.National, exp.Literal)) == text
    assert column("hierarchyid").literal(text) == f"cast(0x{_digits(text)} as hierarchyid)"


def _digits(text):
    digits = text.removeprefix("0x")
    return digits if all(digit in "0123456789abcdefABCDEF" for digit in digits) else ""


def _schema(real_data):
    """The columns of the 71 tables with their SQL Server types."""
    described = json.loads((real_data / "schema.json").read_text(encoding="utf-8"))
    tables = {}
    for name, table in described.items():
        schema, plain = name.split(".")
        columns = {}
        for entry in table["columns"]:
            declared = COMPUTED[f"{plain}.{entry['name']}"] if entry["type"] == "COMPUTED" else entry["type"]
            columns[entry["name"]] = column(declared, entry["name"], entry["nullable"])
        tables[f"{schema}_{plain}"] = columns
    return tables


def _as_server_gives(value, given: SqlServerColumn):
    """A value of the real data as SQL Server's answer to the column's expression has it."""
    if value is None:
        return "" if given.type_name == "hierarchyid" and not given.nullable else None
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="milliseconds")
    if isinstance(value, Decimal):
        return format(value, f".{given.scale}f")
    if isinstance(value, (date, time)):
        return value.isoformat()
    return value


def test_the_real_data_passes_the_gate_as_if_it_came_from_files(real_data):
    tables = _schema(real_data)
    assert tables.keys() == SOURCE_TABLES.keys()
    with FileSource(real_data / "parquet", batch_rows=500).snapshot() as snapshot:
        for table in SOURCE_TABLES.values():
            batch = next(snapshot.rows(table), None)
            if batch is None:
                continue
            columns = contract_columns(table, tables)
            given = [[_as_server_gives(value, c) for value in batch[c.name].to_pylist()] for c in columns]
            arrays = [c.to_arrow(values, table.asset) for c, values in zip(columns, given, strict=True)]
            ours = pa.RecordBatch.from_arrays(arrays, names=[c.name for c in columns])
            verdict, expected = hold_against(table, ours), hold_against(table, batch)
            assert_frame_equal(verdict.good, expected.good)
            assert verdict.bad.height == expected.bad.height == 0, table.asset


def test_every_question_about_every_table_is_tsql(real_data):
    tables = _schema(real_data)
    every = list(SOURCE_TABLES.values())
    versions = dict.fromkeys(SOURCE_TABLES, 41)
    asked = [queries.DATABASE, queries.tables_query(every), queries.columns_query(every)]
    asked.append(queries.changed_tables_query(versions))
    for table in every:
        selected = contract_columns(table, tables)
        key = [tables[table.asset][name] for name in key_of(table)]
        wanted = pa.table({c.name: pa.array([None], c.arrow_type) for c in key})
        asked += [
            queries.state_query(table, tables),
            queries.rows_query(table, selected, tables, datetime(2014, 1, 1)),
            queries.rows_by_key_query(table, selected, key, wanted),
            queries.changed_keys_query(table, tables, 41, 100),
        ]
        assert [c.name for c in selected] == [c.name for c in source_columns_of(table)]
    for question in asked:
        # The parser does not know this one.
        known = re.sub(r"changetable\(changes (\[\w+\]\.\[\w+\]), 41\) as c", r"\1 as c", question)
        (statement,) = sqlglot.parse(known, dialect="tsql")
        assert isinstance(statement, exp.Query), question
        for place in statement.find_all(exp.Table):
            functions = isinstance(place.this, exp.Anonymous)
            assert functions or place.db, f"{place} has no schema: {question}"


def test_rows_by_key_name_values_in_their_own_types():
    kinds = {"BusinessEntityID": "int", "RateChangeDate": "datetime", "Rate": "money", "PayFrequency": "tinyint"}
    pay = SOURCE_TABLES["HumanResources_EmployeePayHistory"]
    columns = {name: column(kind, name, nullable=False) for name, kind in kinds.items()}
    key = [columns["BusinessEntityID"], columns["RateChangeDate"]]
    moments = pa.array([datetime(2009, 1, 14, 9, 17, 8, 637000)], pa.timestamp("us"))
    wanted = pa.table({"BusinessEntityID": pa.array([7], pa.int32()), "RateChangeDate": moments})
    question = queries.rows_by_key_query(pay, key, key, wanted)
    assert "(values (cast(N'7' as int), cast(N'2009-01-14T09:17:08.637' as datetime)))" in question
    assert question.endswith("on t.[BusinessEntityID] = w.k0 and t.[RateChangeDate] = w.k1")


def failing(number, text):
    return pymssql.OperationalError((number, text.encode()))


SERVER = "DB-Lib error message 20018, severity 16:\nGeneral SQL Server error: Check messages from the SQL Server\n"
TABLE = SOURCE_TABLES["Sales_Store"]


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (failing(18456, f"Login failed for user 'reader'.{SERVER}"), PlatformError, "refuses the login"),
        (failing(4060, f"Cannot open database{SERVER}"), PlatformError, "does not have the database"),
        (failing(3952, f"Snapshot isolation{SERVER}"), PlatformError, "ALTER DATABASE .* SET ALLOW_SNAPSHOT_ISOLATION"),
        (failing(208, f"Invalid object name{SERVER}"), TableBlocked, "no longer has this table"),
        (failing(207, f"Invalid column name{SERVER}"), TableBlocked, "a column vanished"),
        (failing(229, f"SELECT was denied{SERVER}"), TableBlocked, r"GRANT SELECT ON \[Sales\]\.\[Store\]"),
        (failing(1205, f"deadlock{SERVER}"), ServiceUnavailable, "another transaction"),
        (failing(3961, f"DDL{SERVER}"), ServiceUnavailable, "altered while it was read"),
        (failing(40613, f"not currently available{SERVER}"), ServiceUnavailable, "not available"),
        (failing(245, f"Conversion failed: secret value{SERVER}"), PlatformError, "message 245"),
        (failing(20004, "DB-Lib error message 20004\nRead from the server failed"), ServiceUnavailable, "was lost"),
        (failing(20003, "DB-Lib error message 20003\nconnection timed out"), ServiceUnavailable, "too long"),
        (failing(18456, "DB-Lib error message 20009\nUnable to connect"), ServiceUnavailable, "host name is unknown"),
        (failing(20002, "DB-Lib error message 20002\nconnection failed"), ServiceUnavailable, "tls=encrypt"),
        (pymssql.InterfaceError("Connection is closed."), ServiceUnavailable, "was lost"),
    ],
)
def test_errors_of_the_driver_say_what_to_do(error, kind, words):
    told = meaning(error, ADDRESS, TABLE)
    assert type(told) is kind
    assert told.next_step
    with pytest.raises(kind, match=words):
        raise told
    assert "secret value" not in str(told)


def test_urls_and_their_options():
    full = Address.of(
        SecretStr("mssql+pymssql://me%40x:p%2Fw@db:1444/Adventure%20Works?tls=off&isolation=read_committed")
    )
    assert (full.host, full.port, full.database, full.user) == ("db", 1444, "Adventure Works", "me@x")
    assert (full.password.get_secret_value(), full.tls, full.isolation) == ("p/w", "off", "read_committed")
    assert (ADDRESS.port, ADDRESS.tls, ADDRESS.isolation) == (1433, "verify", "snapshot")
    assert "s3cret" not in repr(ADDRESS)
    for url, words in {
        "mssql://reader:s3cret@/db": "no host",
        r"mssql://reader:s3cret@db.example\SQLEXPRESS/db": "names an instance",
        "mssql://reader:s3cret@db.example%5CSQLEXPRESS/db": "names an instance",
        "mssql://reader:s3cret@db.example,1433/db": "comma between host and port",
        "mssql://reader:s3cret@host": "no database",
        "mssql://host/db": "no user",
        "mssql://u:s3cret@host/db?encrypt=no": "option encrypt",
        "mssql://u:s3cret@host/db?tls=maybe": "tls=maybe",
        "mssql://u:s3cret@host/db?tls_ca=/nowhere.pem": "nowhere.pem",
        "mssql://u:s3cret@host:port/db": "no SQL Server URL",
        "postgresql://u:s3cret@host/db": "no SQL Server URL",
    }.items():
        with pytest.raises(PlatformError, match=words) as error:
            Address.of(SecretStr(url))
        assert "s3cret" not in f"{error.value}{error.value.__cause__}"


def test_the_page_for_operators_grants_what_the_platform_reads():
    page = (PROJECT_ROOT / "docs" / "operate" / "sql-server.md").read_text(encoding="utf-8")
    for schema in {table.schema for table in SOURCE_TABLES.values()}:
        assert f"GRANT SELECT ON SCHEMA::{schema} TO aw_reader;" in page
        assert f"GRANT VIEW CHANGE TRACKING ON SCHEMA::{schema} TO aw_reader;" in page
        assert f"N'{schema}'" in page
