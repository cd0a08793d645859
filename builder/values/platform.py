"""Platforms: operating system, architecture and variant, with the field's aliases normalised.

Source: OCI image-spec, image-index.md (platform object); containerd's platforms package for the aliases.
"""

from __future__ import annotations

from builder.declare import dataclass
from builder.pattern import pattern

_PART = pattern(r"[A-Za-z0-9_.-]+\Z")
_ARCHITECTURES = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "i386": ("386", ""),
    "i686": ("386", ""),
}
_ALONE = frozenset(
    [
        "386",
        "amd64",
        "arm",
        "arm64",
        "loong64",
        "mips",
        "mips64",
        "mips64le",
        "mipsle",
        "ppc64",
        "ppc64le",
        "riscv64",
        "s390x",
        "wasm",
    ]
)
"""What may stand without its operating system: the architectures that containerd's platforms package knows."""
_DEFAULT_VARIANTS = {("arm64", "v8"): "", ("amd64", "v1"): "", ("arm", ""): "v7"}


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """What an image runs on. `variant` is empty where the architecture's default is meant."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Read `os/arch[/variant]`, or `arch` alone for Linux. Raises ValueError with the words at fault."""
        parts = text.split("/")
        if not 1 <= len(parts) <= 3 or not all(_PART.match(part) for part in parts):
            raise ValueError(f"invalid platform {text[:100]!r}: it is written os/arch or os/arch/variant")
        if len(parts) == 1:
            parts = ["linux", parts[0]] if parts[0].lower() != "linux" else ["linux", "amd64"]
            if cls.of(*parts).architecture not in _ALONE:
                raise ValueError(
                    f"unknown architecture {text[:100]!r}: a platform is written os/arch or os/arch/variant"
                )
        return cls.of(*parts)

    @classmethod
    def of(cls, os: str, architecture: str, variant: str = "") -> Platform:
        """A platform with aliases resolved: `x86_64` is amd64, `arm64/v8` is arm64."""
        architecture, variant = architecture.lower(), variant.lower()
        architecture, implied = _ARCHITECTURES.get(architecture, (architecture, variant))
        variant = variant or implied
        return cls(os.lower(), architecture, _DEFAULT_VARIANTS.get((architecture, variant), variant))

    def __str__(self) -> str:
        parts = (self.os, self.architecture, self.variant)
        return "/".join(part for part in parts if part)
