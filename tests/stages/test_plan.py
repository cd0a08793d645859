"""Tests of the plan: what each instruction does to the config, the variables and the history."""

from __future__ import annotations

import pytest

from builder.errors import BuildfileError
from builder.stages.plan import absolute
from builder.values.image import Healthcheck, ImageConfig, RunConfig
from builder.values.step import Planned, WorkdirStep
from tests.stages.plans import AMD64, PATH, history, made_by_steps, planned, refused, run_of


def test_env_is_seen_by_what_follows_and_kept_in_the_image() -> None:
    """ENV is in the config, in the words of later lines and in the environment of commands."""
    plan = planned("ENV A=1\nENV B=${A}2\nRUN x")
    assert plan.config.env == (PATH, ("A", "1"), ("B", "12"))
    assert run_of(plan).env == plan.config.env


def test_one_env_line_sees_the_values_from_before_it() -> None:
    """`ENV a=2 b=$a` gives b the old a, as the reference has it."""
    assert planned("ENV a=1\nENV a=2 b=$a").config.env == (PATH, ("a", "2"), ("b", "1"))


def test_an_arg_is_for_the_build_alone() -> None:
    """ARG is seen by commands and is not in the image."""
    plan = planned("ARG A=1\nRUN x")
    assert ("A", "1") in run_of(plan).env
    assert plan.config.env == (PATH,)


def test_a_command_sees_only_what_was_declared_before_it() -> None:
    """The line counts: an ARG or ENV after a RUN is not there yet."""
    plan = planned("RUN x\nARG A=1\nENV B=2\nRUN y")
    assert run_of(plan, 0).env == (PATH,)
    assert run_of(plan, 1).env == (PATH, ("B", "2"), ("A", "1"))


def test_an_arg_after_an_env_of_its_name_hides_it_in_the_build_only() -> None:
    """The later one counts for the commands, the image keeps the ENV: BuildKit's behaviour."""
    plan = planned("ENV V=env\nARG V=arg\nRUN x")
    assert dict(run_of(plan).env)["V"] == "arg"
    assert plan.config.env_value("V") == "env"


def test_a_base_without_a_path_gets_one() -> None:
    """PATH is always set, so that `ENV PATH=/x:$PATH` works on any base; one of the base's is left alone."""
    assert planned("ENV PATH=/x:$PATH").config.env_value("PATH") == f"/x:{PATH[1]}"
    assert planned("", RunConfig(env=(("PATH", "/bin"),))).config.env == (("PATH", "/bin"),)


def test_a_base_gives_its_whole_config() -> None:
    """What the base says stays where no instruction says otherwise; its triggers do not."""
    base = RunConfig(
        user="app",
        env=(("PATH", "/bin"),),
        entrypoint=("/e",),
        cmd=("c",),
        working_dir="/srv",
        labels=(("l", "1"),),
        exposed_ports=("1/tcp",),
        volumes=("/v",),
        stop_signal="INT",
        healthcheck=Healthcheck(("NONE",)),
        shell=("/bin/bash", "-c"),
    )
    assert planned("", base).config == base


def test_labels_join_those_of_the_base() -> None:
    """A label is added or replaced; its words are expanded and their quotes removed."""
    plan = planned("ENV V=1\nLABEL b=\"x $V\" a='$V'", RunConfig(labels=(("a", "old"), ("c", "3"))))
    assert dict(plan.config.labels) == {"a": "$V", "b": "x 1", "c": "3"}


def test_ports_and_volumes_are_sets() -> None:
    """EXPOSE and VOLUME add to what is there, each once; variables may hold several ports."""
    plan = planned("ENV P='80 53/udp'\nEXPOSE $P 8000-8001\nVOLUME /a /b\nVOLUME [\"/a\"]", RunConfig(volumes=("/z",)))
    assert plan.config.exposed_ports == ("53/udp", "80/tcp", "8000/tcp", "8001/tcp")
    assert plan.config.volumes == ("/a", "/b", "/z")


def test_an_empty_volume_is_refused() -> None:
    """A variable without a value names no volume."""
    refused(BuildfileError, "VOLUME $NOTHING")


@pytest.mark.parametrize("signal", ["9", "SIGTERM", "term", "sigrtmin+3", "RTMAX-1", "WINCH"])
def test_signals(signal: str) -> None:
    """Numbers and names, with and without SIG, in any case; kept as they are written."""
    assert planned(f"STOPSIGNAL {signal}").config.stop_signal == signal


@pytest.mark.parametrize("signal", ["0", "SIGNOTHING", "$NOTHING", "TERM9", "RTMIN+16", "SIG"])
def test_what_is_no_signal_is_refused(signal: str) -> None:
    """An image with a stop signal that is none could not be stopped."""
    refused(BuildfileError, f"STOPSIGNAL {signal}")


def test_words_are_expanded_in_user_and_signal() -> None:
    """USER and STOPSIGNAL take variables."""
    plan = planned("ARG U=app\nENV S=INT\nUSER $U:${U}s\nSTOPSIGNAL SIG$S")
    assert (plan.config.user, plan.config.stop_signal) == ("app:apps", "SIGINT")


class TestCommands:
    """CMD, ENTRYPOINT and SHELL."""

    def test_shell_form_takes_the_shell_in_force(self) -> None:
        """/bin/sh -c, or what SHELL or the base say; SHELL itself is in the config only if it was said."""
        assert planned("CMD a $b").config.cmd == ("/bin/sh", "-c", "a $b")
        assert planned("CMD a").config.shell is None
        plan = planned('CMD a\nSHELL ["/bin/bash", "-ec"]\nENTRYPOINT b\nRUN c')
        assert plan.config.cmd == ("/bin/sh", "-c", "a")
        assert plan.config.entrypoint == ("/bin/bash", "-ec", "b")
        assert plan.config.shell == ("/bin/bash", "-ec")
        assert run_of(plan).argv == ("/bin/bash", "-ec", "c")
        assert planned("CMD a", RunConfig(shell=("/x",))).config.cmd == ("/x", "a")

    def test_exec_form_is_taken_as_it_is(self) -> None:
        """Neither shell nor variables."""
        assert planned('CMD ["a", "$b"]').config.cmd == ("a", "$b")

    def test_an_entrypoint_drops_the_base_s_cmd(self) -> None:
        """Those were arguments of another program; also an ENTRYPOINT that is empty drops them."""
        base = RunConfig(entrypoint=("/old",), cmd=("arg",))
        assert planned('ENTRYPOINT ["/new"]', base).config.cmd is None
        assert planned("ENTRYPOINT []", base).config.cmd is None

    def test_a_cmd_of_this_target_stays(self) -> None:
        """In whatever order CMD and ENTRYPOINT stand."""
        for text in ('CMD ["a"]\nENTRYPOINT ["/e"]', 'ENTRYPOINT ["/e"]\nCMD ["a"]'):
            assert planned(text, RunConfig(cmd=("old",))).config.cmd == ("a",)

    def test_nothing_takes_away(self) -> None:
        """`CMD []` and `ENTRYPOINT []` leave none."""
        base = RunConfig(entrypoint=("/old",), cmd=("arg",))
        config = planned("CMD []\nENTRYPOINT []", base).config
        assert (config.cmd, config.entrypoint) == (None, None)


class TestWorkdir:
    """WORKDIR."""

    @pytest.mark.parametrize(
        ("before", "path", "after"),
        [
            ("", "a", "/a"),
            ("/srv", "a/b", "/srv/a/b"),
            ("/srv", "/a/", "/a"),
            ("/srv", "..", "/"),
            ("/srv", "../../../x", "/x"),
            ("/srv", ".", "/srv"),
            ("/srv", "//a//b", "/a/b"),
            ("/srv", "", "/srv"),
            ("", "", "/"),
        ],
    )
    def test_paths(self, before: str, path: str, after: str) -> None:
        """A relative path is below the directory so far, an empty one is that directory, nothing leaves the root."""
        assert absolute(before, path) == after

    def test_it_is_a_step_and_moves_what_follows(self) -> None:
        """The directory is made with the user in force, and commands start in it."""
        plan = planned("ENV D=x\nUSER app\nWORKDIR /w\nWORKDIR $D\nRUN y")
        first, second, _ = plan.steps
        assert isinstance(first, WorkdirStep)
        assert isinstance(second, WorkdirStep)
        assert (first.path, first.user, second.path) == ("/w", "app", "/w/x")
        assert run_of(plan).cwd == plan.config.working_dir == "/w/x"

    def test_without_one_commands_start_in_the_root(self) -> None:
        """A base that says nothing has its working directory at `/`."""
        assert run_of(planned("RUN x")).cwd == "/"


class TestOnbuild:
    """Triggers: recorded, fired, forbidden."""

    def test_it_is_only_recorded(self) -> None:
        """ONBUILD does nothing here and now, and leaves no line in the history."""
        plan = planned("ONBUILD RUN $x\nONBUILD ENV A=1")
        assert plan.config.on_build == ("RUN $x", "ENV A=1")
        assert (plan.actions, plan.config.env) == ((), (PATH,))

    def test_the_base_s_triggers_come_first_and_are_gone_then(self) -> None:
        """They are done before the first line, in their order, and the new image does not have them."""
        base = RunConfig(on_build=("ENV A=1", "RUN one", "ARG B=2"))
        plan = planned("ENV A=${A}$B\nONBUILD USER me", base)
        assert history(plan) == ["ENV A=1", "RUN /bin/sh -c one", "ARG B=2", "ENV A=12"]
        assert plan.config.on_build == ("USER me",)

    def test_a_trigger_takes_build_args(self) -> None:
        """An ARG of a trigger is declared like any other."""
        plan = planned("RUN x", RunConfig(on_build=("ARG B=2",)), given={"B": "cli"})
        assert dict(run_of(plan).env)["B"] == "cli"
        assert plan.args == (("B", "cli"),)

    @pytest.mark.parametrize("trigger", ["FROM x", "ONBUILD RUN x", "MAINTAINER me", "NOSUCH", "RUN a\nRUN b", ""])
    def test_a_bad_trigger_says_where_it_comes_from(self, trigger: str) -> None:
        """A broken trigger of a base is an error that names the base, for it is in no line of the Buildfile."""
        with pytest.raises(BuildfileError) as caught:
            planned("", RunConfig(on_build=(trigger,)))
        assert caught.value.span is not None
        assert caught.value.span.source.name == "ONBUILD of base"

    def test_the_escape_directive_is_not_the_trigger_s(self) -> None:
        """A base's trigger was written elsewhere: it reads the same under any directive of this file."""
        plan = planned("", RunConfig(on_build=("RUN a \\\n  b",)), before="# escape=`\n")
        assert run_of(plan).argv[-1] == "a   b"


class TestHistory:
    """The lines in the history are BuildKit's, without its mark."""

    def test_what_only_says_something(self) -> None:
        """Each word as it was understood."""
        plan = planned(
            "ARG A=1 B C\n"
            "ENV X=$A Y='a b'\n"
            "LABEL l=$A\n"
            "USER u$A\n"
            "EXPOSE 80 53/udp\n"
            "VOLUME /v$A /w\n"
            'SHELL ["/bin/bash", "-c"]\n'
            "STOPSIGNAL INT\n"
            'CMD echo "$A"\n'
            'ENTRYPOINT ["/e", "ä"]\n'
            "HEALTHCHECK --interval=5s CMD x\n"
            "MAINTAINER Me",
            given={"C": "given"},
        )
        assert history(plan) == [
            "ARG A=1 B C=given",
            "ENV X=1 Y=a b",
            "LABEL l=1",
            "USER u1",
            "EXPOSE [80/tcp 53/udp]",
            "VOLUME [/v1 /w]",
            "SHELL [/bin/bash -c]",
            "STOPSIGNAL INT",
            'CMD ["/bin/bash" "-c" "echo \\"$A\\""]',
            'ENTRYPOINT ["/e" "ä"]',
            "HEALTHCHECK --interval=5s CMD x",
            "MAINTAINER Me",
        ]
        assert plan.steps == ()

    def test_steps(self) -> None:
        """A WORKDIR is shown with its whole path, a COPY with its words expanded."""
        plan = planned("ENV F=f\nWORKDIR /a\nWORKDIR b\nCOPY --link --chown=$F --chmod=644 $F g d/")
        assert made_by_steps(plan) == ["WORKDIR /a", "WORKDIR /a/b", "COPY --chown=f --chmod=644 f g d/"]

    def test_a_step_and_its_line_stand_together(self) -> None:
        """Every step has a line, and what is no step makes none."""
        plan = planned("RUN a\nENV b=c\nCOPY d e")
        assert [isinstance(action, Planned) for action in plan.actions] == [True, False, True]


def test_the_author_is_the_last_maintainer() -> None:
    """MAINTAINER replaces the base's author; without one it stays."""
    base = ImageConfig(AMD64, author="Base")
    assert planned("MAINTAINER A B", base).author == "A B"
    assert planned("", base).author == "Base"


def test_healthcheck_is_taken_over() -> None:
    """The check of the last HEALTHCHECK is the image's; NONE is one too."""
    assert planned("HEALTHCHECK CMD a\nHEALTHCHECK NONE").config.healthcheck == Healthcheck(("NONE",))


@pytest.mark.parametrize("line", ["ENV $NOTHING=1", "LABEL $NOTHING=1"])
def test_blank_names_are_refused(line: str) -> None:
    """A name that expands to nothing is an error at its line."""
    error = refused(BuildfileError, f"ENV a=b\n{line}")
    assert error.span is not None
    assert error.span.first == 3


def test_what_is_left_for_a_target_based_on_this_one() -> None:
    """ARGs with a value go on to a target that starts from this one, those without do not."""
    assert planned("ARG A=1\nARG B\nENV C=2").args == (("A", "1"),)


def test_values_that_grow_are_stopped() -> None:
    """Values that are made of values cost no more than a few megabytes, however many lines there are."""
    lines = "\n".join(f"ENV B{number}=$A" for number in range(100))
    assert "expand to more than" in refused(BuildfileError, f"ENV A={'x' * 900_000}\n{lines}").message
    doubled = "\n".join(f"ENV A{number + 1}=$A{number}$A{number}" for number in range(60))
    assert "expand to more than" in refused(BuildfileError, f"ENV A0=xxxxxxxx\n{doubled}").message
