"""What refers to images: by the tag scheme of a real registry, and by the API of a scripted one."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from builder.errors import ImageError
from builder.oci.document import canonical
from builder.oci.manifest import descriptor_fields, read_index, write_index
from builder.oci.push import push_image
from builder.oci.referrers import put_referrer, referrers_of
from builder.values.access import Access
from builder.values.digest import Digest
from builder.values.image import MEDIA_INDEX, MEDIA_LAYER_GZIP, MEDIA_MANIFEST, Descriptor
from builder.values.reference import Reference
from tests.oci.images import Sample, sample
from tests.oci.rogue import Answer, Exchange, Rogue, body, document, in_turn, status

EMPTY = b"{}"
SBOM, NOTE = "application/vnd.test.sbom", "application/vnd.test.note"


@pytest.fixture
def made(tmp_path: Path) -> Sample:
    """An image to refer to, its blobs in `blobs`, and the empty config of artifacts beside them."""
    image = sample(media_types=(MEDIA_LAYER_GZIP,))
    image.write_blobs(tmp_path / "blobs")
    (tmp_path / "blobs" / Digest.of(EMPTY).hex).write_bytes(EMPTY)
    return image


def artifact(subject: Descriptor, kind: str, note: str) -> bytes:
    """A manifest that refers to `subject`."""
    config = Descriptor("application/vnd.oci.empty.v1+json", Digest.of(EMPTY), len(EMPTY))
    return canonical(
        {
            "schemaVersion": 2,
            "mediaType": MEDIA_MANIFEST,
            "artifactType": kind,
            "config": descriptor_fields(config),
            "layers": [descriptor_fields(config)],
            "subject": descriptor_fields(subject),
            "annotations": {"note": note},
        }
    )


def pushed(address: str, repository: str, made: Sample, room: Path) -> Reference:
    """The image in a repository, by its digest."""
    name = Reference.parse(f"{address}/{repository}:1")
    push_image(made.image, lambda digest: room / "blobs" / digest.hex, [name], Access())
    return replace(name, tag=None, digest=made.image.manifest.digest)


# --- the tag scheme, with docker-registry ----------------------------------------------------------------------------


def test_what_refers_to_an_image_is_listed(registry: str, made: Sample, tmp_path: Path) -> None:
    """Where there is no API a tag lists it, with its type and annotations; a type chooses."""
    subject = pushed(registry, "referred", made, tmp_path)
    assert referrers_of(subject, Access()) == ()
    points = [
        put_referrer(
            subject, artifact(made.image.manifest, kind, kind), lambda digest: tmp_path / "blobs" / digest.hex, Access()
        )
        for kind in (SBOM, NOTE)
    ]
    assert [point.artifact_type for point in points] == [SBOM, NOTE]
    assert referrers_of(subject, Access()) == tuple(points)
    assert referrers_of(subject, Access(), NOTE) == (points[1],)
    assert points[0].annotations == (("note", SBOM),)


def test_the_same_is_listed_once(registry: str, made: Sample, tmp_path: Path) -> None:
    """Pushing it twice changes nothing."""
    subject = pushed(registry, "once", made, tmp_path)
    data = artifact(made.image.manifest, SBOM, "same")
    for _ in range(2):
        put_referrer(subject, data, lambda digest: tmp_path / "blobs" / digest.hex, Access())
    assert len(referrers_of(subject, Access())) == 1


def test_writers_at_the_same_time_lose_nothing(registry: str, made: Sample, tmp_path: Path) -> None:
    """Three that add to one list: all are on it in the end."""
    subject = pushed(registry, "crowded", made, tmp_path)

    def add(number: int) -> None:
        data = artifact(made.image.manifest, SBOM, str(number))
        for attempt in range(3):
            try:
                put_referrer(subject, data, lambda digest: tmp_path / "blobs" / digest.hex, Access())
                return
            except ImageError:  # docker-registry may miss for a moment a blob that another writer just puts there too
                if attempt == 2:
                    raise

    threads = [threading.Thread(target=add, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    notes = [dict(each.annotations)["note"] for each in referrers_of(subject, Access())]
    assert sorted(notes) == ["0", "1", "2"]


def test_another_subject_is_refused(registry: str, made: Sample, tmp_path: Path) -> None:
    """Before anything is sent."""
    subject = replace(Reference.parse(f"{registry}/other:1"), tag=None, digest=Digest.of(b"other"))
    with pytest.raises(ImageError, match="names another manifest as its subject, or none"):
        put_referrer(subject, artifact(made.image.manifest, SBOM, ""), lambda _: tmp_path, Access())


def test_a_tag_is_no_subject(registry: str) -> None:
    """Tags move; only a digest can be referred to."""
    with pytest.raises(ImageError, match="refers to its digest, and here is none"):
        referrers_of(Reference.parse(f"{registry}/other:1"), Access())


# --- the API, with a scripted server ---------------------------------------------------------------------------------

SUBJECT = Descriptor(MEDIA_MANIFEST, Digest.of(b"subject"), 7)
ONE = Descriptor(MEDIA_MANIFEST, Digest.of(b"one"), 3, artifact_type=SBOM)
TWO = Descriptor(MEDIA_MANIFEST, Digest.of(b"two"), 3, artifact_type=NOTE)
PATH = f"/v2/api/referrers/{SUBJECT.digest}"
TAG = f"/v2/api/manifests/{str(SUBJECT.digest).replace(':', '-')}"


def subject_at(rogue: Rogue) -> Reference:
    """The subject in the server's repository `api`."""
    return replace(Reference.parse(f"{rogue.address}/api:1"), tag=None, digest=SUBJECT.digest)


def page(*entries: Descriptor, **headers: str) -> Answer:
    """An answer of the API."""

    def answer(exchange: Exchange) -> None:
        data = write_index(entries)
        exchange.begin(200, Content_Length=len(data), Content_Type=MEDIA_INDEX, **headers)
        exchange.write(data)

    return answer


def test_the_api_is_asked_first(rogue: Rogue) -> None:
    """The tag is not looked at; a filter that the registry did not apply is applied here."""
    rogue.routes[PATH] = page(ONE, TWO)
    assert referrers_of(subject_at(rogue), Access(), SBOM) == (ONE,)
    assert [path for path, _ in rogue.requests] == [f"{PATH}?artifactType=application%2Fvnd.test.sbom"]


def test_all_pages_are_read(rogue: Rogue) -> None:
    """Link leads on, here or by a whole URL."""
    rogue.routes[PATH] = page(ONE, Link='</v2/api/more>; rel="next"')
    rogue.routes["/v2/api/more"] = page(TWO)
    assert referrers_of(subject_at(rogue), Access()) == (ONE, TWO)


def test_pages_without_an_end_are_refused(rogue: Rogue) -> None:
    """A page that leads to itself."""
    rogue.routes[PATH] = page(ONE, Link=f'<{PATH}>; rel="next"')
    with pytest.raises(ImageError, match="has no end"):
        referrers_of(subject_at(rogue), Access())
    assert len(rogue.requests) == 100


@pytest.mark.parametrize("link", ["<" * 60_000, "<>;" * 20_000])
def test_a_link_of_nonsense_costs_no_time(rogue: Rogue, link: str) -> None:
    """A header may have 64 KiB, and a pattern that reads each of them again for each would take half a minute."""
    rogue.routes[PATH] = page(ONE, Link=link)
    began = time.monotonic()
    assert referrers_of(subject_at(rogue), Access()) == (ONE,)
    assert time.monotonic() - began < 2


def test_a_page_elsewhere_is_not_followed(rogue: Rogue) -> None:
    """What is known of a registry comes from that registry."""
    rogue.routes[PATH] = page(ONE, Link='<http://127.0.0.1:1/more>; rel="next"')
    with pytest.raises(ImageError, match="is another server and is not followed"):
        referrers_of(subject_at(rogue), Access())


@pytest.mark.parametrize("number", [404, 400, 405, 501])
def test_without_the_api_the_tag_is_read(rogue: Rogue, number: int) -> None:
    """Whatever a registry answers to what it does not know."""
    rogue.routes[PATH] = status(number)
    rogue.routes[TAG] = document(write_index([ONE]), MEDIA_INDEX)
    assert referrers_of(subject_at(rogue), Access()) == (ONE,)


def test_a_page_for_people_is_no_api(rogue: Rogue) -> None:
    """200 with something else than an index: the tag is read."""
    rogue.routes[PATH] = body(b"<html>welcome</html>")
    rogue.routes[TAG] = document(write_index([ONE]), MEDIA_INDEX)
    assert referrers_of(subject_at(rogue), Access()) == (ONE,)


def test_a_registry_that_notes_the_subject_needs_no_tag(rogue: Rogue, tmp_path: Path) -> None:
    """OCI-Subject in the answer: nothing else is written."""
    (tmp_path / "empty").write_bytes(EMPTY)
    rogue.routes[f"/v2/api/blobs/{Digest.of(EMPTY)}"] = body(EMPTY)
    data = artifact(SUBJECT, SBOM, "")
    rogue.routes[f"PUT /v2/api/manifests/{Digest.of(data)}"] = status(201, OCI_Subject=str(SUBJECT.digest))
    put_referrer(subject_at(rogue), data, lambda _: tmp_path / "empty", Access())
    assert rogue.methods.count("PUT") == 1


def test_what_others_listed_stays(rogue: Rogue, tmp_path: Path) -> None:
    """Also fields that we do not know; the change is on the condition that nobody else has changed it since."""
    theirs = {**descriptor_fields(ONE), "urls": ["https://test/one"]}
    index = canonical({"schemaVersion": 2, "mediaType": MEDIA_INDEX, "manifests": [theirs], "annotations": {"a": "b"}})
    data = artifact(SUBJECT, SBOM, "")
    written: list[tuple[str, bytes]] = []

    def answer(exchange: Exchange) -> None:
        if exchange.method == "PUT":
            written.append((exchange.headers["If-Match"], exchange.read()))
        content = written[-1][1] if written else index
        exchange.send(200, content, Content_Type=MEDIA_INDEX, ETag='"v1"')

    rogue.routes[f"/v2/api/blobs/{Digest.of(EMPTY)}"] = body(EMPTY)
    rogue.routes[f"PUT /v2/api/manifests/{Digest.of(data)}"] = status(201)
    rogue.routes[TAG] = answer
    point = put_referrer(subject_at(rogue), data, lambda _: tmp_path, Access())
    ((condition, content),) = written
    assert condition == '"v1"'
    fields = json.loads(content)
    assert fields["annotations"] == {"a": "b"}
    assert fields["manifests"][0] == theirs
    assert read_index(content)[1] == point


def test_a_change_that_came_between_is_taken_in(rogue: Rogue, tmp_path: Path) -> None:
    """412: the list is read again, and ours is added to what is there now."""
    data = artifact(SUBJECT, SBOM, "")
    versions = [write_index([ONE]), write_index([ONE, TWO])]
    puts: list[bytes] = []

    def answer(exchange: Exchange) -> None:
        if exchange.method == "GET":
            return exchange.send(200, versions[0], Content_Type=MEDIA_INDEX, ETag='"x"')
        puts.append(exchange.read())
        if len(puts) == 1:
            versions.pop(0)
            return exchange.send(412)
        versions[0] = puts[-1]
        return exchange.send(201)

    rogue.routes[f"/v2/api/blobs/{Digest.of(EMPTY)}"] = body(EMPTY)
    rogue.routes[f"PUT /v2/api/manifests/{Digest.of(data)}"] = in_turn(status(201))
    rogue.routes[TAG] = answer
    point = put_referrer(subject_at(rogue), data, lambda _: tmp_path, Access())
    assert read_index(puts[-1]) == (ONE, TWO, point)


def test_an_image_under_that_tag_is_left_alone(rogue: Rogue, made: Sample, tmp_path: Path) -> None:
    """It is no list, and is not overwritten."""
    data = artifact(SUBJECT, SBOM, "")
    rogue.routes[f"/v2/api/blobs/{Digest.of(EMPTY)}"] = body(EMPTY)
    rogue.routes[f"PUT /v2/api/manifests/{Digest.of(data)}"] = status(201)
    rogue.routes[TAG] = document(made.blobs[made.image.manifest.digest], MEDIA_MANIFEST)
    with pytest.raises(ImageError, match="is no list of what refers to that digest"):
        put_referrer(subject_at(rogue), data, lambda _: tmp_path, Access())
    assert rogue.methods.count("PUT") == 1
