"""Copy: COPY and ADD. Files of the context, of a stage or of an image become a layer, straight from where they are.

No namespace is entered: where things go is answered by the layers' indexes, and owners are only written into the tar.
Archives and downloads, which ADD alone knows, are in `add`.
"""

from __future__ import annotations

import os
from contextlib import ExitStack

from builder.declare import dataclass, field, replace
from builder.errors import PybuildError
from builder.stages.add import Download, archive_of, arrived, place_archive
from builder.stages.commit import commit_items
from builder.stages.copy_sources import Gathered
from builder.stages.hands import Hands
from builder.stages.modes import parse_mode
from builder.stages.place import FIXED_MTIME_NS, Attributes, Placement, Supply
from builder.stages.repositories import checked_out
from builder.stages.select import Picked, Selection, need_directory, select
from builder.stages.source_tree import HostTree
from builder.stages.users import owner_of
from builder.tree.pack import Content
from builder.tree.safe import shown
from builder.tree.view import View
from builder.values.entry import Entry, Kind
from builder.values.image import Layer
from builder.values.record import StepRecord
from builder.values.stack import Stack
from builder.values.step import CopyStep


def make_layer(step: CopyStep, found: Gathered, stack: Stack, hands: Hands) -> Layer | None:
    """Place what was gathered and pack it. Raises BuildfileError, ContextError, StoreError."""
    view = View.of([]) if step.link else hands.layers.view(stack)
    placement = Placement(view, _attributes(step, stack, hands), step.span)
    try:
        with ExitStack() as kept:  # the files of a repository are read when the layer is packed
            _Copying(step, found, placement, hands).place()
            for commit in found.commits:
                _place_repository(kept.enter_context(checked_out(commit, hands)), step, placement, hands)
            layer = commit_items(placement.items_with_parents(), hands)
    except PybuildError as error:
        raise error.at(step.span) from None
    if found.sketch is not None:  # before the step's record: without this nobody would look for that one
        hands.store.records.put(found.sketch, StepRecord(None, hands.now_s()))
    return layer


def _place_repository(tree: HostTree, step: CopyStep, placement: Placement, hands: Hands) -> None:
    """All files of a repository, as if they were a directory of the context."""
    picked = tuple(select(tree, "/", Selection(False, step.excludes, step.span)))
    alone = replace(step, inline=(), downloads=(), parents=False, unpack=False)
    files = [entry for one in picked for _, entry in one.below]
    _Copying(alone, Gathered(tree, picked, files), placement, hands).place()


def _attributes(step: CopyStep, stack: Stack, hands: Hands) -> Attributes:
    owner = owner_of(step.chown, stack, hands.layers, step.span) if step.chown else None
    change = parse_mode(step.chmod, step.span) if step.chmod else None
    epoch = hands.source_date_epoch
    return Attributes(owner, change, FIXED_MTIME_NS if epoch is None else epoch * 1_000_000_000)


@dataclass
class _Copying:
    step: CopyStep
    found: Gathered
    placement: Placement
    hands: Hands
    supply: Supply = field(init=False)

    def place(self) -> None:
        destination = self.placement.resolve(os.fsencode(self.step.destination))
        into = self._is_into(destination)
        files = [entry for entry in self.found.files if entry.kind is Kind.FILE]
        self.supply = Supply(self.found.tree.contents(files))
        for one in self.found.picked:
            if one.entry.kind is Kind.DIR and not self.step.parents:
                self._place_directory(destination, one)
            elif one.entry.kind is Kind.DIR:
                self._make_through(destination, one)
                self._place_directory(_joined(destination, one.name), one)
            else:
                self._place_file(destination, into or self.step.parents, one)
        for wanted in self.found.downloads:
            self._place_download(destination, into, arrived(wanted, self.step, self.hands))
        for inline in self.step.inline:
            entry = Entry(b"", Kind.FILE, 0o644, size=len(inline.content), mtime_ns=self._made_mtime_ns)
            self._put_file(destination, into, os.fsencode(inline.name), (entry, inline.content))

    @property
    def _made_mtime_ns(self) -> int:
        return self.placement.attributes.made_mtime_ns

    def _is_into(self, destination: bytes) -> bool:
        """Whether the destination is a directory to put files in, rather than the name of the one file."""
        if self.step.destination.endswith("/") or self.placement.is_directory(destination):
            return True
        if len(self.found.picked) > 1:
            need_directory(len(self.found.picked), self.step.destination, self.step.span)
        return False

    def _make_through(self, destination: bytes, one: Picked) -> None:
        for inside, entry in one.through:
            path = self.placement.resolve(_joined(destination, inside))
            self.placement.make_parents(path)
            self.placement.put_directory(path, entry)

    def _place_directory(self, destination: bytes, one: Picked) -> None:
        """A directory's contents go into the destination.

        One that is made for them is like any directory on the way, as in BuildKit (fsutil's prepareTargetDir): it has
        nothing of the source's own mode and owner, except below --parents, where it is one of those copied.
        """
        place = self.placement
        place.make_parents(destination)
        if not self.step.parents and place.look(destination) is None:
            place.make_directory(destination)
        if not place.is_directory(destination):
            place.put_directory(destination, one.entry)
        for inside, entry in one.below:
            path = _joined(destination, inside)
            if entry.kind is Kind.DIR:
                place.put_directory(path, entry)
            else:
                place.make_parents(path)
                place.put_file(path, entry, self.supply, self.found.tree.identity(entry))

    def _place_file(self, destination: bytes, into: bool, one: Picked) -> None:
        if self.step.unpack and one.entry.kind is Kind.FILE:
            (opener,) = self.found.tree.openers([one.entry])
            archive = archive_of(shown(one.entry.path), opener, self.hands)
            if archive is not None:
                place_archive(archive, destination, self.placement)
                return
        if self.step.parents:
            self._make_through(destination, one)
        self._put_file(destination, into, one.name, (one.entry, self.supply))

    def _place_download(self, destination: bytes, into: bool, fetched: Download) -> None:
        if self.step.unpack_downloads:
            archive = archive_of(fetched.name, fetched.open, self.hands)
            if archive is not None:
                place_archive(archive, destination, self.placement)
                return
        entry = fetched.entry(self._made_mtime_ns)
        self._put_file(destination, into, os.fsencode(fetched.name), (entry, fetched.open))

    def _put_file(self, destination: bytes, into: bool, name: bytes, source: tuple[Entry, Content | Supply]) -> None:
        path = self.placement.resolve(_joined(destination, name)) if into else destination
        self.placement.make_parents(path)
        self.placement.put_file(path, *source)


def _joined(directory: bytes, name: bytes) -> bytes:
    return directory + b"/" + name if directory and name else directory or name
