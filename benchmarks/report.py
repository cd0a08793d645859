"""The figures: a table for people, JSON for programs, Markdown for docs/performance.md."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict
from pathlib import Path

from benchmarks.options import Options
from benchmarks.runner import Findings, Table
from benchmarks.values import Failure, LayerSize, Listing, Run
from benchmarks.workloads.workload import Row

OURS = "pybuild"
_BEGIN, _END = "<!-- figures -->", "<!-- /figures -->"


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


def memory(table: Table) -> str:
    """The peak of any process of each tool, over all rows."""
    peaks: dict[str, int] = {}
    for found in table.values():
        for tool, findings in found.items():
            peaks[tool] = max([peaks.get(tool, 0), *(run.peak_kib for run in findings.runs)])
    return "peak memory of any process: " + ", ".join(f"{tool} {kib / 1024:.0f} MiB" for tool, kib in peaks.items())


def as_json(table: Table, options: Options) -> str:
    """Every run of every row."""
    rows = [
        {
            "key": row.key,
            "title": row.title,
            "target_s": row.target_s,
            "tools": {tool: _figures(findings, found[OURS]) for tool, findings in found.items()},
        }
        for row, found in table.items()
    ]
    return json.dumps({"version": 1, "scale": options.scale, "rows": rows}, indent=1) + "\n"


def from_json(text: str) -> Table:
    """The table that as_json wrote; of listings only their layers."""
    table: Table = {}
    for row in json.loads(text)["rows"]:
        found = table[Row(row["key"], row["title"], row["target_s"])] = {}
        for tool, figures in row["tools"].items():
            layers = tuple(LayerSize(**layer) for layer in figures.get("layers", ()))
            found[tool] = Findings(
                [Run(**run) for run in figures["runs"]],
                [Failure(reason) for reason in figures["failures"]],
                Listing({}, layers) if "layers" in figures else None,
                figures["differs"],
            )
    return table


def _figures(findings: Findings, ours: Findings) -> dict[str, object]:
    figures: dict[str, object] = {
        "runs": [asdict(run) for run in findings.runs],
        "failures": [failure.reason for failure in findings.failures],
        "differs": findings.differs[:20],
    }
    if findings.runs:
        walls = [run.wall_s for run in findings.runs]
        figures |= {"median_s": statistics.median(walls), "least_s": min(walls), "cpu_s": _cpu(findings)}
    if findings.runs and ours.runs and findings is not ours:
        figures["ratio"] = ratio(ours, findings)
    if findings.listing is not None:
        figures["layers"] = [asdict(layer) for layer in findings.listing.layers]
    return figures


def _cpu(findings: Findings) -> float:
    return statistics.median(run.cpu_s for run in findings.runs)


def put_markdown(path: Path, table: Table) -> None:
    """Replace what is between the two marks of a page by the table."""
    page = path.read_text()
    head, begin, rest = page.partition(_BEGIN)
    _, end, tail = rest.partition(_END)
    if not (begin and end):
        raise SystemExit(f"benchmarks/run: {path} has no lines {_BEGIN} and {_END}")
    path.write_text(f"{head}{begin}\n\n{markdown(table)}\n{end}{tail}")


def markdown(table: Table) -> str:
    """A row for each row: ours, then each peer with the ratio."""
    tools = list(dict.fromkeys(tool for found in table.values() for tool in found))
    heads = ["#", "work", "to reach", *(f"{tool}, s" for tool in tools)]
    lines = [f"| {' | '.join(heads)} | size, ratio of ours |", "|" + " --- |" * (len(heads) + 1)]
    for row, found in table.items():
        target = f"{row.target_s:g} s" if row.target_s is not None else ""
        cells = [
            row.key,
            row.title,
            target,
            *(_cell(found[tool], found[OURS]) if tool in found else "–" for tool in tools),
        ]
        lines.append(f"| {' | '.join(cells)} | {_size(found[OURS].listing)} |")
    return "\n".join(lines) + f"\n\n{memory(table)}.\n"


def _short(value: float) -> str:
    return f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def _cell(findings: Findings, ours: Findings) -> str:
    if not findings.runs:
        return "failed" if findings.failures else "–"
    walls = [run.wall_s for run in findings.runs]
    text = f"{_short(statistics.median(walls))} (least {_short(min(walls))}, CPU {_short(_cpu(findings))})"
    if findings is not ours and ours.runs:
        text += f", **{_short(ratio(ours, findings))}**"
    if findings.failures:
        text += f", {len(findings.failures)} failed"
    return text + (", *other files*" if findings.differs else "")
