"""The commands that peers with a daemon are given; those of the others run in test_run."""

from __future__ import annotations

from pathlib import Path

from benchmarks.tools.buildctl import Buildctl
from benchmarks.tools.docker import Docker
from benchmarks.values import Build, Command, Place

BUILD = Build(Path("/b/Buildfile"), Path("/context"))
PLACE = Place(Path("/place"))


def lines(commands: tuple[Command, ...]) -> list[str]:
    """Each as one line."""
    return [" ".join(command.argv) for command in commands]


def test_docker_builds_with_the_buildkit_of_its_daemon() -> None:
    """Its older builder is not what anybody compares with."""
    (command,) = Docker().build(BUILD, PLACE)
    assert command.environment == {"DOCKER_BUILDKIT": "1"}
    assert command.argv[-3:] == ("-t", "bench:1", "/context")


def test_docker_removes_only_images_with_the_label_of_the_benchmark() -> None:
    """Each of its builds has it; whatever else the daemon has is somebody's."""
    (build,), (begin,) = Docker().build(BUILD, PLACE), Docker().begin(PLACE)
    assert "--label pybuild.benchmark=1" in " ".join(build.argv)
    assert "docker images -q --filter label=pybuild.benchmark=1 |" in begin.argv[-1]


def test_docker_s_archive_is_saved_and_then_compressed() -> None:
    """Both are a part of what is measured."""
    found = lines(Docker().build(Build(BUILD.buildfile, BUILD.context, archive=True), PLACE))
    assert [line.split()[0:2] for line in found] == [
        ["docker", "build"],
        ["docker", "save"],
        ["skopeo", "--insecure-policy"],
    ]
    assert found[-1].endswith("docker-archive:/place/saved.tar oci-archive:/place/image.tar:1")


def test_docker_pushes_an_image_under_its_second_name() -> None:
    """The first one says no registry."""
    found = lines(Docker().push("bench:1", "127.0.0.1:5000/pushed:1", PLACE))
    assert found == ["docker tag bench:1 127.0.0.1:5000/pushed:1", "docker push -q 127.0.0.1:5000/pushed:1"]


def test_buildctl_says_where_the_buildfile_and_the_context_are() -> None:
    """buildkitd gets both as directories from the client."""
    (line,) = lines(Buildctl().build(BUILD, PLACE))
    assert "--local context=/context --local dockerfile=/b --opt filename=Buildfile" in line
    assert "--output" not in line


def test_buildctl_writes_an_archive_and_pushes_by_its_outputs() -> None:
    """One command each."""
    tool = Buildctl()
    (archive,) = lines(tool.build(Build(BUILD.buildfile, BUILD.context, archive=True), PLACE))
    (pushed,) = lines(tool.build(Build(BUILD.buildfile, BUILD.context, push="127.0.0.1:5000/a:1"), PLACE))
    assert archive.endswith("--output=type=oci,dest=/place/image.tar")
    assert pushed.endswith("--output=type=image,name=127.0.0.1:5000/a:1,push=true,registry.insecure=true")


def test_buildctl_says_a_build_again_to_push_it_or_to_write_its_layout() -> None:
    """BuildKit keeps steps and no images."""
    tool = Buildctl()
    (build,) = lines(tool.build(BUILD, PLACE))
    (push,) = lines(tool.push("bench:1", "127.0.0.1:5000/pushed:1", PLACE))
    assert push.startswith(f"{build} --output=type=image,")
    assert lines(tool.layout("bench:1", PLACE, Path("/layout"))) == [
        f"{build} --output=type=oci,dest=/place/saved.tar",
        "mkdir -p /layout",
        "tar -xf /place/saved.tar -C /layout",
    ]
