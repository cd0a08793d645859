"""The figures as a table for people."""

from __future__ import annotations

import statistics

from benchmarks.runner import Findings, Table
from benchmarks.values import Listing

OURS = "pybuild"


def text(table: Table) -> str:
    """Several lines for each row: one for each tool."""
    lines = []
    for row, found in table.items():
        target = f"   to reach: {row.target_s:g} s" if row.target_s is not None else ""
        lines.append(f"{row.key}  {row.title}{target}")
        lines += [f"    {_line(tool, findings, found[OURS])}" for tool, findings in found.items()]
    return "\n".join(lines)


def _line(tool: str, findings: Findings, ours: Findings) -> str:
    if not findings.runs:
        return (
            f"{tool:9} failed: {findings.failures[-1].reason[:300]}" if findings.failures else f"{tool:9} not measured"
        )
    walls = [run.wall_s for run in findings.runs]
    words = [
        f"{tool:9} median {statistics.median(walls):8.3f} s  least {min(walls):8.3f} s",
        f"CPU {statistics.median(run.cpu_s for run in findings.runs):8.3f} s",
        f"peak {max(run.peak_kib for run in findings.runs) / 1024:5.0f} MiB",
        _size(findings.listing),
    ]
    if findings is not ours and ours.runs:
        words.append(f"ours takes {ratio(ours, findings):.3f} of it")
    if findings.failures:
        words.append(f"{len(findings.failures)} of {len(walls) + len(findings.failures)} runs failed")
    if findings.differs:
        words.append(f"NOT THE SAME: {len(findings.differs)} paths, as {', '.join(findings.differs[:3])}")
    return "  ".join(word for word in words if word)


def ratio(ours: Findings, theirs: Findings) -> float:
    """Our median by theirs."""
    return statistics.median(run.wall_s for run in ours.runs) / statistics.median(run.wall_s for run in theirs.runs)


def _size(listing: Listing | None) -> str:
    if listing is None:
        return ""
    small, large = (sum(getattr(layer, name) for layer in listing.layers) for name in ("compressed", "plain"))
    return f"{small / 1e6:.1f} MB of {large / 1e6:.1f} ({large / max(small, 1):.2f})"
