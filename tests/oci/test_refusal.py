"""What registries say when they refuse."""

from __future__ import annotations

import pytest

from builder.oci.refusal import Refusal, refusal_of
from builder.oci.transport import Http
from builder.values.access import Access
from tests.oci.rogue import QUICK, Answer, Rogue, body, endless, json_answer


def refused(rogue: Rogue, answer: Answer) -> Refusal:
    """What is read from an answer, which here has status 200."""
    rogue.routes["/x"] = answer
    http = Http(Access(), QUICK)
    return refusal_of(http.get(f"{rogue.url}/x", {}, {}), http)


def test_codes_and_the_first_message_are_read(rogue: Rogue) -> None:
    """As the specification writes them."""
    errors = [{"code": "DENIED", "message": "no"}, {"code": "UNKNOWN", "detail": {}}]
    found = refused(rogue, json_answer({"errors": errors}))
    assert found == Refusal(rogue.address, 200, ("DENIED", "UNKNOWN"), "no")
    assert found.said == ": no"


def test_a_code_alone_is_a_message(rogue: Rogue) -> None:
    """Better than nothing."""
    assert refused(rogue, json_answer({"errors": [{"code": "DENIED"}]})).said == ": DENIED"


@pytest.mark.parametrize("answer", [body(b""), body(b"<html>no</html>"), json_answer({"errors": 7}), endless])
def test_other_bodies_count_for_nothing(rogue: Rogue, answer: Answer) -> None:
    """Also one that never ends."""
    assert refused(rogue, answer) == Refusal(rogue.address, 200)
    assert Refusal("host", 500).said == ""


def test_words_are_fit_for_a_terminal(rogue: Rogue) -> None:
    """No control characters, and not too many of them."""
    found = refused(rogue, json_answer({"errors": [{"code": "X", "message": "a\x1b[31m" + "b" * 1000}]}))
    assert found.message.startswith("a?[31mb")
    assert len(found.message) == 200
