"""`pybuild rmi`: take names from images; with its last name an image goes, but for what others need."""

from __future__ import annotations

from builder.commands.caller import Caller, store_root
from builder.commands.line import Line
from builder.commands.lookup import AmbiguousError, Found, familiar, find_named, is_store, missing
from builder.errors import ImageError, PybuildError
from builder.report.text import printable
from builder.stages.door import Door
from builder.stages.prune import removed
from builder.store import Store
from builder.store.prune import Freed, release


def run(line: Line, caller: Caller) -> int:
    """Remove one after the other; with --force what is not there is no error. What can be removed is, also where an
    error is raised in the end for the first that could not. Raises ImageError, StoreError."""
    path = store_root(line.text("root"), caller)
    words = line.texts("image")
    if not is_store(path):
        if line.flag("force"):
            return 0
        raise missing(words[0], [])
    failed: PybuildError | None = None
    with Store.open(path) as store, Door(store.root, lambda _: None) as door:
        for text in words:
            try:
                _remove(text, store, line.flag("force"), caller)
            except AmbiguousError as error:
                failed = failed or error
            except ImageError as error:
                failed = failed or (None if line.flag("force") else error)
        removed(store, Freed((), 0, 0), door)
    if failed is not None:
        raise failed
    return 0


def _remove(text: str, store: Store, by_force: bool, caller: Caller) -> None:
    found = find_named(text, store)
    for name in _names(text, found, by_force):
        if store.images.untag(name):
            caller.say([printable(f"Untagged: {familiar(name)}")])
    if any(image.manifest.digest == found.manifest.digest for image in store.images.all()):
        return
    for each in release(store, found.manifest.digest).gone:
        if each.key.startswith("blobs/"):
            caller.say([f"Deleted: sha256:{each.key.rpartition('/')[2]}"])


def _names(text: str, found: Found, by_force: bool) -> list[str]:
    """The names that go: the one that was typed, or all of an image that was named by its digest."""
    if found.typed is not None:
        return [found.typed.name]
    names = [image.name for image in found.names]
    if len(names) > 1 and not by_force:
        listed = ", ".join(map(familiar, names))
        raise ImageError(f"{text} has {len(names)} names: {listed}", hint="remove them by name, or use --force")
    return names
