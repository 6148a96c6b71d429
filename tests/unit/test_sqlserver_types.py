"""SQL Server types and their conversion to Arrow, the generated T-SQL, and the translation of driver errors."""

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
from adventureworks.gate.contract import validate
from adventureworks.settings import PROJECT_ROOT
from adventureworks.source import sqlserver_queries as queries
from adventureworks.source.addresses import SqlServerAddress
from adventureworks.source.declared import StoredTable
from adventureworks.source.files import FileSource
from adventureworks.source.sqlserver_columns import SqlServerColumn, contract_columns
from adventureworks.source.sqlserver_errors import translate
from adventureworks.source.sqlserver_sql import literal

ADDRESS = SqlServerAddress.of(SecretStr("mssql://reader:s3cret@db.example/AdventureWorks"))
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
"""The types of AdventureWorks' computed columns."""


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
    return SqlServerColumn(name, name, plain, length * wide, precision, scale, nullable)


def converted(declared, *values):
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
def test_each_type_is_selected_in_a_lossless_form(declared, expression):
    assert column(declared).expression == expression
    assert sqlglot.parse_one(f"select {expression} from t", dialect="tsql")


@given(some.data(), some.integers(1, 38), some.integers(0, 38))
def test_decimals_are_exact(data, precision, max_scale):
    scale = min(max_scale, precision)
    units = data.draw(some.integers(-(10**precision) + 1, 10**precision - 1))
    number = Decimal(units).scaleb(-scale, context=Context(prec=precision + 1))
    assert converted(f"decimal({precision},{scale})", format(number, "f"), None) == [number, None]


@given(some.integers(-(2**63), 2**63 - 1))
def test_money_keeps_four_decimal_places(units):
    number = Decimal(units).scaleb(-4)
    assert converted("money", f"{number:.4f}") == [number]


@given(some.integers(0, 2958463 - 53690), some.integers(0, 300 * 86400 - 1))
def test_datetimes_equal_what_sql_server_displays(day, tick):
    milliseconds = (tick * 10 + 1) // 3
    moment = EPOCH + timedelta(days=day, milliseconds=milliseconds)
    assert moment.microsecond // 1000 % 10 in {0, 3, 7}
    displayed = moment.isoformat(sep=" ", timespec="milliseconds")
    assert converted("datetime", displayed, None) == [moment, None]
    assert queries._texts(pa.chunked_array([pa.array([moment], pa.timestamp("us"))])) == [displayed.replace(" ", "T")]


@given(some.datetimes(min_value=datetime(1, 1, 1)), some.times(), some.dates())
def test_other_date_and_time_types_are_exact(moment, clock, day):
    assert converted("datetime2(7)", moment.isoformat(sep=" ", timespec="microseconds")) == [moment]
    assert converted("smalldatetime", "2014-06-30 12:30:00") == [datetime(2014, 6, 30, 12, 30)]
    assert converted("datetimeoffset(7)", moment.isoformat(sep=" ")) == [moment.replace(tzinfo=UTC)]
    assert converted("time(7)", clock.isoformat(timespec="microseconds"), None) == [clock, None]
    assert converted("date", day.isoformat(), None) == [day, None]


@given(some.text(max_size=6), some.integers(0, 255), some.integers(-(2**31), 2**31 - 1))
def test_texts_integers_and_bits_are_exact(text, tiny, number):
    assert converted("nvarchar(50)", text, None) == [text, None]
    (padded,) = converted("nchar(6)", text.rstrip(" "))
    assert (padded.rstrip(" "), len(padded)) == (text.rstrip(" "), 6)
    assert converted("tinyint", tiny, None) == [tiny, None]
    assert converted("int", number) == [number]
    assert converted("bit", True, 0, None) == [True, False, None]


@pytest.mark.parametrize(
    ("declared", "value"), [("int", "seven"), ("tinyint", 300), ("datetime", "soon"), ("decimal(4,2)", "100.001")]
)
def test_a_value_of_another_type_blocks_the_table_and_is_not_quoted(declared, value):
    with pytest.raises(TableBlocked) as error:
        column(declared).to_arrow([value], "Sales_Store")
    assert error.value.rule == "column_types_are_kept"
    assert str(value) not in str(error.value)


@given(some.text(some.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20))
def test_no_key_value_can_inject_sql(text):
    parsed = sqlglot.parse_one(f"select {literal(text)} as x", dialect="tsql")
    assert next(found.this for found in parsed.find_all(exp.National, exp.Literal)) == text
    assert column("hierarchyid").literal(text) == f"cast(0x{_digits(text)} as hierarchyid)"


def _digits(text):
    digits = text.removeprefix("0x")
    return digits if all(digit in "0123456789abcdefABCDEF" for digit in digits) else ""


def _schema(real_data):
    """Return the columns of the 71 tables with their SQL Server types."""
    described = json.loads((real_data / "schema.json").read_text(encoding="utf-8"))
    tables = {}
    for name, table in described.items():
        schema, plain = name.split(".")
        columns = {}
        for entry in table["columns"]:
            declared = COMPUTED[f"{plain}.{entry['name']}"] if entry["type"] == "COMPUTED" else entry["type"]
            columns[entry["name"]] = column(declared, entry["name"], entry["nullable"])
        tables[f"{schema}_{plain}"] = StoredTable(f"[{schema}].[{plain}]", columns)
    return tables


def _as_sent_by_server(value, of: SqlServerColumn):
    """Return a value of the real data as SQL Server returns it for the column's expression."""
    if value is None:
        return "" if of.type_name == "hierarchyid" and not of.nullable else None
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="milliseconds")
    if isinstance(value, Decimal):
        return format(value, f".{of.scale}f")
    if isinstance(value, (date, time)):
        return value.isoformat()
    return value


def test_real_data_from_sql_server_passes_the_gate_like_data_from_files(real_data):
    tables = _schema(real_data)
    assert tables.keys() == SOURCE_TABLES.keys()
    with FileSource(real_data / "parquet", batch_rows=500).snapshot() as snapshot:
        for table in SOURCE_TABLES.values():
            batch = next(snapshot.rows(table), None)
            if batch is None:
                continue
            columns = contract_columns(table, tables)
            sent = [[_as_sent_by_server(value, c) for value in batch[c.name].to_pylist()] for c in columns]
            arrays = [c.to_arrow(values, table.asset) for c, values in zip(columns, sent, strict=True)]
            received = pa.RecordBatch.from_arrays(arrays, names=[c.name for c in columns])
            verdict, expected = validate(table, received), validate(table, batch)
            assert_frame_equal(verdict.good, expected.good)
            assert verdict.bad.height == expected.bad.height == 0, table.asset


def test_every_query_on_every_table_is_valid_tsql(real_data):
    tables = _schema(real_data)
    every = list(SOURCE_TABLES.values())
    versions = dict.fromkeys(SOURCE_TABLES, 41)
    statements = [
        queries.DATABASE,
        queries.tables_query(),
        queries.tables_query(tracks=False),
        queries.columns_query(),
    ]
    statements.append(queries.changed_tables_query(versions, tables))
    for table in every:
        selected = contract_columns(table, tables)
        key = [tables[table.asset][name] for name in key_of(table)]
        wanted = pa.table({c.name: pa.array([None], c.arrow_type) for c in key})
        statements += [
            queries.state_query(table, tables),
            queries.rows_query(table, selected, tables, datetime(2014, 1, 1)),
            queries.rows_by_key_query(tables[table.asset].relation, selected, key, wanted),
            queries.changed_keys_query(table, tables, 41, 100),
            queries.deleted_keys_query(table, tables, 41, 100),
        ]
        assert [c.name for c in selected] == [c.name for c in source_columns_of(table)]
    for query in statements:
        # The parser does not know CHANGETABLE.
        parsable = re.sub(r"changetable\(changes (\[\w+\]\.\[\w+\]), 41\) as (\w)", r"\1 as \2", query)
        (statement,) = sqlglot.parse(parsable, dialect="tsql")
        assert isinstance(statement, exp.Query), query
        for reference in statement.find_all(exp.Table):
            is_function = isinstance(reference.this, exp.Anonymous)
            assert is_function or reference.db, f"{reference} has no schema: {query}"


def test_rows_by_key_are_queried_with_typed_key_values():
    kinds = {"BusinessEntityID": "int", "RateChangeDate": "datetime", "Rate": "money", "PayFrequency": "tinyint"}
    columns = {name: column(kind, name, nullable=False) for name, kind in kinds.items()}
    key = [columns["BusinessEntityID"], columns["RateChangeDate"]]
    moments = pa.array([datetime(2009, 1, 14, 9, 17, 8, 637000)], pa.timestamp("us"))
    wanted = pa.table({"BusinessEntityID": pa.array([7], pa.int32()), "RateChangeDate": moments})
    query = queries.rows_by_key_query("[HumanResources].[EmployeePayHistory]", key, key, wanted)
    assert "(values (cast(N'7' as int), cast(N'2009-01-14T09:17:08.637' as datetime)))" in query
    assert query.endswith("on t.[BusinessEntityID] = w.k0 and t.[RateChangeDate] = w.k1")


def failure(number, text):
    return pymssql.OperationalError((number, text.encode()))


SERVER = "DB-Lib error message 20018, severity 16:\nGeneral SQL Server error: Check messages from the SQL Server\n"
TABLE = SOURCE_TABLES["Sales_Store"]


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (failure(18456, f"Login failed for user 'reader'.{SERVER}"), PlatformError, "rejected the login"),
        (failure(4060, f"Cannot open database{SERVER}"), PlatformError, "has no database of this name"),
        (
            failure(3952, f"Snapshot isolation{SERVER}"),
            PlatformError,
            "ALTER DATABASE .* SET ALLOW_SNAPSHOT_ISOLATION",
        ),
        (failure(208, f"Invalid object name{SERVER}"), TableBlocked, "no longer has this table"),
        (failure(207, f"Invalid column name{SERVER}"), TableBlocked, "a column was dropped"),
        (failure(229, f"SELECT was denied{SERVER}"), TableBlocked, r"GRANT SELECT ON \[Sales\]\.\[Store\]"),
        (failure(978, f"application intent{SERVER}"), PlatformError, "intent=readonly"),
        (failure(22117, f"secondary replica{SERVER}"), ServiceUnavailable, "does not track changes"),
        (failure(1205, f"deadlock{SERVER}"), ServiceUnavailable, "deadlock"),
        (failure(3961, f"DDL{SERVER}"), ServiceUnavailable, "altered while it was being read"),
        (failure(40613, f"not currently available{SERVER}"), ServiceUnavailable, "not available"),
        (failure(245, f"Conversion failed: secret value{SERVER}"), PlatformError, "message 245"),
        (
            failure(20004, "DB-Lib error message 20004\nRead from the server failed"),
            ServiceUnavailable,
            "was lost",
        ),
        (failure(20003, "DB-Lib error message 20003\nconnection timed out"), ServiceUnavailable, "too long"),
        (
            failure(18456, "DB-Lib error message 20009\nUnable to connect"),
            ServiceUnavailable,
            "host name is unknown",
        ),
        (failure(20002, "DB-Lib error message 20002\nconnection failed"), ServiceUnavailable, "tls=encrypt"),
        (pymssql.InterfaceError("Connection is closed."), ServiceUnavailable, "was lost"),
    ],
)
def test_driver_errors_become_errors_with_a_next_step(error, kind, words):
    translated = translate(error, ADDRESS, TABLE)
    assert type(translated) is kind
    assert str(translated) != translated.cause, "it says what to do next"
    with pytest.raises(kind, match=words):
        raise translated
    assert "secret value" not in str(translated)


def test_urls_are_parsed_and_invalid_ones_rejected():
    full = SqlServerAddress.of(
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
        "mssql://u:s3cret@host/db?Encrypt=strict": "a value of encrypt that is not supported",
        "mssql+pyodbc:///?odbc_connect=PWD%3Ds3cret": "the option odbc_connect",
        "mssql+pyodbc://u:s3cret@host/db?Trusted_Connection=yes": "Windows or Entra",
        "mssql+pyodbc://u:s3cret@host/db?authentication=ActiveDirectoryPassword": "Windows or Entra",
        "mssql+pyodbc://u:1?s3cret=b@host/db": "an @ after the host",
        "mssql+turbodbc://u:s3cret@host/db": "a driver that is not supported",
        "mssql://u:s3cret@host/db?tls=maybe": "tls=maybe",
        "mssql://u:s3cret@host/db?tls_ca=/nowhere.pem": "nowhere.pem",
        "mssql://u:s3cret@host:port/db": "is malformed",
        "mssql://u:s3[cret@host/db": "is malformed",
        "postgresql://u:s3cret@host/db": "not a SQL Server URL",
    }.items():
        with pytest.raises(PlatformError, match=words) as error:
            SqlServerAddress.of(SecretStr(url))
        assert "s3cret" not in f"{error.value}{error.value.__cause__}"


@pytest.mark.parametrize(
    ("options", "tls"),
    [
        ("driver=ODBC+Driver+18+for+SQL+Server", "verify"),
        ("driver=ODBC+Driver+18+for+SQL+Server&Encrypt=yes&TrustServerCertificate=no", "verify"),
        ("TrustServerCertificate=yes", "encrypt"),
        ("Encrypt=Mandatory&trustservercertificate=YES&Trusted_Connection=no", "encrypt"),
        ("Encrypt=no&TrustServerCertificate=yes", "off"),
        ("charset=utf8&TrustServerCertificate=yes&tls=verify", "verify"),
    ],
)
def test_options_of_odbc_are_understood(options, tls):
    found = SqlServerAddress.of(SecretStr(f"mssql+pyodbc://reader:p@db:1444/AW?{options}"))
    assert (found.host, found.port, found.database, found.tls) == ("db", 1444, "AW", tls)


def test_the_documentation_grants_every_schema_that_the_platform_reads():
    page = (PROJECT_ROOT / "docs" / "operate" / "sql-server.md").read_text(encoding="utf-8")
    for schema in {table.schema for table in SOURCE_TABLES.values()}:
        assert f"GRANT SELECT ON SCHEMA::{schema} TO aw_reader;" in page
        assert f"GRANT VIEW CHANGE TRACKING ON SCHEMA::{schema} TO aw_reader;" in page
        assert f"N'{schema}'" in page
