"""`pybuild prune`: remove what is no longer needed from the store, also while builds run."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress

from builder.commands.arguments import bad
from builder.commands.caller import Caller, store_root
from builder.commands.line import Line
from builder.commands.lookup import is_store
from builder.errors import PybuildError, StoreError, UsageError
from builder.lang.quantities import duration_ns, size_bytes
from builder.lang.suggest import did_you_mean
from builder.report.text import printable
from builder.report.usage import gone_table, size_text
from builder.stages.door import Door
from builder.stages.prune import Pruned, carry_out, rehearse
from builder.store import Store
from builder.store.holdings import PRUNABLE, Kind
from builder.store.policy import Policy
from builder.values.event import Event, Note

_DAYS = re.compile(r"([0-9]{1,6})(d|w)")
_DAY_S = {"d": 86_400, "w": 7 * 86_400}
_TYPES = {
    **{kind.value: kind for kind in PRUNABLE},
    # As buildx calls them.
    "exec.cachemount": Kind.CACHES,
    "regular": Kind.STEPS,
    "source.local": Kind.FINGERPRINTS,
}


def run(line: Line, caller: Caller) -> int:
    """Remove by the policy that the options make and say what went. Raises UsageError, StoreError."""
    policy = policy_of(line)
    path = store_root(line.text("root"), caller)
    if not is_store(path):
        caller.say(["nothing to remove"])
        return 0

    def emit(event: Event) -> None:
        if isinstance(event, Note):
            caller.remark(f"note: {printable(event.text)}")

    with Store.open(path) as store:
        if line.flag("dry_run"):
            pruned = rehearse(store, policy)
            caller.say(_told(pruned, "would free"))
            return 0
        with Door(store.root, emit) as door:
            pruned = carry_out(store, policy, door)
        with suppress(StoreError):  # it would have been good for the next boot, no more
            store.snapshots.settle()
    caller.say(_told(pruned, "freed"))
    for text in _left(pruned):
        caller.remark(text)
    return 0


def policy_of(line: Line) -> Policy:
    """The policy of a command line. Raises UsageError."""
    written = line.text("older_than")
    older_s = None if written is None else _seconds("--older-than", written)
    kinds = [_kind("--type", text) for text in line.texts("type")]
    for text in line.texts("filter"):
        name, equals, value = text.partition("=")
        if name == "until" and equals:
            older_s = _seconds("--filter until", value)
        elif name == "type" and equals:
            kinds.append(_kind("--filter", value))
        else:
            raise bad("--filter", f"{text!r} is not supported", "until=24h or type=KIND")
    keep = line.text("keep_storage")
    named = bool(kinds) and older_s is None and keep is None
    return Policy(
        older_than_s=older_s,
        keep_bytes=None if keep is None else _bytes(keep),
        everything=line.flag("all") or named,
        kinds=frozenset(kinds or Kind),
    )


def _kind(option: str, text: str) -> Kind:
    kind = _TYPES.get(text)
    if kind is None:
        names = [kind.value for kind in PRUNABLE]
        hint = did_you_mean(text, names, f"there are {', '.join(names[:-1])} and {names[-1]}")
        raise UsageError(f"{option}: there is no kind {text!r}", hint=hint)
    return kind


def _seconds(option: str, text: str) -> float:
    days = _DAYS.fullmatch(text)
    if days is not None:
        return float(int(days[1]) * _DAY_S[days[2]])
    try:
        found = duration_ns(text) / 1e9
    except ValueError as error:
        raise bad(option, str(error), "7d, 24h or 1h30m") from None
    if found < 0:
        raise bad(option, f"{text!r} is in the future", "7d, 24h or 1h30m")
    return found


def _bytes(text: str) -> int:
    try:
        return size_bytes(text)
    except ValueError as error:
        raise bad("--keep-storage", str(error), "10GB or 500m") from None


def _told(pruned: Pruned, verb: str) -> list[str]:
    if not pruned.gone:
        return ["nothing to remove"]
    return [gone_table(pruned.gone), f"{verb} {size_text(pruned.freed)}"]


def _left(pruned: Pruned) -> Iterable[str]:
    """What is still on the disk, and why."""
    if not pruned.left:
        return
    count = len(pruned.left)
    things = "1 thing stays" if count == 1 else f"{count} things stay"
    yield f"note: {things} in the store's trash, with files of subordinate ids that only a namespace can remove"
    if isinstance(pruned.why, PybuildError):
        yield f"note: {printable(pruned.why.message)}"
        if pruned.why.hint:
            yield f"  hint: {printable(pruned.why.hint)}"
