"""Settings and where they come from."""

from __future__ import annotations

from pathlib import Path

from builder.values.settings import Setting, Settings


def test_defaults_have_no_origin() -> None:
    """What nobody has set says so."""
    settings = Settings()
    assert settings.limit_bytes == Setting(0, "default")
    assert not settings.root.is_set
    assert Setting(Path("/x"), "$PYBUILD_ROOT").is_set
