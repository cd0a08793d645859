"""Tests of resolving: which targets are planned, on which bases, with what the command line says."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from builder.errors import BuildfileError, ImageError, UsageError
from builder.lang.grammar import parse
from builder.source import SourceText
from builder.stages.images import Images, build_platform
from builder.stages.resolve import resolve
from builder.store import Store
from builder.values.event import Note
from builder.values.platform import Platform
from builder.values.request import BuildRequest
from builder.values.security import Security
from builder.values.step import ImageBase, ImageOrigin, Plan, RunStep, ScratchBase, TargetBase, TargetOrigin
from tests.stages.builds import Bench, base, row
from tests.stages.plans import PATH, copy_of, history, run_of

Resolve = Callable[..., Plan]
OWN = build_platform()
OTHER = "linux/s390x" if OWN.architecture != "s390x" else "linux/amd64"


@pytest.fixture
def plan(bench: Bench) -> Resolve:
    """Resolve the text of a Buildfile for a request."""

    def resolved(text: str, **asked: Any) -> Plan:
        request = BuildRequest(bench.context, **asked)
        with Store.open(bench.root) as store:
            images = Images(store, request, bench.events.append)
            return resolve(parse(SourceText("Buildfile", text)), request, images)

    return resolved


def names(plan: Plan) -> list[str]:
    """The planned targets' names."""
    return [target.name for target in plan.targets]


class TestTargets:
    """Which targets are planned."""

    def test_the_last_one_and_what_it_needs(self, plan: Resolve) -> None:
        """Bases, --from and mounts lead to targets; a target that nobody needs may be broken."""
        text = (
            "FROM no.such.host.invalid/x AS broken\nRUN x\n"
            "FROM scratch AS a\nFROM scratch AS b\nFROM scratch AS c\n"
            "FROM a AS d\nCOPY --from=b x y\nRUN --mount=from=c,target=/m x\n"
        )
        assert names(plan(text)) == ["a", "b", "c", "d"]
        assert names(plan(text, target="b")) == ["b"]
        with pytest.raises(ImageError):
            plan(text, target="broken")

    @pytest.mark.parametrize("target", ["mid", "MID", "1", "01", "+1"])
    def test_a_target_by_name_and_number(self, plan: Resolve, target: str) -> None:
        """--target takes a stage's name in any case, or its number; the wanted one is the last of the plan."""
        text = "FROM scratch AS first\nFROM scratch AS mid\nFROM scratch AS last\n"
        assert names(plan(text, target=target)) == ["mid"]

    @pytest.mark.parametrize("target", ["nosuch", "3", "-1", "0000000007", "9" * 5000])
    def test_a_target_that_is_not_there(self, plan: Resolve, target: str) -> None:
        """It is the command line's mistake, and the stages that there are are named."""
        with pytest.raises(UsageError, match="no such stage") as caught:
            plan("FROM scratch AS b\nFROM scratch AS a\nFROM scratch", target=target)
        assert caught.value.hint == "its stages: a, b"

    def test_a_target_without_a_name_has_its_number(self, plan: Resolve) -> None:
        """That is what people see."""
        assert names(plan("FROM scratch\nFROM scratch\nCOPY --from=0 a b\n")) == ["0", "1"]

    def test_a_trigger_may_need_a_target(self, plan: Resolve) -> None:
        """ONBUILD COPY --from of a base counts like the target's own."""
        text = "FROM scratch AS src\nFROM scratch AS a\nONBUILD COPY --from=src x y\nFROM a AS last\n"
        assert names(plan(text)) == ["src", "a", "last"]

    @pytest.mark.parametrize("line", ["COPY --from=rootfs:/etc passwd /p", "RUN --mount=from=/etc,target=/m true"])
    def test_an_images_trigger_reads_nothing_from_disk(self, plan: Resolve, bench: Bench, line: str) -> None:
        """An image may not choose a path of this machine; the same line of one's own Buildfile may."""
        layout = base(bench.room / "base", [[row("f", "1")]], (str(OWN),), {"OnBuild": [line]})
        with pytest.raises(BuildfileError, match="came from elsewhere"):
            plan(f"FROM {layout}\n")
        assert names(plan(f"FROM scratch\n{line}\n")) == ["0"]

    @pytest.mark.parametrize(
        "text", ["FROM /etc", "FROM docker-image://rootfs:/etc", "FROM scratch\nCOPY --from=rootfs:/etc passwd /p"]
    )
    def test_a_fetched_buildfile_reads_nothing_from_disk(self, plan: Resolve, bench: Bench, text: str) -> None:
        """A Buildfile of a fetched context may not either, unless the command line has named it."""
        with pytest.raises(BuildfileError, match="came from elsewhere"):
            plan(text, context_name="http://host/x.git")
        layout = base(bench.room / "base", [[row("f", "1")]], (str(OWN),))
        named = (("mine", layout),)
        assert names(plan("FROM mine\n", context_name="http://host/x.git", build_contexts=named)) == ["0"]

    def test_many_targets_cost_what_they_are(self, plan: Resolve) -> None:
        """Thousands of stages in a row are planned at once: no work is done for all of them at each."""
        text = "FROM scratch AS s0\n" + "".join(f"FROM s{n} AS s{n + 1}\n" for n in range(4000))
        begun = time.process_time()
        assert len(plan(text).targets) == 4001
        assert time.process_time() - begun < 5


class TestBases:
    """What a target starts from."""

    def test_scratch(self, plan: Resolve) -> None:
        """An empty file system, a working directory, a PATH, and the platform that is built for."""
        (target,) = plan(f"FROM --platform={OTHER} scratch\n").targets
        assert (target.base, target.platform) == (ScratchBase(), OWN)
        assert (target.config.working_dir, target.config.env) == ("/", (PATH,))

    def test_an_image(self, plan: Resolve, bench: Bench) -> None:
        """Its config is the target's to begin with; an ARG may name it."""
        layout = base(bench.room / "base", [[row("f", "1")]], (str(OWN),), {"User": "app", "Env": ["A=1"]})
        (target,) = plan("ARG BASE=nosuch\nFROM $BASE\n", build_args=(("BASE", layout),)).targets
        assert target.base == ImageBase(layout, OWN)
        assert target.config.user == "app"
        assert target.config.env == (("A", "1"), PATH)

    def test_an_earlier_target(self, plan: Resolve) -> None:
        """Everything goes on: config, author, ARGs; a CMD of the earlier one is a base's CMD."""
        text = 'FROM scratch AS one\nARG A=1\nENV E=2\nMAINTAINER me\nCMD ["c"]\nFROM ONE\nRUN x\nENTRYPOINT ["/e"]\n'
        last = plan(text).targets[-1]
        assert last.base == TargetBase(0)
        assert run_of(last).env == (PATH, ("E", "2"), ("A", "1"))
        assert (last.author, last.config.cmd) == ("me", None)
        assert history(last)[0] == "RUN |1 A=1 /bin/sh -c x"

    def test_of_an_inherited_arg_and_an_env_the_env_counts(self, plan: Resolve) -> None:
        """At the beginning of a target ENV is set again over all ARGs, as in BuildKit."""
        text = "FROM scratch AS one\nENV V=env\nARG V=arg\nRUN x\nFROM one\nRUN y\n"
        first, last = plan(text).targets
        assert dict(run_of(first).env)["V"] == "arg"
        assert dict(run_of(last).env)["V"] == "env"

    def test_a_stage_called_like_an_image_is_the_stage(self, plan: Resolve) -> None:
        """From then on; before it the name is the image's, and `scratch` can be shadowed like any."""
        text = "FROM scratch AS debian\nFROM debian AS scratch\nFROM scratch\n"
        assert [target.base for target in plan(text).targets] == [ScratchBase(), TargetBase(0), TargetBase(1)]

    def test_a_name_that_is_empty(self, plan: Resolve) -> None:
        """A variable without a value is an error at the FROM."""
        with pytest.raises(BuildfileError, match="empty") as caught:
            plan("FROM scratch AS a\nFROM $NOTHING\n")
        assert caught.value.span is not None
        assert caught.value.span.first == 2

    @pytest.mark.parametrize("platform", ["", "a/b/c/d", "$NOTHING"])
    def test_a_platform_that_is_none(self, plan: Resolve, platform: str) -> None:
        """An error at the FROM."""
        with pytest.raises(BuildfileError) as caught:
            plan(f"ARG P={platform}\nFROM --platform=$P some/image\n")
        assert caught.value.span is not None

    def test_global_args_are_not_a_target_s(self, plan: Resolve) -> None:
        """Neither those before FROM nor the predefined ones are seen without a declaration."""
        text = "ARG A=1\nFROM scratch\nENV X=${A-none}${TARGETARCH-none}\nARG A\nARG TARGETARCH\nENV Y=$A$TARGETARCH\n"
        config = plan(text).targets[-1].config
        assert (config.env_value("X"), config.env_value("Y")) == ("nonenone", f"1{OWN.architecture}")


class TestNamedContexts:
    """--build-context."""

    def test_one_replaces_an_image(self, plan: Resolve, bench: Bench) -> None:
        """FROM takes the context's image; --from asks for it by the name it was given."""
        layout = base(bench.room / "base", [[row("f", "1")]], (str(OWN),), {"User": "app"})
        (target,) = plan("FROM debian\nCOPY --from=debian a b\n", build_contexts=(("debian", layout),)).targets
        assert target.config.user == "app"
        assert copy_of(target).origin == ImageOrigin("debian")

    def test_one_replaces_a_stage(self, plan: Resolve, bench: Bench) -> None:
        """The stage of its name is not built: FROM, --from and the stage's number all mean the context."""
        layout = base(bench.room / "base", [[row("f", "1")]], (str(OWN),), {"User": "app"})
        text = "FROM no.such.host.invalid/x AS one\nRUN x\nFROM ONE\nCOPY --from=one a b\nCOPY --from=0 a b\n"
        (target,) = plan(text, build_contexts=(("one", layout),)).targets
        assert target.config.user == "app"
        assert copy_of(target, 0).origin == copy_of(target, 1).origin == ImageOrigin("one")

    @pytest.mark.parametrize("given", ["debian", "debian:latest", "docker.io/library/debian"])
    @pytest.mark.parametrize("asked", ["debian", "debian:latest", "docker.io/library/debian:latest", "Debian"])
    def test_one_has_many_spellings(self, plan: Resolve, bench: Bench, given: str, asked: str) -> None:
        """An image's name means the context however either of them is written, in FROM and in --from."""
        layout = base(bench.room / "base", [[row("f", "1")]], (str(OWN),), {"User": "app"})
        (target,) = plan(f"FROM {asked}\nCOPY --from={asked} a b\n", build_contexts=((given, layout),)).targets
        assert target.config.user == "app"
        assert copy_of(target).origin == ImageOrigin(given)

    def test_another_tag_is_another_image(self, plan: Resolve) -> None:
        """Only the tag `latest` may be left out."""
        plan_ = plan("FROM scratch\nCOPY --from=debian:12 a b\n", build_contexts=(("debian", "oci:/no/such"),))
        assert copy_of(plan_.targets[0]).origin == ImageOrigin("debian:12")

    def test_nothing_stands_in_for_scratch(self, plan: Resolve) -> None:
        """As in BuildKit, scratch is scratch."""
        (target,) = plan("FROM scratch\nUSER a\n", build_contexts=(("scratch", "oci:/no/such"),)).targets
        assert isinstance(target.base, ScratchBase)

    def test_without_it_they_are_stages(self, plan: Resolve) -> None:
        """The same Buildfile without the context uses the stage."""
        target = plan("FROM scratch AS one\nFROM one\nCOPY --from=ONE a b\nCOPY --from=0 a b\n").targets[-1]
        assert copy_of(target, 0).origin == copy_of(target, 1).origin == TargetOrigin(0)


class TestCommandLine:
    """What the command line says of the image."""

    def test_labels(self, plan: Resolve) -> None:
        """--label comes last, over the Buildfile's and the base's, for the wanted target alone, with no history."""
        text = "FROM scratch AS one\nLABEL a=1 b=1\nFROM one\nLABEL b=2 c=2\n"
        first, last = plan(text, labels=(("b", "$3"), ("d", "'4'"))).targets
        assert dict(first.config.labels) == {"a": "1", "b": "1"}
        assert dict(last.config.labels) == {"a": "1", "b": "$3", "c": "2", "d": "'4'"}
        assert history(last) == ["LABEL b=2 c=2"]

    def test_labels_end_up_in_the_image(self, bench: Bench) -> None:
        """A whole build has them in its config."""
        image = bench.build("FROM scratch\nLABEL a=1\n", labels=(("a", "2"), ("b", "3")))
        assert image.config["config"]["Labels"] == {"a": "2", "b": "3"}

    def test_the_platform_is_the_image_s(self, plan: Resolve, bench: Bench) -> None:
        """An image that is built with --platform says so, though its last FROM is for the machine that builds."""
        layout = base(bench.room / "base", [[row("f", "1")]], (str(OWN), OTHER))
        text = f"FROM --platform=$BUILDPLATFORM {layout} AS one\nFROM {layout}\nFROM one\nARG TARGETPLATFORM\nRUN x\n"
        first, last = plan(text, platform=Platform.parse(OTHER)).targets
        assert (first.base, first.platform) == (ImageBase(layout, OWN), OWN)
        assert last.platform == Platform.parse(OTHER)
        assert dict(run_of(last).env)["TARGETPLATFORM"] == OTHER

    @pytest.mark.parametrize(("target", "value"), [(None, "last"), ("one", "one"), ("ONE", "ONE"), ("0", "0")], ids=str)
    def test_targetstage(self, plan: Resolve, target: str | None, value: str) -> None:
        """The wanted stage as it was asked for, or the last one's name."""
        text = "FROM scratch AS one\nARG TARGETSTAGE\nRUN x\nFROM scratch AS last\nARG TARGETSTAGE\nRUN x\n"
        assert dict(run_of(plan(text, target=target).targets[-1]).env)["TARGETSTAGE"] == value

    def test_targetstage_without_a_name(self, plan: Resolve) -> None:
        """It is called default."""
        target = plan("FROM scratch\nARG TARGETSTAGE\nRUN x\n").targets[-1]
        assert dict(run_of(target).env)["TARGETSTAGE"] == "default"

    def test_a_proxy_comes_in_both_spellings(self, plan: Resolve) -> None:
        """Programs look for either; a build arg wins over the environment, an empty one takes the proxy away."""
        given = {"build_args": (("HTTP_PROXY", "a"), ("no_proxy", "")), "proxies": (("http_proxy", "b"),)}
        given["proxies"] += (("NO_PROXY", "c"), ("https_proxy", "d"), ("HTTPS_PROXY", "e"))
        (target,) = plan("FROM scratch\nRUN x\n", **given).targets
        assert dict(run_of(target).hidden_env) == {
            "HTTP_PROXY": "a",
            "http_proxy": "a",
            "https_proxy": "d",
            "HTTPS_PROXY": "e",
        }

    def test_rights_and_the_network_reach_the_steps(self, plan: Resolve) -> None:
        """--allow and --network are the whole build's."""
        text = "FROM scratch\nRUN --security=insecure x\n"
        with pytest.raises(BuildfileError):
            plan(text)
        step = run_of(plan(text, allow=("security.insecure",)).targets[0])
        assert step.security is Security.INSECURE


class TestSourceDateEpoch:
    """SOURCE_DATE_EPOCH."""

    @pytest.mark.parametrize(
        ("before", "given", "epoch"),
        [
            ("", (), None),
            ("", (("SOURCE_DATE_EPOCH", "5"),), 5),
            ("", (("SOURCE_DATE_EPOCH", ""),), None),
            ("ARG SOURCE_DATE_EPOCH=7\n", (), 7),
            ("ARG SOURCE_DATE_EPOCH=7\n", (("SOURCE_DATE_EPOCH", "5"),), 5),
            ("ARG SOURCE_DATE_EPOCH\n", (), None),
        ],
    )
    def test_where_it_comes_from(
        self, plan: Resolve, before: str, given: tuple[tuple[str, str], ...], epoch: int | None
    ) -> None:
        """A build arg, or an ARG before the first FROM; every step has it, so that it is in every key."""
        found = plan(f"{before}FROM scratch\nRUN x\nCOPY a b\nWORKDIR /c\n", build_args=given)
        assert found.source_date_epoch == epoch
        assert {step.source_date_epoch for step in found.targets[0].steps} == {epoch}

    def test_it_is_no_variable_of_a_step_unless_it_is_declared(self, plan: Resolve) -> None:
        """ARG shows it to commands."""
        given = (("SOURCE_DATE_EPOCH", "5"),)
        first, second = plan("FROM scratch\nRUN x\nARG SOURCE_DATE_EPOCH\nRUN y\n", build_args=given).targets[0].steps
        assert isinstance(first, RunStep)
        assert isinstance(second, RunStep)
        assert "SOURCE_DATE_EPOCH" not in dict(first.env)
        assert dict(second.env)["SOURCE_DATE_EPOCH"] == "5"

    @pytest.mark.parametrize("text", ["now", "-1", "1.5", "1" * 20, "٣", "context"])
    def test_what_is_no_time(self, plan: Resolve, text: str) -> None:
        """It is refused by name, and not ignored."""
        with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH"):
            plan("FROM scratch\n", build_args=(("SOURCE_DATE_EPOCH", text),))


class TestBuildkitArgs:
    """Build args that are meant for the builder."""

    def test_those_that_do_nothing(self, plan: Resolve, bench: Bench) -> None:
        """People are told; those that have a meaning here, and their like, are not mentioned."""
        names = ("BUILDKIT_SYNTAX", "BUILDKIT_INLINE_CACHE", "BUILDKIT_SANDBOX_HOSTNAME", "BUILDKIT_X")
        plan("FROM scratch\n", build_args=tuple((name, "1") for name in names))
        (note,) = [event.text for event in bench.events if isinstance(event, Note)]
        assert note.endswith("do nothing here: BUILDKIT_INLINE_CACHE, BUILDKIT_SYNTAX")

    @pytest.mark.parametrize("name", ["a b", "a\nb", "x" * 65, "ä"])
    def test_what_is_no_hostname(self, plan: Resolve, name: str) -> None:
        """A name that no host can have is refused before anything is done."""
        with pytest.raises(UsageError, match="BUILDKIT_SANDBOX_HOSTNAME"):
            plan("FROM scratch\n", build_args=(("BUILDKIT_SANDBOX_HOSTNAME", name),))


class TestUnusedBuildArgs:
    """The note about build args that nothing declares."""

    def notes(self, plan: Resolve, bench: Bench, text: str, *given: str, **asked: Any) -> list[str]:
        plan(text, build_args=tuple((name, "1") for name in given), **asked)
        return [event.text for event in bench.events if isinstance(event, Note)]

    def test_a_name_that_nothing_declares(self, plan: Resolve, bench: Bench) -> None:
        """All of them in one line, in order."""
        (note,) = self.notes(plan, bench, "FROM scratch\nARG A\n", "C", "A", "B")
        assert note.endswith("not used: B, C")

    @pytest.mark.parametrize("name", ["HTTP_PROXY", "no_proxy", "SOURCE_DATE_EPOCH", "TARGETARCH", "BUILDKIT_X"])
    def test_names_that_need_no_declaration(self, plan: Resolve, bench: Bench, name: str) -> None:
        """Proxies, predefined ARGs and what is meant for BuildKit itself; they do not hide others."""
        assert self.notes(plan, bench, "FROM scratch\n", name) == []
        (note,) = self.notes(plan, bench, "FROM scratch\n", name, "OTHER")
        assert note.endswith("not used: OTHER")

    def test_a_target_that_is_not_built_counts(self, plan: Resolve, bench: Bench) -> None:
        """People give one set of build args to all targets of a file."""
        text = "ARG G\nFROM scratch AS one\nARG A\nFROM scratch\n"
        assert self.notes(plan, bench, text, "A", "G") == []

    def test_a_trigger_counts(self, plan: Resolve, bench: Bench) -> None:
        """An ARG of a base's ONBUILD is declared."""
        layout = base(bench.room / "base", [[row("f", "1")]], (str(OWN),), {"OnBuild": ["ARG OB"]})
        assert self.notes(plan, bench, f"FROM {layout}\n", "OB") == []
