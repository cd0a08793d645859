"""Which image a name stands for: named contexts, images of the store, remembered ones, the world; and platforms."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from builder.errors import BuildfileError, ContextError, ImageError, StoreError
from builder.source import SourceText, Span
from builder.stages.images import Images, build_platform
from builder.store import Store
from builder.values.access import Access
from builder.values.event import Event
from builder.values.platform import Platform
from builder.values.reference import Reference
from builder.values.registries import Endpoint, Mirror, RegistryRule, RegistryRules
from builder.values.request import BuildRequest
from tests.registry import free_port, push, running_registry
from tests.stages.builds import Bench, base, content, row

FOREIGN = "linux/s390x"
OWN = str(build_platform())
_SPAN = Span(SourceText("Buildfile", "FROM base"), 1, 1)


def _layout(bench: Bench, name: str, text: str, *platforms: str) -> str:
    return base(bench.room / name, [[row("where", text)]], platforms or (OWN,))


def test_a_named_context_replaces_an_image(bench: Bench) -> None:
    """--build-context NAME=oci:DIR is what FROM NAME takes, before the store and any registry."""
    layout = _layout(bench, "other", "named")
    image = bench.build("FROM alpine\n", build_contexts=(("alpine", layout),))
    assert content(image, "/where") == "named"


def test_a_named_directory_is_a_base(bench: Bench) -> None:
    """FROM a named context that is a directory: its files are the root file system."""
    bench.file("root/etc/motd", "hi\n")
    image = bench.build("FROM mine\n", build_contexts=(("mine", str(bench.context / "root")),))
    assert content(image, "/etc/motd") == "hi\n"


def test_a_named_directory_that_is_missing(bench: Bench) -> None:
    """A named context that leads nowhere is an error that repeats what was written."""
    error = bench.fails(ContextError, "FROM scratch\nCOPY --from=files a /\n", build_contexts=(("files", "/no/such"),))
    assert "--build-context files=/no/such" in error.message


def test_an_image_built_before(bench: Bench) -> None:
    """FROM takes an image of the store by its tag; nothing is looked up outside."""
    bench.file("a", "one")
    bench.build("FROM scratch\nCOPY a /a\nENV X=1\n", tags=(Reference.parse("mine:1"),))
    image = bench.build("FROM mine:1\nCOPY a /b\n")
    assert (content(image, "/a"), content(image, "/b")) == ("one", "one")
    assert image.config["config"]["Env"][-1] == "X=1"


def test_an_image_of_another_platform_when_asked(bench: Bench) -> None:
    """--platform refuses the one image there is when it is for something else, and says what it is for."""
    layout = _layout(bench, "foreign", "x", FOREIGN)
    error = bench.fails(ImageError, f"FROM {layout}\n", platform=Platform.parse("linux/arm64"))
    assert "no image for linux/arm64" in error.message
    assert FOREIGN in (error.hint or "")
    assert error.span is not None
    assert bench.fails(ImageError, f"FROM --platform=linux/arm64 {layout}\n").message == error.message
    assert bench.fails(ImageError, f"FROM {layout}\n", platform=build_platform()).hint == error.hint


def test_an_image_of_another_platform_unasked(bench: Bench) -> None:
    """Without --platform it is used, with a note; the image says what it is for."""
    layout = _layout(bench, "foreign", "x", FOREIGN)
    image = bench.build(f"FROM {layout}\nENV A=b\n")
    assert image.config["architecture"] == "s390x"
    assert len([note for note in bench.notes if FOREIGN in note and OWN in note]) == 1


def test_an_index_chooses(bench: Bench) -> None:
    """Of several images the one for the platform asked for is taken, without a note."""
    layout = _layout(bench, "both", "x", OWN, FOREIGN)
    assert bench.build(f"FROM {layout}\n", platform=Platform.parse(FOREIGN)).config["architecture"] == "s390x"
    assert bench.build(f"FROM {layout}\n").config["architecture"] == build_platform().architecture
    assert bench.notes == []


def test_a_stored_image_of_another_platform(bench: Bench) -> None:
    """A built image for something else is used with a note, unless a platform is asked for: the error names both."""
    foreign = _layout(bench, "foreign", "x", FOREIGN)
    name = Reference.parse("127.0.0.1:1/mine:1")
    bench.build(f"FROM {foreign}\n", tags=(name,), platform=Platform.parse(FOREIGN))
    assert bench.build(f"FROM {name}\n").config["architecture"] == "s390x"
    assert any(FOREIGN in note for note in bench.notes)
    error = bench.fails(ImageError, f"FROM {name}\n", platform=Platform.parse("linux/arm64"))
    assert f"in the store for {FOREIGN}" in error.message and "refuses the connection" in error.message


def test_a_name_that_is_none(bench: Bench) -> None:
    """A malformed name is an ImageError at its line that says how names are written."""
    error = bench.fails(ImageError, "FROM a/UPPER\n")
    assert error.span is not None and error.hint is not None and "[:TAG]" in error.hint


@pytest.fixture
def remembered(bench: Bench) -> tuple[Bench, str]:
    """A bench that has built from a registry which is gone by now, and the base's name there."""
    layout = _layout(bench, "pushed", "first")
    with running_registry(bench.room) as address:
        push(layout, f"{address}/base:1")
        bench.build(f"FROM {address}/base:1\nENV A=1\n")
        return bench, f"{address}/base:1"


def test_a_pulled_base_is_remembered(remembered: tuple[Bench, str]) -> None:
    """Once pulled, a base needs no registry: its documents and layers are in the store."""
    bench, name = remembered
    (bench.context / "f").write_text("new")
    image = bench.build(f"FROM {name}\nCOPY f /f\n")
    assert (content(image, "/where"), content(image, "/f")) == ("first", "new")


def test_only_an_unknown_image_is_told_of(remembered: tuple[Bench, str]) -> None:
    """Before a registry is asked for an image that nothing here knows, that is told; for a remembered one it is not."""
    bench, name = remembered
    told: list[str] = []
    request = BuildRequest(bench.context, SourceText("Buildfile", ""))
    with Store.open(bench.root) as store:
        images = Images(store, request, list[Event]().append)
        images.on_unknown = lambda: told.append("unknown")
        images.find(name, build_platform(), _SPAN)
        assert told == []
        with pytest.raises(ImageError):
            images.find(name.replace("base", "other"), build_platform(), _SPAN)
        assert told == ["unknown"]


def test_pull_asks_again(remembered: tuple[Bench, str]) -> None:
    """With --pull what is remembered does not count: a registry that is gone is an error at the FROM line."""
    bench, name = remembered
    error = bench.fails(ImageError, f"FROM {name}\n", pull=True)
    assert "refuses the connection" in error.message and error.span is not None


def test_pull_finds_news(bench: Bench) -> None:
    """A tag that moved is noticed with --pull, and only then."""
    with running_registry(bench.room) as address:
        name = f"{address}/base:1"
        push(_layout(bench, "old", "old"), name)
        bench.build(f"FROM {name}\n")
        push(_layout(bench, "new", "new"), name)
        assert content(bench.build(f"FROM {name}\n"), "/where") == "old"
        assert content(bench.build(f"FROM {name}\n", pull=True), "/where") == "new"
        assert content(bench.build(f"FROM {name}\n"), "/where") == "new"


def test_a_remembered_base_without_its_documents(remembered: tuple[Bench, str]) -> None:
    """When the remembered documents are damaged or gone they are asked for again, not believed."""
    bench, name = remembered
    for record in (bench.root / "pybuild" / "pulled").iterdir():
        digest = json.loads(record.read_text())["manifest"]["digest"].partition(":")[2]
        blob = bench.root / "blobs" / "sha256" / digest
        blob.chmod(0o644)
        blob.write_bytes(blob.read_bytes().replace(b"2", b"3", 1))
    assert "refuses the connection" in bench.fails(ImageError, f"FROM {name}\n").message


def test_a_built_image_with_a_damaged_config(bench: Bench) -> None:
    """A damaged image of the store is said to be damaged."""
    bench.build("FROM scratch\nENV A=1\n", tags=(Reference.parse("mine:1"),))
    assert bench.result is not None
    blob = bench.root / "blobs" / "sha256" / bench.result.image.config_descriptor.digest.hex
    os.chmod(blob, 0o644)
    blob.write_bytes(b"{}")
    assert "damaged" in bench.fails(StoreError, "FROM mine:1\n").message


def test_a_layout_that_went_away(bench: Bench) -> None:
    """A base named by its place must be there, even when its layers are in the store."""
    layout = _layout(bench, "gone", "x")
    bench.build(f"FROM {layout}\n")
    shutil.rmtree(Path(layout.removeprefix("oci:").removesuffix(":latest")))
    assert "does not exist" in bench.fails(ImageError, f"FROM {layout}\n").message


# --- names without a registry, and mirrors ---------------------------------------------------------------------------


class Unasked:
    """Rules that nobody may ask: stands for files that must not be read."""

    def candidates(self, text: str) -> tuple[Reference, ...]:
        """Never."""
        raise AssertionError(f"asked for {text}")

    def endpoints(self, reference: Reference) -> tuple[Endpoint, ...]:
        """Never."""
        raise AssertionError(f"asked for {reference}")

    def blocked(self, reference: Reference) -> str | None:
        """Never."""
        raise AssertionError(f"asked for {reference}")


UNASKED = Access(rules=Unasked())


def _searching(*registries: str) -> Access:
    return Access(rules=RegistryRules(search=registries))


@pytest.fixture
def found_short(bench: Bench) -> tuple[Bench, str]:
    """A bench that has built FROM base:1, found at a search registry that is gone by now, and that registry."""
    with running_registry(bench.room) as address:
        push(_layout(bench, "pushed", "first"), f"{address}/base:1")
        bench.build("FROM base:1\nENV A=1\n", access=_searching(f"127.0.0.1:{free_port()}", address))
        return bench, address


def test_a_short_name_is_searched_for_once(found_short: tuple[Bench, str]) -> None:
    """People are told what it means; the next build neither asks a registry nor reads what names mean."""
    bench, address = found_short
    assert f"base:1 is {address}/base:1" in bench.notes
    image = bench.build("FROM base:1\nENV A=2\n", access=UNASKED)
    assert content(image, "/where") == "first"
    assert bench.build(f"FROM {address}/base:1\nENV A=2\n", access=UNASKED).config == image.config


def test_a_full_name_never_gets_what_a_short_one_stood_for(found_short: tuple[Bench, str]) -> None:
    """docker.io/library/base is another image than the base that was found elsewhere."""
    bench, _ = found_short
    nowhere = f"127.0.0.1:{free_port()}"
    rules = RegistryRules(rules=(RegistryRule("docker.io", nowhere),))
    error = bench.fails(ImageError, "FROM docker.io/library/base:1\n", access=Access(rules=rules))
    assert f"{nowhere} refuses the connection" in error.message


def test_a_short_name_finds_what_its_alias_led_to(found_short: tuple[Bench, str]) -> None:
    """What was pulled under its full name is not asked for again under a short one."""
    bench, address = found_short
    rules = RegistryRules(aliases=(("other", f"{address}/base"),))
    image = bench.build("FROM other:1\n", access=Access(rules=rules))
    assert content(image, "/where") == "first"
    assert content(bench.build("FROM other:1\nENV A=3\n", access=UNASKED), "/where") == "first"


def test_an_image_built_here_goes_before_any_registry(bench: Bench) -> None:
    """-t app:1 is what FROM app:1 finds, whatever short names mean; nothing is asked."""
    bench.build("FROM scratch\nENV A=1\n", tags=(Reference.parse("app:1"),))
    assert bench.build("FROM app:1\nENV B=2\n", access=UNASKED).config["config"]["Env"][-1] == "B=2"


def test_an_image_comes_from_a_mirror(bench: Bench) -> None:
    """It is known by the name that was asked for, and the store has nothing of the mirror's name."""
    with running_registry(bench.room) as address:
        push(_layout(bench, "pushed", "first"), f"{address}/hub/library/base:1")
        rule = RegistryRule("docker.io", f"127.0.0.1:{free_port()}", mirrors=(Mirror(f"{address}/hub"),))
        image = bench.build(
            "FROM base:1\nCOPY --from=base:1 where /again\n", access=Access(rules=RegistryRules(rules=(rule,)))
        )
    assert (content(image, "/where"), content(image, "/again")) == ("first", "first")
    assert bench.notes == []
    assert content(bench.build("FROM docker.io/library/base:1\nENV A=1\n", access=UNASKED), "/where") == "first"


# --- stages that are misspelt ----------------------------------------------------------------------------------------

NOWHERE = Access(rules=RegistryRules(rules=(RegistryRule("docker.io", "127.0.0.1:1"),)))


@pytest.mark.parametrize(
    ("buildfile", "hint"),
    [
        ("FROM scratch AS builder\nFROM buidler\n", "did you mean the stage builder?"),
        ("FROM scratch AS builder\nFROM scratch\nCOPY --from=bilder /a /b\n", "did you mean the stage builder?"),
        ("FROM later\nFROM scratch AS later\nFROM later\nCOPY --from=0 /a /b\n", "only use those before it"),
        ("FROM scratch AS builder\nFROM something\n", "is the server running?"),
    ],
)
def test_a_misspelt_stage(bench: Bench, buildfile: str, hint: str) -> None:
    """What is taken for an image that cannot be had, and is nearly a stage's name: the hint says so."""
    error = bench.fails(ImageError, buildfile, access=NOWHERE)
    assert hint in (error.hint or "")
    assert error.span is not None
    assert ("stage" in (error.hint or "")) is ("stage" in hint or "before it" in hint)


@pytest.mark.parametrize(
    "name", ["{out}", "rootfs:{out}", "docker-image://rootfs:{out}", "{link}", "/", "/proc/self/cwd"]
)
def test_a_root_file_system_is_in_the_context(bench: Bench, name: str) -> None:
    """A Buildfile reads no directory outside of the context by calling it an image, in FROM, COPY and RUN alike."""
    outside = bench.room / "outside"
    outside.mkdir()
    bench.file("f", "x")
    (bench.context / "link").symlink_to(outside)
    text = name.format(out=outside, link=bench.context / "link")
    for line in (f"FROM {text}", f"FROM scratch\nCOPY --from={text} / /"):
        error = bench.fails(BuildfileError, f"{line}\n")
        assert "outside of the build context" in error.message and "--build-context" in (error.hint or "")


def test_a_root_file_system_of_the_context(bench: Bench) -> None:
    """A directory of the context may be a base by its path; one outside under a name of the command line."""
    bench.file("root/etc/motd", "hi\n")
    assert content(bench.build(f"FROM {bench.context}/root\n"), "/etc/motd") == "hi\n"
    (bench.room / "more").mkdir()
    (bench.room / "more" / "f").write_text("x")
    named = (("mine", f"rootfs:{bench.room}/more"),)
    assert content(bench.build("FROM mine\n", build_contexts=named), "/f") == "x"
