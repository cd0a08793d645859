"""Laws of looking after a store, over whatever builds may have done to it."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from builder.store import Store
from builder.store.check import check
from builder.store.holdings import Kind
from builder.store.policy import Policy
from builder.store.prune import foresee, prune, release
from builder.values.record import StepRecord
from builder.values.reference import Reference
from tests.store import stocks
from tests.store.stocks import Stocked

TEXTS = [f"text {number}" for number in range(5)]
NAMES = [f"docker.io/library/app:{number}" for number in range(3)]

policies = st.builds(
    Policy,
    older_than_s=st.none() | st.sampled_from([0, 86_400, 5 * 86_400]),
    keep_bytes=st.none() | st.sampled_from([0, 20_000, 60_000]),
    everything=st.booleans(),
    kinds=st.just(frozenset(Kind)) | st.frozensets(st.sampled_from(list(Kind)), min_size=1),
)
some_texts = st.lists(st.sampled_from(TEXTS), min_size=1, max_size=3, unique=True)


class Upkeep(RuleBasedStateMachine):
    """A build in one session, somebody who prunes in another; either may be opened anew at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.room = Path(tempfile.mkdtemp())
        self.found: list[tuple[str, str]] = []  # what the build relies on: what it is, and its name

    @initialize()
    def open(self) -> None:
        """Begin with an empty store."""
        self.build = Store.open(self.room / "store")
        self.other = Store.open(self.room / "store")
        self.images: dict[str, Stocked] = {}

    @rule(text=st.sampled_from(TEXTS))
    def make_step(self, text: str) -> None:
        """A step is done and remembered."""
        stocks.step(self.build, text)
        self.found.append(("step", text))

    @rule(text=st.sampled_from(TEXTS))
    def find_step(self, text: str) -> None:
        """A step is looked up; if it is known the build goes on with it."""
        record = self.build.records.find(stocks.key(text))
        if record is not None:
            self.found.append(("step", text))

    @rule(name=st.sampled_from(NAMES), texts=some_texts)
    def make_image(self, name: str, texts: list[str]) -> None:
        """An image is built of steps, and named."""
        self.images[name] = stocks.image(self.build, name, *texts)
        self.found += [("step", text) for text in texts]

    @rule(texts=some_texts, unpack=st.booleans())
    def make_base(self, texts: list[str], unpack: bool) -> None:
        """A base is pulled, and perhaps unpacked."""
        made = stocks.base(self.build, f"base:{len(texts)}", *texts)
        self.found.append(("base", f"base:{len(texts)}"))
        if unpack:
            stocks.snapshot(self.build, made)

    @rule(texts=some_texts)
    def make_unnamed(self, texts: list[str]) -> None:
        """An image is made that gets no name, and a step that changed nothing."""
        stocks.manifest(self.build, [stocks.layer(self.build, text) for text in texts])
        self.build.records.put(stocks.key("nothing"), StepRecord(None, 1))

    @rule(name=st.sampled_from(["pip", "npm"]))
    def use_cache(self, name: str) -> None:
        """A cache mount is used."""
        stocks.cache(self.build, name)
        self.found.append(("cache", name))

    @rule(name=st.sampled_from(NAMES))
    def remove_image(self, name: str) -> None:
        """Somebody removes an image."""
        made = self.images.pop(name, None)
        if made is not None:
            assert self.other.images.untag(Reference.parse(name))
            if made.manifest.digest not in {image.manifest.digest for image in self.other.images.all()}:
                release(self.other, made.manifest.digest)

    @rule(policy=policies)
    def somebody_prunes(self, policy: Policy) -> None:
        """What goes is what was said to go."""
        ahead = foresee(self.other, policy)
        done = prune(self.other, policy)
        assert {each.key for each in done.gone} == {each.key for each in ahead.gone}
        assert done.left_bytes == ahead.left_bytes

    @rule(policy=policies)
    def the_build_prunes(self, policy: Policy) -> None:
        """At its end the build keeps a limit: it relies on nothing any more."""
        prune(self.build, policy)
        self.found.clear()

    @rule(days=st.integers(1, 9))
    @precondition(lambda self: not self.found)
    def time_passes(self, days: int) -> None:
        """All grows old while nobody uses it."""
        stocks.age(self.build.root, days)

    @rule()
    def build_anew(self) -> None:
        """The build ends and another begins, which has found nothing yet."""
        self.build.close()
        self.build = Store.open(self.room / "store")
        self.found.clear()

    @rule()
    def prune_anew(self) -> None:
        """Who prunes comes again later."""
        self.other.close()
        self.other = Store.open(self.room / "store")

    @invariant()
    def the_store_is_sound(self) -> None:
        """Every record leads to something, and every image that has a name is whole."""
        assert check(self.build) == []
        assert {image.name for image in self.build.images.all()} == self.images.keys()

    @invariant()
    def what_was_found_is_there(self) -> None:
        """Whatever the build has found or made since it began is still there with all that it leads to.

        Looked for in the files: to ask the store would be to find it once more.
        """
        area = self.room / "store" / "pybuild"
        for what, name in self.found:
            if what == "cache":
                home = area / "caches" / hashlib.sha256(name.encode()).hexdigest()
                assert (home / "id").is_file() and (home / "0" / "file").is_file()
            elif what == "step":
                record = json.loads((area / "steps" / f"{stocks.key(name).hex}.json").read_text())
                self._has_layer(record["diff_id"])
            else:
                title = hashlib.sha256(f"docker.io/library/{name} linux/amd64".encode()).hexdigest()
                pulled = json.loads((area / "pulled" / f"{title}.json").read_text())
                manifest = json.loads(self._blob(pulled["manifest"]["digest"]))
                for diff_id in json.loads(self._blob(manifest["config"]["digest"]))["rootfs"]["diff_ids"]:
                    self._has_layer(diff_id)

    def _has_layer(self, diff_id: str) -> None:
        area = self.room / "store" / "pybuild"
        layer = json.loads((area / "layers" / f"{diff_id[7:]}.json").read_text())
        assert (area / "indexes" / diff_id[7:]).is_file()
        self._blob(layer["descriptor"]["digest"])

    def _blob(self, digest: str) -> bytes:
        return (self.room / "store" / "blobs" / "sha256" / digest[7:]).read_bytes()

    def teardown(self) -> None:
        """Nothing is left."""
        self.build.close()
        self.other.close()
        shutil.rmtree(self.room)


TestUpkeep = Upkeep.TestCase
TestUpkeep.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
