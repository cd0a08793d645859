"""Docker's build checks: which there are, which are wanted, what they find in text and instructions.

The rules are in `lang.check_rules` and `lang.check_names`. Findings never change what is built; `# check=error=true`
makes the first of them an error. What a rule needs to know besides the text (the bases, the ignore file) is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from builder.declare import replace
from builder.errors import BuildfileError
from builder.lang.check_names import NamesOf, from_findings, only_scratch, undefined_findings
from builder.lang.check_options import CheckOptions, options_in, read_options
from builder.lang.check_rules import (
    CREDENTIAL_RULE,
    Mismatch,
    given_credentials,
    ignored_findings,
    platform_findings,
    text_findings,
)
from builder.lang.credentials import credential_in
from builder.lang.findings import Finding, items_of
from builder.lang.ignore import IgnoreRules
from builder.lang.lines import LogicalLine, read_lines
from builder.values.instruction import Buildfile, CheckWarning

EXPERIMENTAL = frozenset(("InvalidDefinitionDescription",))
"""Rules that are silent unless they are asked for."""

RULES = frozenset(
    (
        "ConsistentInstructionCasing",
        "CopyIgnoredFile",
        CREDENTIAL_RULE,
        "DuplicateStageName",
        "ExposeInvalidFormat",
        "ExposeProtoCasing",
        "FromAsCasing",
        "FromPlatformFlagConstDisallowed",
        "InvalidBaseImagePlatform",
        "InvalidDefaultArgInFrom",
        "InvalidDefinitionDescription",
        "JSONArgsRecommended",
        "LegacyKeyValueFormat",
        "MaintainerDeprecated",
        "MultipleInstructionsDisallowed",
        "NoEmptyContinuation",
        "RedundantTargetPlatform",
        "ReservedStageName",
        "SecretsUsedInArgOrEnv",
        "StageNameCasing",
        "UndefinedArgInFrom",
        "UndefinedVar",
        "WorkdirRelativePath",
    )
)
"""Every rule there is."""

OF_STAGES = frozenset(
    (
        "CopyIgnoredFile",
        CREDENTIAL_RULE,
        "ExposeInvalidFormat",
        "ExposeProtoCasing",
        "InvalidBaseImagePlatform",
        "JSONArgsRecommended",
        "LegacyKeyValueFormat",
        "MultipleInstructionsDisallowed",
        "SecretsUsedInArgOrEnv",
        "UndefinedVar",
        "WorkdirRelativePath",
    )
)
"""Rules that BuildKit asks only where a stage is built; the others look at the whole file."""


def check(buildfile: Buildfile, lines: tuple[LogicalLine, ...]) -> tuple[CheckWarning, ...]:
    """What the text alone shows, by line; UndefinedVar only in blocks that build on scratch.

    Raises BuildfileError (without a span) for a malformed check directive.
    """
    items = items_of(buildfile, lines)
    findings = [
        *text_findings(buildfile, items),
        *from_findings(buildfile, items),
        *undefined_findings(buildfile, items, only_scratch),
    ]
    return _wanted(findings, read_options(buildfile.directives.check))


def undefined_variables(buildfile: Buildfile, names_of: NamesOf) -> tuple[CheckWarning, ...]:
    """UndefinedVar in every block whose base `names_of` knows; for when the bases have been resolved."""
    items = items_of(buildfile, read_lines(buildfile.source).lines)
    return _wanted(undefined_findings(buildfile, items, names_of), read_options(buildfile.directives.check))


def wrong_platforms(buildfile: Buildfile, bases: Mapping[int, Mismatch]) -> tuple[CheckWarning, ...]:
    """InvalidBaseImagePlatform: bases, by the number of their block, that are for another platform."""
    items = items_of(buildfile, read_lines(buildfile.source).lines)
    return _wanted(platform_findings(items, bases), read_options(buildfile.directives.check))


def with_options(buildfile: Buildfile, text: str) -> Buildfile:
    """The Buildfile as if this were its check directive. Raises BuildfileError (without a span) for a malformed one."""
    asked = replace(buildfile, directives=replace(buildfile.directives, check=text))
    return replace(asked, warnings=check(asked, read_lines(buildfile.source).lines))


def ignored_sources(buildfile: Buildfile, rules: IgnoreRules) -> tuple[CheckWarning, ...]:
    """CopyIgnoredFile: sources of COPY and ADD that the context's ignore file hides."""
    items = items_of(buildfile, read_lines(buildfile.source).lines)
    return _wanted(ignored_findings(items, rules), read_options(buildfile.directives.check))


def credentials_given(buildfile: Buildfile, build_args: Mapping[str, str]) -> tuple[CheckWarning, ...]:
    """CredentialInValue for build args: values of the command line that ARGs put into the history."""
    if not any(map(credential_in, build_args.values())):
        return ()
    items = items_of(buildfile, read_lines(buildfile.source).lines)
    return _wanted(given_credentials(items, build_args), read_options(buildfile.directives.check))


def refusal(buildfile: Buildfile, warnings: tuple[CheckWarning, ...]) -> BuildfileError | None:
    """The error that findings are where the Buildfile says `# check=error=true`."""
    if not warnings or not read_options(buildfile.directives.check).error:
        return None
    rules = ", ".join(sorted({warning.rule for warning in warnings}))
    return BuildfileError(
        f"lint violation found for rules: {rules}",
        span=warnings[0].span,
        hint="mend what they name, or leave rules out with # check=skip=RULE",
    )


def _wanted(findings: Iterable[Finding], options: CheckOptions) -> tuple[CheckWarning, ...]:
    wanted = [
        finding
        for finding in findings
        if options.joined(options_in(finding.item.line.comments)).wants(finding.rule, finding.rule in EXPERIMENTAL)
    ]
    wanted.sort(key=lambda finding: (finding.span.first, finding.rule, finding.message))
    return tuple(CheckWarning(finding.rule, finding.message, finding.span) for finding in wanted)
