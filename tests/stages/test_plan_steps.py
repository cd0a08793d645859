"""Tests of the plan of RUN, COPY and ADD."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import BuildfileError
from builder.stages.plan_steps import stage_number
from builder.values.image import RunConfig
from builder.values.mount import BindRequest, CacheRequest, SecretRequest
from builder.values.repository import Repository
from builder.values.security import Security
from builder.values.step import ContextOrigin, ImageOrigin, Inline, TargetOrigin
from tests.stages.plans import PATH, SPAN, among, copy_of, history, planned, refused, run_of


class TestRun:
    """Commands."""

    def test_shell_form(self) -> None:
        """The text goes to the shell as it is: variables are the shell's to expand."""
        step = run_of(planned("ENV A=1\nRUN echo $A \\\n  'b'"))
        assert step.argv == ("/bin/sh", "-c", "echo $A   'b'")

    def test_exec_form(self) -> None:
        """A list is executed without a shell."""
        assert run_of(planned('RUN ["echo", "$A"]')).argv == ("echo", "$A")
        refused(BuildfileError, "RUN []")

    def test_a_heredoc_is_a_script(self) -> None:
        """Alone it is what the shell runs; one that begins with #! is a file that is executed."""
        assert run_of(planned("RUN <<EOF\na\nb $c\nEOF")).argv == ("/bin/sh", "-c", "a\nb $c\n")
        step = run_of(planned("RUN <<-'X'\n\t#!/bin/sed\n\ta\nX"))
        assert step.argv == ("/dev/pipes/X",)
        assert step.scripts == (Inline("X", b"#!/bin/sed\na\n"),)

    def test_heredocs_of_a_command_are_the_shell_s(self) -> None:
        """With a command they stand behind it, for the shell to read."""
        step = run_of(planned("RUN cat <<A - 3<<B\nx\nA\ny\nB"))
        assert step.argv == ("/bin/sh", "-c", "cat <<A - 3<<B\nx\nA\ny\nB\n")
        assert step.scripts == ()

    def test_the_user_and_the_latest_time(self) -> None:
        """The USER so far does it; the build's SOURCE_DATE_EPOCH goes with every step."""
        plan = planned("USER app\nRUN x\nCOPY a b\nWORKDIR /c", source_date_epoch=5)
        assert run_of(plan).user == "app"
        assert [step.source_date_epoch for step in plan.steps] == [5, 5, 5]

    @pytest.mark.parametrize(
        ("build", "flag", "network"),
        [
            ("default", "", "default"),
            ("none", "", "none"),
            ("none", "--network=default", "none"),
            ("host", "--network=default", "host"),
            ("default", "--network=none", "none"),
            ("host", "--network=none", "none"),
            ("host", "--network=host", "host"),
            ("proxy", "", "proxy"),
            ("proxy", "--network=none", "none"),
        ],
    )
    def test_network(self, build: str, flag: str, network: str) -> None:
        """A RUN takes the build's network unless it names another; `default` names the build's."""
        assert run_of(planned(f"RUN {flag} x", network=build)).network == network

    @pytest.mark.parametrize("build", ["default", "none", "proxy"])
    def test_the_network_of_the_build_is_not_left(self, build: str) -> None:
        """--network=host needs the word of who builds wherever the build's own network is another."""
        error = refused(BuildfileError, "RUN --network=host x", network=build)
        assert "--allow network.host" in (error.hint or "")
        plan = planned("RUN --network=host x", network=build, allow=("network.host",))
        assert run_of(plan).network == "host"

    def test_insecure_must_be_allowed(self) -> None:
        """--security=insecure needs --allow security.insecure, and no other right will do."""
        assert run_of(planned("RUN --security=sandbox x")).security is Security.SANDBOX
        assert "--allow security.insecure" in (refused(BuildfileError, "RUN --security=insecure x").hint or "")
        refused(BuildfileError, "RUN --security=insecure x", allow=("network.host",))
        assert run_of(planned("RUN --security=insecure x", allow=("security.insecure",))).security is Security.INSECURE

    def test_nested_must_be_allowed(self) -> None:
        """--security=nested needs --allow security.nested, or a build that has it for every step."""
        assert "--allow security.nested" in (refused(BuildfileError, "RUN --security=nested x").hint or "")
        for settings in ({"allow": ("security.nested",)}, {"security": Security.NESTED}):
            assert run_of(planned("RUN --security=nested x", **settings)).security is Security.NESTED

    def test_the_builds_security(self) -> None:
        """A step that asks for nothing has the build's sandbox; one that asks for the strict one has that."""
        assert run_of(planned("RUN x", security=Security.NESTED)).security is Security.NESTED
        assert run_of(planned("RUN --security=sandbox x", security=Security.NESTED)).security is Security.SANDBOX
        refused(BuildfileError, "RUN --security=insecure x", security=Security.NESTED)

    def test_devices_are_refused(self) -> None:
        """--device is an error and not ignored."""
        refused(BuildfileError, "RUN --device=vendor.com/gpu x")


class TestArgsOfRun:
    """What the history says of ARGs, and proxies."""

    def test_every_declared_arg_is_in_the_history(self) -> None:
        """With the value that its name has in the command; the number in front says how many there are."""
        plan = planned("ARG A=1\nARG B\nENV C=env\nARG C\nRUN x", given={"A": "cli"})
        assert history(plan)[-1] == "RUN |3 A=cli B= C=env /bin/sh -c x"

    def test_without_args_it_is_the_command(self) -> None:
        """No number, no names."""
        assert history(planned("RUN x"))[-1] == "RUN /bin/sh -c x"

    def test_a_proxy_is_seen_but_not_recorded(self) -> None:
        """It is in no history and among the things that are in no key."""
        plan = planned("RUN x", hidden_env=(("http_proxy", "http://p"),))
        step = run_of(plan)
        assert step.hidden_env == (("http_proxy", "http://p"),)
        assert step.env == (PATH,)
        assert "http://p" not in "".join(history(plan))

    def test_a_proxy_that_is_declared_is_an_arg_like_others(self) -> None:
        """ARG HTTP_PROXY asks for it to be recorded, says the reference."""
        hidden = (("HTTP_PROXY", "http://p"),)
        plan = planned("ARG HTTP_PROXY\nRUN x", given=dict(hidden), hidden_env=hidden)
        assert run_of(plan).hidden_env == ()
        assert ("HTTP_PROXY", "http://p") in run_of(plan).env
        assert history(plan)[-1] == "RUN |1 HTTP_PROXY=http://p /bin/sh -c x"

    def test_declaring_a_proxy_does_not_take_it_away(self) -> None:
        """An ARG without a value leaves the environment's proxy where it is; ENV replaces it."""
        hidden = (("HTTP_PROXY", "http://p"),)
        assert run_of(planned("ARG HTTP_PROXY\nRUN x", hidden_env=hidden)).hidden_env == hidden
        assert run_of(planned("ENV HTTP_PROXY=\nRUN x", hidden_env=hidden)).hidden_env == ()


class TestMounts:
    """--mount."""

    def test_values_are_expanded_one_by_one(self) -> None:
        """What a variable holds is one value: commas in it add no keys."""
        step = run_of(planned("ARG T=/x,readwrite\nRUN --mount=target=$T,source=a$U x"))
        assert step.mounts[0].request == BindRequest("/x,readwrite", "a")

    def test_where_they_come_from(self) -> None:
        """The context, a stage, an image; a cache without `from`, or from scratch, starts empty."""
        mounts = [
            "type=bind,target=/a",
            "type=bind,target=/b,from=one",
            "type=bind,target=/c,from=debian",
            "type=cache,target=/d",
            "type=cache,target=/e,from=scratch",
            "type=secret,id=s",
        ]
        flags = " ".join(f"--mount={mount}" for mount in mounts)
        step = run_of(planned(f"RUN {flags} x", None, index=1, names=("one", None), numbered={"one": (0,)}))
        assert [mount.origin for mount in step.mounts] == [
            ContextOrigin(),
            TargetOrigin(0),
            ImageOrigin("debian"),
            ContextOrigin(),
            ContextOrigin(),
            ContextOrigin(),
        ]
        assert isinstance(step.mounts[3].request, CacheRequest)
        assert isinstance(step.mounts[5].request, SecretRequest)

    @pytest.mark.parametrize("target", ["/", "//", "..", "/a/..", "."])
    def test_the_root_is_no_target(self, target: str) -> None:
        """Nothing is mounted over the whole file system of the step."""
        refused(BuildfileError, f"RUN --mount=target={target} x")

    def test_a_relative_target_is_below_the_working_directory(self) -> None:
        """`.` is no root where there is a WORKDIR."""
        plan = planned("RUN --mount=target=. x", RunConfig(working_dir="/w"))
        assert run_of(plan).mounts[0].request == BindRequest(".")

    def test_errors_have_a_place(self) -> None:
        """A bad mount is an error at its RUN."""
        refused(BuildfileError, "RUN --mount=type=nosuch,target=/a x")


class TestCopy:
    """COPY and ADD."""

    @pytest.mark.parametrize(
        ("working_dir", "text", "destination"),
        [
            ("", "/a", "/a"),
            ("", "/a/", "/a/"),
            ("/w", "a", "/w/a"),
            ("/w", "./a/", "/w/a/"),
            ("/w", ".", "/w/"),
            ("/w", "..", "/"),
            ("/w", "a/.", "/w/a/"),
            ("/w", "../../../etc", "/etc"),
            ("/w", "$NOTHING", "/w/"),
            ("", ".", "/"),
            ("/w", "//a//b", "/a/b"),
        ],
    )
    def test_destinations(self, working_dir: str, text: str, destination: str) -> None:
        """Relative ones are below the working directory; a slash or dot at the end, or nothing, means a directory."""
        assert copy_of(planned(f"COPY f {text}", RunConfig(working_dir=working_dir))).destination == destination

    def test_words_are_expanded(self) -> None:
        """Sources, destination, --chown and --chmod take variables; --exclude is taken as it is written."""
        step = copy_of(planned("ENV A=1\nCOPY --chown=$A:$A --chmod=${A}77 --exclude=$A* $A.txt '$A' /$A/"))
        assert (step.sources, step.destination) == (("1.txt", "$A"), "/1/")
        assert (step.chown, step.chmod, step.excludes) == ("1:1", "177", ("$A*",))

    def test_flags_that_expand_to_nothing_are_absent(self) -> None:
        """`--chown=$UNSET` keeps the owner."""
        step = copy_of(planned("COPY --chown=$A --chmod=$A a b"))
        assert (step.chown, step.chmod) == (None, None)

    def test_add_and_copy_differ_in_unpacking(self) -> None:
        """ADD unpacks local archives but no downloads, unless --unpack says otherwise; COPY never does."""
        rows = {
            "COPY a b": (False, False),
            "ADD a b": (True, False),
            "ADD --unpack a b": (True, True),
            "ADD --unpack=false a b": (False, False),
        }
        for text, expected in rows.items():
            step = copy_of(planned(text))
            assert (step.unpack, step.unpack_downloads) == expected, text

    def test_sources_are_sorted_by_what_they_are(self) -> None:
        """Files, URLs and heredocs; only ADD knows URLs."""
        step = copy_of(planned("ENV A=x\nADD f https://$A/g <<E <<'F' /d/\n$A\nE\n$A\nF"))
        assert (step.sources, step.downloads) == (("f",), ("https://x/g",))
        assert step.inline == (Inline("E", b"x\n"), Inline("F", b"$A\n"))
        refused(BuildfileError, "COPY https://x/g /d")

    @pytest.mark.parametrize("source", ["https://x/y.git", "git@x:y", "https://x/y.git#main:sub", "git://x/y"])
    def test_git_repositories(self, source: str) -> None:
        """They are never taken for something else; only ADD knows them."""
        step = copy_of(planned(f"ADD {source} f https://x/y /d/"))
        assert (step.sources, step.downloads, len(step.repositories)) == (("f",), ("https://x/y",), 1)
        refused(BuildfileError, f"COPY {source} /d")

    def test_what_a_git_url_and_its_flags_say(self) -> None:
        """--keep-git-dir and --checksum join what the URL says, and must not contradict it."""
        step = copy_of(planned("ADD --keep-git-dir --checksum=abcdef0 https://x/y.git#main:sub /d"))
        assert step.repositories == (Repository("https://x/y.git", "main", "sub", "abcdef0", True),)
        refused(BuildfileError, "ADD --keep-git-dir https://x/y.git?keep-git-dir=false /d")
        refused(BuildfileError, "ADD --checksum=abcdef0 https://x/y.git?checksum=abcdef1 /d")
        refused(BuildfileError, f"ADD --checksum=sha256:{'a' * 64} https://x/y.git /d")
        refused(BuildfileError, "ADD https://x/y.git#--upload-pack=x /d")

    def test_a_checksum_is_for_one_url(self) -> None:
        """It is expanded; with files or several sources it is refused; one that is empty is absent."""
        digest = "sha256:" + "a" * 64
        assert copy_of(planned(f"ARG S={digest}\nADD --checksum=$S http://x/y /d")).checksum == digest
        assert copy_of(planned("ADD --checksum=$S http://x/y /d")).checksum is None
        refused(BuildfileError, f"ADD --checksum={digest} f /d")
        refused(BuildfileError, f"ADD --checksum={digest} http://x/y http://x/z /d/")

    def test_history(self) -> None:
        """The words as they were understood, heredocs by their marks."""
        plan = planned("ENV A=x\nADD --chown=$A --chmod=u+x $A <<E /$A/\nE\nCOPY --parents $A/y /d/")
        assert history(plan)[1:] == ["ADD --chown=x --chmod=u+x x <<E /x/", "COPY --parents x/y /d/"]


class TestOrigins:
    """--from."""

    def test_names_and_numbers(self) -> None:
        """A stage before this one by its name in any case or its number; anything else is an image."""
        here = among("one", None, "two", index=2)
        assert here.origin("one", SPAN) == here.origin("ONE", SPAN) == here.origin("0", SPAN) == TargetOrigin(0)
        assert here.origin("1", SPAN) == here.origin("01", SPAN) == TargetOrigin(1)
        assert here.origin("debian:12", SPAN) == ImageOrigin("debian:12")
        assert here.origin("scratch", SPAN) == ImageOrigin("scratch")
        assert here.origin(None, SPAN) == ContextOrigin()

    @pytest.mark.parametrize("number", ["2", "3", "-1", "0000000002", "9999999999", "1" * 5000, "00000000000000000009"])
    def test_numbers_of_no_earlier_stage(self, number: str) -> None:
        """This stage, later ones, negative and huge numbers are refused with the rule, whatever their length."""
        with pytest.raises(BuildfileError, match="invalid stage index") as caught:
            among("one", None, "two", index=2).origin(number, SPAN)
        assert caught.value.span == SPAN

    def test_digits_of_other_scripts_are_a_name(self) -> None:
        """Only 0 to 9 are a number; what else looks like one is looked for as an image."""
        assert among("one", index=1).origin("٠", SPAN) == ImageOrigin("٠")

    def test_a_later_stage_is_no_image(self) -> None:
        """A name of this stage or a later one is refused: no registry is asked for an image of that name."""
        here = among("one", "two", "three", index=1)
        for name in ("two", "Three"):
            with pytest.raises(BuildfileError, match="defined before"):
                here.origin(name, SPAN)

    def test_of_stages_of_one_name_the_nearest_before_counts(self) -> None:
        """A name that is used again means the last stage before this one that has it."""
        names = ("a", "a", "b", "a")
        assert among(*names, index=2).origin("a", SPAN) == TargetOrigin(1)
        assert among(*names, index=1).origin("a", SPAN) == TargetOrigin(0)

    def test_a_stage_may_be_called_like_an_image(self) -> None:
        """It shadows the image from then on, and only for the stages after it."""
        assert among("debian", None, index=1).origin("debian", SPAN) == TargetOrigin(0)
        assert among("scratch", None, index=1).origin("scratch", SPAN) == TargetOrigin(0)

    def test_a_named_context_replaces_a_stage(self) -> None:
        """By its name in any case, and by its number; the name is the one that was given on the command line."""
        here = among("one", "two", None, index=2, contexts={"one": "One", "two": "two"})
        assert here.origin("ONE", SPAN) == here.origin("0", SPAN) == ImageOrigin("One")
        assert here.origin("two", SPAN) == ImageOrigin("two")
        assert here.earlier("one") is None

    @given(st.integers(-(10**25), 10**25))
    def test_stage_numbers(self, number: int) -> None:
        """A number of a few digits is itself, a longer one is larger than any stage's."""
        found = stage_number(str(number))
        assert found is not None
        assert found == number if abs(number) < 10**9 else abs(found) >= 10**9

    @pytest.mark.parametrize("text", ["", "a", "1a", "+", "1.0", "1\n", " 1"])
    def test_what_is_no_number(self, text: str) -> None:
        """Everything else is a name."""
        assert stage_number(text) is None
