"""What is known of transfers."""

from __future__ import annotations

from builder.report.transfers import Transfers, speed, took
from builder.values.event import Transfer


def test_transfers_are_known_from_their_first_to_their_last_event() -> None:
    """One that is over is no longer under way, and has kept when it began."""
    transfers = Transfers()
    transfers.take(Transfer("pull", "a", 0, 10), 5.0)
    transfers.take(Transfer("pull", "b", 0, 10), 6.0)
    transfers.take(Transfer("push", "a", 0, 10), 6.0)
    transfers.take(Transfer("pull", "a", 4, 10), 7.0)
    assert [(moving.event.verb, moving.event.what, moving.event.done) for moving in transfers.moving] == [
        ("pull", "a", 4),
        ("pull", "b", 0),
        ("push", "a", 0),
    ]
    assert transfers.take(Transfer("pull", "a", 10, 10), 9.0).started_s == 5.0
    assert [moving.event.what for moving in transfers.moving] == ["b", "a"]


def test_totals_are_of_what_is_over() -> None:
    """From the first beginning to the last end; what never ended does not count."""
    transfers = Transfers()
    for name, done, now_s in (("a", 0, 1.0), ("b", 0, 1.5), ("b", 30_000_000, 2.0), ("a", 30_000_000, 4.0)):
        transfers.take(Transfer("pull", name, done, 30_000_000), now_s)
    transfers.take(Transfer("pull", "c", 5, 10), 8.0)
    assert transfers.totals() == ["pulled 2 layers, 60.0 MB in 3.0s, 20.0 MB/s"]


def test_one_transfer_needs_no_total() -> None:
    """Its own line says all; neither is there one for unpacking, which goes with the rest."""
    transfers = Transfers()
    transfers.take(Transfer("push", "a", 5, 5), 1.0)
    transfers.take(Transfer("unpack", "a", 5, 5), 1.0)
    transfers.take(Transfer("unpack", "b", 5, 5), 2.0)
    assert transfers.totals() == []


def test_speeds_are_of_what_took_time() -> None:
    """What was over at once has no speed; nothing is divided by nothing."""
    assert took(10, 0.01) == ""
    assert took(10_000_000, 2.5) == " in 2.5s, 4.0 MB/s"
    assert speed(1000, 0.0) == "1.0 MB/s"
