"""The form and the client authentication of the token endpoint."""

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.tokens.client_authentication import parse_credentials, parse_form
from identity.tokens.problems import InvalidClient, OAuthRefused

FORM = "application/x-www-form-urlencoded"


def basic(text: str) -> list[str]:
    return ["Basic " + base64.b64encode(text.encode()).decode()]


def test_credentials_in_the_header_are_decoded_as_a_form():
    assert parse_credentials(basic("service%3Aincident:a%2Bb+c"), {}) == ("service:incident", "a+b c")
    assert parse_credentials([], {"client_id": "x", "client_secret": "y"}) == ("x", "y")


@pytest.mark.parametrize(
    ("header", "form", "problem"),
    [
        ([], {}, InvalidClient),
        ([], {"client_secret": "y"}, InvalidClient),
        (["Bearer x"], {}, InvalidClient),
        (basic("no colon"), {}, InvalidClient),
        (["Basic é"], {}, InvalidClient),
        (["Basic /w=="], {}, InvalidClient),
        (basic("a:b"), {"client_secret": "y"}, OAuthRefused),
        (basic("a:b") * 2, {}, OAuthRefused),
    ],
)
def test_anything_else_is_refused(header, form, problem):
    with pytest.raises(problem):
        parse_credentials(header, form)


@given(st.binary(max_size=200), st.text(max_size=40))
def test_any_body_is_a_form_or_refused(body, media_type):
    for kind in (FORM, media_type):
        with contextlib.suppress(OAuthRefused):
            assert all(isinstance(value, str) for value in parse_form(kind, body).values())


@given(st.text(max_size=60), st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3))
def test_any_header_names_a_client_or_is_refused(header, form):
    with contextlib.suppress(OAuthRefused):
        assert all(isinstance(part, str) for part in parse_credentials([header], form))
