"""One `-o` as it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.commands.output_kinds import STDOUT, check_level, read_output
from builder.errors import UsageError
from builder.values.compression import LEVELS, Compression
from builder.values.output import (
    Annotation,
    DockerOutput,
    ImageOptions,
    ImageOutput,
    LocalOutput,
    MediaTypes,
    OciArchiveOutput,
    OciOutput,
    Output,
    PushBy,
    PushOutput,
    TarOutput,
)
from builder.values.reference import Reference

A, B = Reference.parse("a:1"), Reference.parse("localhost:5000/b")


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("out", LocalOutput(Path("out"))),
        ("-", TarOutput(STDOUT)),
        ("type=local,dest=out", LocalOutput(Path("out"))),
        ("type=local,dest=out,platform-split=true", LocalOutput(Path("out"), by_platform=True)),
        ("type=local,dest=out,platform-split=false", LocalOutput(Path("out"))),
        ("type=tar,dest=out.tar", TarOutput(Path("out.tar"))),
        ("type=tar", TarOutput(STDOUT)),
        ("type=tar,dest=-", TarOutput(STDOUT)),
        ("type=oci,dest=out", OciOutput(Path("out"))),
        ("type=oci,dest=out.tar", OciArchiveOutput(Path("out.tar"))),
        ("type=oci,dest=out.tar,tar=false", OciOutput(Path("out.tar"))),
        ("type=oci,dest=out,tar=true", OciArchiveOutput(Path("out"))),
        ("type=oci,dest=-", OciArchiveOutput(STDOUT)),
        ("type=oci", OciArchiveOutput(STDOUT)),
        ("dest=a b,TYPE=oci", OciOutput(Path("a b"))),
        ('type=oci,"dest=a,b"', OciOutput(Path("a,b"))),
        ("type=oci,dest=a=b", OciOutput(Path("a=b"))),
        ('type=oci,dest=out,"name=a:1,localhost:5000/b"', OciOutput(Path("out"), (A, B))),
        ("type=docker", ImageOutput()),
        ("type=docker,dest=out.tar", DockerOutput(Path("out.tar"))),
        ("type=docker,dest=-,name=a:1", DockerOutput(STDOUT, (A,))),
        ("type=docker,dest=out,tar=false", OciOutput(Path("out"))),
        ("type=image", ImageOutput()),
        ("type=image,name=a:1,store=true,unpack=false", ImageOutput((A,))),
        ("type=image,name=a:1,push=true", PushOutput((A,))),
        ("type=image,name=a:1,push=true,registry.insecure=true", PushOutput((A,), insecure=True)),
        ("type=registry,name=a:1", PushOutput((A,))),
        ("type=registry,name=a:1,push=false", ImageOutput((A,))),
        (
            "type=image,name=a:1,push-by-digest=true,name-canonical=true,push=true",
            PushOutput((A,), by=PushBy.DIGEST),
        ),
        ("type=cacheonly", None),
    ],
)
def test_kinds(text: str, output: Output | None) -> None:
    """Each type has its kind; a path alone is a directory for files, and `-` their tar; quoting is that of CSV."""
    assert read_output(text) == output


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("compression=zstd", ImageOptions(Compression.ZSTD)),
        ("compression=uncompressed", ImageOptions(Compression.NONE)),
        ("compression=gzip,compression-level=9", ImageOptions(Compression.GZIP, 9)),
        ("compression-level=9", ImageOptions(level=9)),
        ("compression=zstd,force-compression=true", ImageOptions(Compression.ZSTD, force=True)),
        ("force-compression=1", ImageOptions(force=True)),
        ("oci-mediatypes=false", ImageOptions(media_types=MediaTypes.DOCKER)),
        ("oci-mediatypes=true", ImageOptions()),
        ("annotation.Org.X=1", ImageOptions(annotations=(Annotation("Org.X", "1"),))),
    ],
)
def test_options(text: str, options: ImageOptions) -> None:
    """An output that holds an image says how it differs; a name of an annotation keeps its case."""
    assert read_output(f"type=oci,dest=x,{text}") == OciOutput(Path("x"), (), options)
    assert read_output(f"type=image,{text}") == ImageOutput((), options)


@pytest.mark.parametrize(
    ("text", "named", "hint"),
    [
        ("dest=x", "type is missing", "type=oci|docker|local|tar|image|registry"),
        ("", "empty", "type=oci"),
        ("type=ocy,dest=x", "type=ocy", "did you mean oci?"),
        ("type=local", "dest is missing", "type=local,dest=DIR"),
        ("type=local,dest=-", "standard output", "type=local,dest=DIR"),
        ("type=local,dest=x,compression=zstd", "'compression'", "type=local has dest"),
        ("type=oci,dest=x,compresion=zstd", "'compresion'", "did you mean compression?"),
        ("type=oci,dest=x,push=true", "'push'", "type=oci has"),
        ("type=oci,dest=x,tar=perhaps", "tar=perhaps", "tar=true"),
        ("type=oci,dest=-,tar=false", "standard output", "dest=DIR"),
        ("type=docker,tar=false", "dest is missing", "dest=DIR"),
        ("type=oci,dest=x,dest=y", "twice", "-o"),
        ("type=oci,x", "field 2", "-o"),
        ('type=oci,"dest=x', "quotes", "-o"),
        ("type=oci,dest=x,compression=estargz", "estargz", "gzip, zstd or none"),
        ("type=oci,dest=x,compression=zstd,compression-level=23", "level of zstd", "1 to 22"),
        ("type=oci,dest=x,compression=gzip,compression-level=10", "level of gzip", "0 to 9"),
        ("type=oci,dest=x,compression=none,compression-level=1", "level of none", "leave it out"),
        ("type=oci,dest=x,compression-level=fast", "fast is not a number", "NUMBER"),
        ("type=oci,dest=x,compression-level=-1", "-1 is not a number", "NUMBER"),
        ("type=oci,dest=x,compression=zstd,oci-mediatypes=false", "zstd does not go with", "one of them"),
        ("type=oci,dest=x,name=UPPER", "UPPER", "NAME[:TAG]"),
        (f"type=oci,dest=x,name=a@sha256:{'0' * 64}", "digest", "NAME[:TAG]"),
        ("type=image,store=false", "store", "kept in the store"),
        ("type=image,unpack=true", "unpack", "leave it out"),
        ("type=image,rewrite-timestamp=true", "rewrite-timestamp", "leave it out"),
        ("type=image,dangling-name-prefix=x", "dangling-name-prefix", "leave it out"),
        ("type=image,push-by-digest=true,push=true", "push-by-digest needs", "name="),
        ("type=tar,dest=x,platform-split=true", "platform-split", "leave it out"),
        ("type=cacheonly,dest=x", "'dest'", "no keys"),
    ],
)
def test_what_is_refused(text: str, named: str, hint: str) -> None:
    """What is not there is named, and the hint says what is."""
    with pytest.raises(UsageError) as caught:
        read_output(text)
    assert caught.value.message.startswith("-o/--output:") and named in caught.value.message
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize("compression", list(Compression))
def test_levels(compression: Compression) -> None:
    """Every level of a compression is taken, those beside them are not."""
    for level in LEVELS[compression]:
        check_level(level, compression)
    for level in (-1, LEVELS[compression].stop):
        with pytest.raises(UsageError, match=compression.value):
            check_level(level, compression)
