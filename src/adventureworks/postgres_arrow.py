"""Connections to PostgreSQL that read and write Arrow data."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

# Without this, the driver first reads the whole catalogue of types, which takes ten times as long as connecting. Every
# statement of the platform returns columns of built-in types.
_ONLY_BUILT_IN_TYPES = {"adbc.postgresql.type_resolver_mode": "builtin"}


def connect_arrow(address: SecretStr, *, autocommit: bool) -> Any:
    """Return a DB-API connection of the ADBC driver; `address` is a connection string of libpq.

    Raises the driver's `Error` when the server cannot be reached.
    """
    from adbc_driver_postgresql import dbapi

    return dbapi.connect(address.get_secret_value(), db_kwargs=_ONLY_BUILT_IN_TYPES, autocommit=autocommit)
