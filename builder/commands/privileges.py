"""`--security`, `--cap-add`, `--cap-drop`, `--no-new-privileges` → what steps may do. Imported where one is given."""

from __future__ import annotations

from builder.commands.options import BuildOptions
from builder.errors import UsageError
from builder.lang.suggest import nearest
from builder.values.capabilities import ALL, CAPABILITY_NAMES, capabilities_of
from builder.values.security import Privileges, Security

_CHOICES = (Security.SANDBOX, Security.NESTED)


def read_privileges(options: BuildOptions) -> Privileges:
    """What the options give to every step. Raises UsageError naming the option, and why it cannot be."""
    return Privileges(_security(options.security), _capabilities(options), options.no_new_privileges)


def _security(text: str | None) -> Security:
    if text is None:
        return Security.SANDBOX
    if text == Security.INSECURE:
        raise UsageError(
            "--security: insecure is not for all steps",
            hint="write RUN --security=insecure where it is needed, and give --allow security.insecure",
        )
    if text not in _CHOICES:
        raise UsageError(f"--security: {text[:40]!r} is not supported", hint="it is written --security sandbox|nested")
    return Security(text)


def _capabilities(options: BuildOptions) -> tuple[str, ...]:
    names = _words(options.cap_add), _words(options.cap_drop)
    try:
        return capabilities_of(*names)
    except ValueError as error:
        option = "--cap-add" if "added:" in str(error) else "--cap-add/--cap-drop"
        raise UsageError(f"{option}: {error}", hint=_hint((*names[0], *names[1]))) from None


def _words(values: tuple[str, ...]) -> tuple[str, ...]:
    """The names, which may be several with commas between them, as podman has it."""
    return tuple(word for value in values for word in value.split(","))


def _hint(words: tuple[str, ...]) -> str | None:
    for word in words:
        name = word.upper().removeprefix("CAP_")
        near = None if name == ALL else nearest(name, CAPABILITY_NAMES)
        if near is not None:
            return f"did you mean {near}?"
    return None
