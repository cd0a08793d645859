"""Keys: what a step's outcome depends on, as plain values. Nothing meant for people's eyes goes in.

Left out on purpose: times of files, secrets' values, proxies, output formats, the order in which builds happen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from itertools import islice

from builder.values.digest import ChainId
from builder.values.key import CacheKey, Plain, canonical, key_of
from builder.values.request import BuildRequest
from builder.values.security import DEFAULT_CAPABILITIES, Security
from builder.values.step import CopyStep, RunStep, WorkdirStep

_FACTS_AT_ONCE = 1000  # part of the key's form


def run_key(step: RunStep, chain: ChainId, mounts: Sequence[Plain], request: BuildRequest) -> CacheKey:
    """The key of a RUN over a file system. `mounts` describe what its mounts show."""
    value: dict[str, Plain] = {
        "chain": str(chain),
        "argv": list(step.argv),
        "env": [list(pair) for pair in step.env],
        "cwd": step.cwd,
        "user": step.user,
        "network": step.network,
        "insecure": step.security is Security.INSECURE,
        "mounts": list(mounts),
        "scripts": [[script.name, script.content.hex()] for script in step.scripts],
        "hosts": [list(pair) for pair in request.add_hosts],
        "ulimits": [[limit.name, limit.soft, limit.hard] for limit in request.ulimits],
        "epoch": step.source_date_epoch,
    }
    if step.network == "proxy" and request.allow_hosts:
        value["allowed_hosts"] = sorted(map(str, request.allow_hosts))
    if step.hostname:  # else the key is what it was before steps could have one
        value["hostname"] = step.hostname
    value |= _privileges(step, request)
    return key_of("run", value)


def _privileges(step: RunStep, request: BuildRequest) -> dict[str, Plain]:
    """What a step may do where that is not the default, which says nothing: so keys are what they were before."""
    privileges, value = request.privileges, dict[str, Plain]()
    if step.security is Security.NESTED:
        value["security"] = str(step.security)
    if privileges.capabilities != DEFAULT_CAPABILITIES and step.security is not Security.INSECURE:
        value["capabilities"] = list(privileges.capabilities)
    if privileges.no_new_privileges:
        value["no_new_privileges"] = True
    return value


def copy_key(
    step: CopyStep,
    chain: ChainId,
    facts: Iterable[Plain],
    request: BuildRequest,  # noqa: ARG001  all three are asked alike; nothing of it decides what a COPY makes
) -> CacheKey:
    """The key of a COPY or ADD over a file system. `facts` describe its sources one by one."""
    return key_of("copy", _copy_value(step, chain, facts))


def sketch_key(step: CopyStep, chain: ChainId, facts: Iterable[Plain]) -> CacheKey:
    """What a COPY has in common with all that differ from it in the contents of files alone, and never is its key."""
    return key_of("sketch", _copy_value(step, chain, facts))


def _copy_value(step: CopyStep, chain: ChainId, facts: Iterable[Plain]) -> Plain:
    return {
        "chain": "" if step.link and not _names_owner(step) else str(chain),
        "destination": step.destination,
        "chown": step.chown,
        "chmod": step.chmod,
        "link": step.link,
        "parents": step.parents,
        "unpack": [step.unpack, step.unpack_downloads],
        "inline": [[inline.name, inline.content.hex()] for inline in step.inline],
        "sources": digest_of_facts(facts),
        "epoch": step.source_date_epoch,
    }


def workdir_key(
    step: WorkdirStep,
    chain: ChainId,
    request: BuildRequest,  # noqa: ARG001  as above
) -> CacheKey:
    """The key of making a working directory over a file system."""
    value: dict[str, Plain] = {"chain": str(chain), "path": step.path, "user": step.user}
    return key_of("workdir", {**value, "epoch": step.source_date_epoch})


def digest_of_facts(facts: Iterable[Plain]) -> str:
    """One digest over many facts; they stream, however many files there are."""
    total = hashlib.sha256()
    left = iter(facts)
    while some := list(islice(left, _FACTS_AT_ONCE)):  # one call for many costs a tenth of a call for each
        total.update(canonical(some) + b"\n")
    return total.hexdigest()


def _names_owner(step: CopyStep) -> bool:
    return step.chown is not None and not all(part.isdecimal() for part in step.chown.split(":") if part)
