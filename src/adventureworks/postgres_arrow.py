"""Connections to PostgreSQL that read and write Arrow data."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from pydantic import SecretStr


def connect_arrow(address: SecretStr, *, autocommit: bool) -> Any:
    """Return a DB-API connection of the ADBC driver; `address` is a connection string of libpq.

    Raises the driver's `Error` when the server cannot be reached.
    """
    from adbc_driver_manager import AdbcConnection
    from adbc_driver_postgresql.dbapi import Connection

    types = _types_of(address)
    return Connection(types, AdbcConnection(types.database), autocommit=autocommit)


class _Types:
    """What the driver knows of a database's types; it holds no connection.

    The driver reads all of them whenever it opens a database, which takes ten times as long as connecting. Types that
    are made later stay unknown to it. Every statement of the platform gives columns of built-in types.
    """

    def __init__(self, address: SecretStr) -> None:
        from adbc_driver_postgresql import connect

        self.database = connect(address.get_secret_value())

    def close(self) -> None:
        """Do nothing: a connection closes its database, but this one is used again."""


_types_of = lru_cache(maxsize=16)(_Types)
