"""Mail addresses as users write them in settings and routes."""

import pytest

from adventureworks.errors import PlatformError
from adventureworks.messaging.addresses import addresses
from adventureworks.messaging.recipients import Recipients
from adventureworks.messaging.routes import routes
from adventureworks.settings import Settings


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ann@example.com", ["ann@example.com"]),
        ("ann@x.org; ben@x.org", ["ann@x.org", "ben@x.org"]),
        (" ann@x.org ,ben@x.org;\ncas@x.org dee@x.org ;", ["ann@x.org", "ben@x.org", "cas@x.org", "dee@x.org"]),
        ('Ann Lee <ann@x.org>, "Lee; Ben, MSc" <ben@x.org>', ["ann@x.org", "ben@x.org"]),
        ("ann@x.org, ann@x.org", ["ann@x.org"]),
        ("sales@localhost", ["sales@localhost"]),
        ("élise@exämple.org", ["élise@exämple.org"]),
    ],
)
def test_all_addresses_are_found(text: str, found: list[str]) -> None:
    assert list(addresses(text)) == found


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("ann@x.org; ben", "'ben'"),
        ("Ann Lee ann@x.org", "'Ann'"),
        ("ann@x.org <ben@x.org", "'<ben@x.org'"),
        ("ann@", "'ann@'"),
        ("ann@x..org", "'ann@x..org'"),
        ("a@b@x.org", "'a@b@x.org'"),
        ("<ann@x.org\r\nBcc: eve@x.org>", "'<ann@x.org'"),
        (" ; ", "there is no mail address"),
    ],
)
def test_invalid_address_is_quoted_in_the_error(text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match="mail address") as error:
        addresses(text)
    assert wrong in str(error.value)


def test_addresses_in_a_setting_become_separate_recipients() -> None:
    recipients = Recipients(
        routes(Settings(owner_emails={"sales": "ann@x.org; ben@x.org"})), ("email",), "slack_default", ""
    )
    assert [one.key for one in recipients.of_owner("sales", "email")] == ["email/ann@x.org", "email/ben@x.org"]


def test_invalid_address_in_a_setting_is_refused_with_its_owner() -> None:
    with pytest.raises(
        PlatformError, match=r"ADVENTUREWORKS_OWNER_EMAILS is wrong at sales: 'ben' is not .*example.com"
    ):
        routes(Settings(owner_emails={"platform": "ann@x.org", "sales": "ann@x.org, ben"}))
