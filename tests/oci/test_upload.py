"""Blobs on their way to registries that take them well or badly."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from builder.errors import ImageError
from builder.oci import upload
from builder.oci.client import Client
from builder.oci.source import Progress, ignore_progress
from builder.oci.upload import Outcome, Upload, is_there
from builder.values.access import Access
from builder.values.digest import Digest
from builder.values.image import MEDIA_LAYER, Descriptor
from builder.values.reference import Reference
from tests.oci.depot import NAME, Depot
from tests.oci.rogue import QUICK, Answer, Exchange, Rogue, running_rogue, status
from tests.registry import free_port, running_registry

DATA = bytes(range(256)) * 1000
BLOB = Descriptor(MEDIA_LAYER, Digest.of(DATA), len(DATA))


@pytest.fixture
def depot(rogue: Rogue) -> Depot:
    """A repository that takes uploads."""
    made = Depot()
    made.open_at(rogue)
    made.watch(rogue, str(BLOB.digest))
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The blob's file."""
    path = tmp_path / "blob"
    path.write_bytes(DATA)
    return path


def client_of(address: str, repository: str = NAME) -> Client:
    """A client that loses patience soon."""
    return Client(Reference.parse(f"{address}/{repository}:1"), Access(), QUICK, actions="pull,push")


def sent(rogue: Rogue, file: Path, *origins: str, progress: Progress = ignore_progress) -> Outcome:
    """Upload the blob."""
    return Upload(client_of(rogue.address), BLOB, lambda: file, progress).run(origins)


# --- the plain way ---------------------------------------------------------------------------------------------------


def test_a_blob_goes_in_one_request(rogue: Rogue, depot: Depot, file: Path) -> None:
    """One PUT with all of it, after a POST that asks where to; the Location is relative and keeps its query."""
    assert sent(rogue, file) is Outcome.SENT
    assert depot.blobs[str(BLOB.digest)] == DATA
    assert depot.bodies == [("PUT", "", len(DATA))]
    assert rogue.methods == ["POST", "PUT"]


@pytest.mark.usefixtures("depot")
def test_progress_is_told_up_to_the_end(rogue: Rogue, file: Path) -> None:
    """It never goes beyond the blob's size and ends there."""
    heard: list[int] = []
    sent(rogue, file, progress=heard.append)
    assert heard[-1] == BLOB.size
    assert heard == sorted(heard)


def test_an_empty_blob_is_sent(rogue: Rogue, depot: Depot, tmp_path: Path) -> None:
    """No body at all is a body of no bytes."""
    empty = Descriptor(MEDIA_LAYER, Digest.of(b""), 0)
    (tmp_path / "empty").touch()
    assert Upload(client_of(rogue.address), empty, lambda: tmp_path / "empty", ignore_progress).run(()) is Outcome.SENT
    assert depot.blobs[str(empty.digest)] == b""


def test_what_is_there_is_seen(rogue: Rogue, depot: Depot) -> None:
    """By its digest and its size; one of another size is not the blob."""
    client = client_of(rogue.address)
    assert not is_there(client, BLOB)
    depot.blobs[str(BLOB.digest)] = DATA
    assert is_there(client, BLOB)
    assert not is_there(client, replace(BLOB, size=7))


# --- mounts ----------------------------------------------------------------------------------------------------------


def test_a_blob_of_another_repository_is_mounted(rogue: Rogue, depot: Depot) -> None:
    """Its file is not asked for."""
    depot.elsewhere[str(BLOB.digest)] = DATA

    def no_file() -> Path:
        raise AssertionError("the file was asked for")

    assert Upload(client_of(rogue.address), BLOB, no_file, ignore_progress).run(("base",)) is Outcome.MOUNTED
    assert depot.mounts == ["base"]
    assert depot.bodies == []


def test_a_mount_that_cannot_be_becomes_an_upload(rogue: Rogue, depot: Depot, file: Path) -> None:
    """The session that the registry opens instead is used; those of earlier tries are given up."""
    assert sent(rogue, file, "one", "two") is Outcome.SENT
    assert depot.mounts == ["one", "two"]
    assert rogue.methods == ["POST", "DELETE", "POST", "PUT"]


@pytest.mark.parametrize("number", [401, 403, 404, 405])
def test_a_refused_mount_is_no_error(rogue: Rogue, depot: Depot, file: Path, number: int) -> None:
    """A repository that we may not read, or a registry without mounts: the blob is sent."""
    begin = rogue.routes[f"/v2/{NAME}/blobs/uploads/"]
    rogue.routes[f"/v2/{NAME}/blobs/uploads/"] = lambda at: at.send(number) if "mount" in at.path else begin(at)
    assert sent(rogue, file, "private") is Outcome.SENT
    assert depot.blobs[str(BLOB.digest)] == DATA


# --- what breaks -----------------------------------------------------------------------------------------------------


def test_a_broken_upload_goes_on_where_it_broke(rogue: Rogue, depot: Depot, file: Path) -> None:
    """The session says how much it has; only the rest is sent, as a PATCH, and the PUT brings nothing more."""
    depot.cuts = [100_000]
    assert sent(rogue, file) is Outcome.SENT
    assert depot.blobs[str(BLOB.digest)] == DATA
    assert depot.bodies == [("PATCH", f"100000-{len(DATA) - 1}", len(DATA) - 100_000), ("PUT", "", 0)]


def test_breaks_that_bring_something_each_are_no_end(rogue: Rogue, depot: Depot, file: Path) -> None:
    """More breaks than attempts: each time the registry had more than before."""
    depot.cuts = [10_000] * 8
    assert sent(rogue, file) is Outcome.SENT
    assert depot.blobs[str(BLOB.digest)] == DATA
    assert len(rogue.methods) > 2 * QUICK.attempts


def test_a_session_that_is_forgotten_is_begun_anew(rogue: Rogue, depot: Depot, file: Path) -> None:
    """The registry does not know it any more: all of it is sent again."""
    depot.cuts, depot.forgets = [100_000], True
    assert sent(rogue, file) is Outcome.SENT
    assert depot.blobs[str(BLOB.digest)] == DATA
    assert depot.bodies == [("PUT", "", len(DATA))]


def test_a_registry_that_always_breaks_is_given_up(rogue: Rogue, depot: Depot, file: Path) -> None:
    """After a few attempts that brought nothing, with the break as the reason."""
    depot.cuts, depot.forgets = [100] * 50, True
    with pytest.raises(ImageError, match=f"the connection to {rogue.address} broke"):
        sent(rogue, file)
    assert rogue.methods.count("POST") == QUICK.attempts


def test_a_lost_answer_is_no_loss(rogue: Rogue, depot: Depot, file: Path) -> None:
    """All of it had arrived, and only the word that says so did not: nothing is sent twice."""

    def silent_finish(_: Exchange) -> None:
        depot.blobs[str(BLOB.digest)] = DATA
        depot.sessions.clear()

    depot.refusals = [silent_finish]
    assert sent(rogue, file) is Outcome.SENT
    assert depot.bodies == [("PUT", "", len(DATA))]


@pytest.mark.parametrize("number", [500, 502, 503, 504])
def test_an_error_that_passes_is_tried_again(rogue: Rogue, depot: Depot, file: Path, number: int) -> None:
    """Two such answers, and then well."""
    depot.refusals = [status(number), status(number)]
    assert sent(rogue, file) is Outcome.SENT
    assert depot.blobs[str(BLOB.digest)] == DATA


def refusal(number: int, code: str, message: str) -> Answer:
    """A registry's error document."""
    data = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    return lambda exchange: exchange.send(number, data)


def test_an_error_that_stays_is_one_line(rogue: Rogue, depot: Depot, file: Path) -> None:
    """With the registry's own words."""
    depot.refusals = [refusal(500, "UNKNOWN", "no space left on device")] * 9
    wanted = rf"answers 500 to blob {BLOB.digest} \(256000 bytes\): no space left on device"
    with pytest.raises(ImageError, match=wanted):
        sent(rogue, file)


def test_a_refusal_for_good_is_not_tried_again(rogue: Rogue, depot: Depot, file: Path) -> None:
    """400 for a reason that sending the same once more does not mend."""
    depot.refusals = [refusal(400, "UNSUPPORTED", "this registry is read-only")]
    with pytest.raises(ImageError, match=r"answers 400 .*: this registry is read-only"):
        sent(rogue, file)
    assert rogue.methods == ["POST", "PUT"]


def test_a_digest_that_did_not_match_is_sent_anew(rogue: Rogue, depot: Depot, file: Path) -> None:
    """Something was lost on the way; what is on the disk has been checked."""
    depot.refusals = [refusal(400, "DIGEST_INVALID", "digest did not match")]
    depot.forgets = True
    assert sent(rogue, file) is Outcome.SENT
    assert depot.blobs[str(BLOB.digest)] == DATA


def test_a_break_while_asking_is_an_attempt_too(rogue: Rogue, depot: Depot, file: Path) -> None:
    """The session is asked again, and goes on from where it is."""
    depot.cuts = [100_000]
    session, broken = rogue.routes["/sessions/0"], [True] * QUICK.attempts

    def answer(exchange: Exchange) -> None:
        if exchange.method == "GET" and broken:
            broken.pop()
            return exchange.hang_up()
        return session(exchange)

    rogue.routes["/sessions/0"] = answer
    assert sent(rogue, file) is Outcome.SENT
    assert depot.bodies[0][1] == f"100000-{len(DATA) - 1}"


@pytest.mark.usefixtures("depot")
def test_too_many_requests_are_waited_for(rogue: Rogue, file: Path) -> None:
    """429 says that nothing was done, so the same is asked again."""
    begin = rogue.routes[f"/v2/{NAME}/blobs/uploads/"]
    answers = [status(429, Retry_After=0), begin]
    rogue.routes[f"/v2/{NAME}/blobs/uploads/"] = lambda at: (answers.pop(0) if len(answers) > 1 else begin)(at)
    assert sent(rogue, file) is Outcome.SENT


# --- limits ----------------------------------------------------------------------------------------------------------


def test_what_is_too_large_for_one_request_goes_in_pieces(
    rogue: Rogue, depot: Depot, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """413 for the whole, then for the larger pieces: the smaller ones pass, one after the other."""
    monkeypatch.setattr(upload, "_PIECES", (200_000, 100_000))
    depot.limit = 150_000
    assert sent(rogue, file) is Outcome.SENT
    assert depot.blobs[str(BLOB.digest)] == DATA
    assert [(method, size) for method, _, size in depot.bodies] == [
        ("PATCH", 100_000),
        ("PATCH", 100_000),
        ("PATCH", 56_000),
        ("PUT", 0),
    ]


def test_pieces_are_no_smaller_than_the_registry_wants(
    rogue: Rogue, depot: Depot, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OCI-Chunk-Min-Length."""
    monkeypatch.setattr(upload, "_PIECES", (10_000,))
    depot.limit, depot.least = 150_000, 128_000
    assert sent(rogue, file) is Outcome.SENT
    assert [size for _, _, size in depot.bodies] == [128_000, 128_000, 0]


def test_a_blob_over_every_limit_is_one_line(rogue: Rogue, depot: Depot, file: Path) -> None:
    """Who limits it is said."""
    depot.limit = 0
    with pytest.raises(
        ImageError, match=r"says that blob sha256:[0-9a-f]{64} \(256000 bytes\) is too large \(413\)"
    ) as at:
        sent(rogue, file)
    assert at.value.hint == "the registry, or a proxy before it, limits how much may be sent"


def test_no_permission_is_one_line(rogue: Rogue, file: Path) -> None:
    """403 with the registry's reason, such as a quota, and nothing is tried again."""
    rogue.routes[f"/v2/{NAME}/blobs/uploads/"] = refusal(403, "DENIED", "quota exceeded")
    with pytest.raises(ImageError, match=r"does not let us write .*/depot:1 \(403\): quota exceeded"):
        sent(rogue, file)
    assert len(rogue.methods) == 1


# --- who is told what ------------------------------------------------------------------------------------------------


def test_a_session_may_lie_on_another_server(rogue: Rogue, depot: Depot, file: Path) -> None:
    """The bytes go there; nothing that was for the registry does."""
    with running_rogue() as other:
        depot.open_at(other)
        depot.host = other.url
        assert sent(rogue, file) is Outcome.SENT
        assert depot.blobs[str(BLOB.digest)] == DATA
        assert other.methods == ["PUT"]
        assert [authorization for _, authorization in other.requests] == [""]


@pytest.mark.parametrize("place", ["", "ftp://x/y", "http://[::1"])
def test_no_usable_place_to_send_to(rogue: Rogue, file: Path, place: str) -> None:
    """A Location that is none, or that we do not go to, is said."""
    rogue.routes[f"/v2/{NAME}/blobs/uploads/"] = status(202, **({"Location": place} if place else {}))
    with pytest.raises(ImageError, match="names no usable place to send to"):
        sent(rogue, file)


def test_another_digest_than_was_sent_is_refused(rogue: Rogue, depot: Depot, file: Path) -> None:
    """A registry, or a proxy before it, that keeps something else is found out."""
    wrong = "sha256:" + "0" * 64
    depot.refusals = [status(201, Docker_Content_Digest=wrong)]
    with pytest.raises(ImageError, match=f"keeps blob {BLOB.digest} as '{wrong}', which is not what was sent"):
        sent(rogue, file)


def test_a_changed_file_is_never_pushed(rogue: Rogue, depot: Depot, file: Path) -> None:
    """Its last bytes do not leave this machine, so no registry can take it for a blob."""
    file.write_bytes(b"X" + DATA[1:])
    with pytest.raises(ImageError, match=f"^blob {BLOB.digest} is damaged on the disk and was not sent: {file}$"):
        sent(rogue, file)
    assert depot.blobs == {}


# --- a real registry -------------------------------------------------------------------------------------------------


def test_an_upload_outlives_the_registrys_restart(tmp_path: Path) -> None:
    """docker-registry is killed in the middle and started again on the same port and directory: the blob gets there."""
    data = os.urandom(48 << 20)
    blob = Descriptor(MEDIA_LAYER, Digest.of(data), len(data))
    (tmp_path / "blob").write_bytes(data)
    port = free_port()
    middle, restarted = threading.Event(), threading.Event()

    def progress(done: int) -> None:
        if done > blob.size // 2 and not middle.is_set():
            middle.set()
            restarted.wait(10)

    running = running_registry(tmp_path, port=port)
    address = running.__enter__()
    outcomes: list[Outcome] = []
    client = Client(Reference.parse(f"{address}/killed:1"), Access(), actions="pull,push")
    upload = Upload(client, blob, lambda: tmp_path / "blob", progress)
    thread = threading.Thread(target=lambda: outcomes.append(upload.run(())))
    thread.start()
    assert middle.wait(10)
    running.__exit__(None, None, None)
    restarted.set()
    with running_registry(tmp_path, port=port):
        thread.join(20)
        assert outcomes == [Outcome.SENT]
        assert is_there(client, blob)


def test_memory_does_not_grow_with_the_blob(registry: str, tmp_path: Path) -> None:
    """A blob of 192 MiB goes through with less than 32 MiB more than before."""
    path = tmp_path / "blob"
    with path.open("wb") as out:
        out.truncate(192 << 20)
    with path.open("rb") as stream:
        digest = Digest(hashlib.file_digest(stream, "sha256").hexdigest())
    blob = Descriptor(MEDIA_LAYER, digest, 192 << 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    client = client_of(registry, "large")
    assert Upload(client, blob, lambda: path, ignore_progress).run(()) is Outcome.SENT
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10
