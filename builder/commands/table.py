"""Every command but `build`, as one table: what click makes of it, what the help says, and the module that does it.

A new command is a row here and a module of its own with `run(line: Line, caller: Caller) -> int`. No click here.
"""

from __future__ import annotations

import importlib

from builder.commands.caller import Caller
from builder.commands.line import Line
from builder.commands.options import CONNECTION, LIMIT, OPTIONS, ROOT, Group, Option
from builder.declare import dataclass


@dataclass(frozen=True, slots=True)
class Word:
    """An argument: its name, whether there may be several, whether it may be left out, and how the help calls it
    where that is not its name.
    """

    name: str
    several: bool = False
    optional: bool = False
    title: str = ""

    @property
    def shown(self) -> str:
        """How people see it."""
        return self.title or self.name

    @property
    def key(self) -> str:
        """Where a Line has it."""
        return self.name.lower().replace("-", "_")


@dataclass(frozen=True, slots=True)
class Command:
    """A command. `name` may be two words (`store check`); `module` is in builder.commands.

    With `verbatim` all that follows the first word is the words', options included. Help lists `options` in this order.
    """

    name: str
    summary: str
    text: str
    module: str
    words: tuple[Word, ...] = ()
    options: tuple[Option, ...] = ()
    verbatim: bool = False

    @property
    def usage(self) -> str:
        """The line of use, without the program's name."""
        words = [_shown(word) for word in self.words]
        return " ".join([self.name, *(["[OPTIONS]"] if self.options and not self.verbatim else []), *words])


def carry_out(row: Command, line: Line, caller: Caller) -> int:
    """Do what a line of this command says; its exit code. Raises what the command raises."""
    if LIMIT.key in line.values:
        from builder.commands.limits import enforce_limits

        enforce_limits(line.texts(LIMIT.key), caller)
    module = importlib.import_module(f"builder.commands.{row.module}")
    status: int = module.run(line, caller)
    return status


def _shown(word: Word) -> str:
    text = f"{word.shown} ..." if word.several else word.shown
    return f"[{text}]" if word.optional else text


FORMAT = Option(("--format",), Group.OTHER, "table (default), or json for programs", "FORM")
PLATFORM = Option(("--platform",), Group.OTHER, "OS/ARCH[/VARIANT] (default: this machine's)", "PLATFORM")
QUIET = Option(("-q", "--quiet"), Group.OTHER, "no progress")
NO_TRUNC = Option(("--no-trunc",), Group.OTHER, "cut nothing on a terminal")
_IMAGE = (
    "IMAGE is a name in the store, a digest or the beginning of one, docker://NAME, oci:DIR[:TAG], oci-archive:FILE or "
    "docker-archive:FILE."
)
AUTHFILE = Option(("--authfile",), Group.CONNECTION, "the file of logins to change", "FILE")

BUILD = Command("build", "build an image (the default command)", "", "build", (Word("CONTEXT"),), OPTIONS)

COMMANDS: tuple[Command, ...] = (
    Command(
        "images",
        "list the images of the store",
        "List the named images of the store, the latest first. NAME chooses: with its tag or with any, or by a pattern "
        "such as 'team/*'. SHARED is what other images hold too, UNIQUE what no other does. An image with several "
        "names is one image: all of its names show the same, and removing one of them frees nothing.",
        "images",
        (Word("NAME", optional=True),),
        (
            Option(("-q", "--quiet"), Group.OTHER, "print nothing but digests"),
            Option(("--no-trunc",), Group.OTHER, "cut nothing; with -q whole digests"),
            FORMAT,
            ROOT,
        ),
    ),
    Command(
        "inspect",
        "show an image's config and layers",
        "Show the config of images, and their layers with their sizes and the instruction that made each. " + _IMAGE,
        "inspect",
        (Word("IMAGE", several=True),),
        (FORMAT, PLATFORM, *CONNECTION, ROOT),
    ),
    Command(
        "history",
        "show what made an image",
        "Show what made an image, the latest first. " + _IMAGE,
        "history",
        (Word("IMAGE"),),
        (NO_TRUNC, FORMAT, PLATFORM, *CONNECTION, ROOT),
    ),
    Command(
        "ls",
        "list files of an image",
        "List a directory of an image, or a file, without unpacking anything. PATH begins with a slash; links in it "
        "are followed inside of the image. " + _IMAGE,
        "ls",
        (Word("IMAGE-PATH", title="IMAGE[:PATH]"),),
        (
            Option(("-l", "--long"), Group.OTHER, "mode, owner, size, time (UTC), and where links lead"),
            Option(("-R", "--recursive"), Group.OTHER, "all that is below, by whole paths"),
            Option(("-d", "--directory"), Group.OTHER, "a directory or a link itself"),
            Option(("-a", "--all"), Group.OTHER, "nothing: names with a dot are always listed"),
            Option(("--names",), Group.OTHER, "with -l: owners as the image names them"),
            Option(("--layers",), Group.OTHER, "which layer has it, and what made that"),
            FORMAT,
            PLATFORM,
            *CONNECTION,
            ROOT,
        ),
    ),
    Command(
        "cat",
        "write out files of an image",
        "Write files of images to standard output, one after the other. PATH begins with a slash; links are followed "
        "inside of the image. " + _IMAGE,
        "cat",
        (Word("IMAGE-PATH", several=True, title="IMAGE:PATH"),),
        (PLATFORM, *CONNECTION, ROOT),
    ),
    Command(
        "diff",
        "compare the files of two images",
        "Show which files were added (A), changed (C) and removed (D) from image A to image B, and by how many bytes. "
        "Times of modification are left out unless asked for. " + _IMAGE.replace("IMAGE is", "An image is"),
        "diff",
        (Word("A"), Word("B")),
        (
            Option(("--content-only",), Group.OTHER, "only contents, kinds and where links lead"),
            Option(("--times",), Group.OTHER, "times of modification too"),
            Option(("--exit-code",), Group.OTHER, "end with 1 where there are differences"),
            FORMAT,
            PLATFORM,
            *CONNECTION,
            ROOT,
        ),
    ),
    Command(
        "tag",
        "give an image further names",
        "Give an image of the store further names; a name that another image has moves. SOURCE is a name or a digest.",
        "tag",
        (Word("SOURCE"), Word("TARGET", several=True)),
        (ROOT,),
    ),
    Command(
        "rmi",
        "remove images",
        "Take names from images. With its last name an image goes, but for what the step cache or other images need "
        "and what a running build uses. IMAGE is a name, a digest, or the beginning of one.",
        "rmi",
        (Word("IMAGE", several=True),),
        (Option(("-f", "--force"), Group.OTHER, "all names of a digest; what is missing is no error"), ROOT),
    ),
    Command(
        "prune",
        "remove what is no longer needed",
        "Remove what nothing leads to any more, and as much of the cache as asked for; images with names stay. It may "
        "run beside builds: what they use stays. KIND is steps, bases, variants, snapshots, caches, fingerprints, "
        "builds or leftovers; alone it removes all of that kind.",
        "prune",
        (),
        (
            Option(("-a", "--all"), Group.OTHER, "all cache that no named image needs"),
            Option(("--older-than",), Group.OTHER, "cache not used for so long, such as 7d or 12h", "TIME"),
            Option(
                ("--max-used-space", "--reserved-space", "--keep-storage"),
                Group.OTHER,
                "the least recently used cache, until the store is that small",
                "SIZE",
            ),
            Option(("--type",), Group.OTHER, "only these kinds", "KIND", True),
            Option(("--filter",), Group.OTHER, "until=TIME or type=KIND, as docker has it", "FILTER", True),
            Option(("--dry-run",), Group.OTHER, "only say what would go"),
            Option(("-f", "--force"), Group.OTHER, "nothing: prune never asks"),
            ROOT,
        ),
    ),
    Command(
        "builds",
        "list the latest builds",
        "List the latest builds, or show one: its steps, and with the network `proxy` every host and URL that each has "
        "talked to. ID is the beginning or the end of one; without it the latest build is shown. Builds that did no "
        "step (all of it was cached) are not kept.",
        "builds",
        (Word("SHOW", optional=True, title="show"), Word("ID", optional=True)),
        (FORMAT, ROOT),
    ),
    Command(
        "du",
        "show what takes room in the store",
        "Show what takes room in the store, by kind as `pybuild prune --type` takes them, and how much of it `pybuild "
        "prune --all` would give back. ENTRIES are files and directories of the store. A size with > in front is at "
        "least that: some directories can only be entered in the namespace.",
        "du",
        (),
        (Option(("-v", "--verbose"), Group.OTHER, "thing by thing"), FORMAT, ROOT),
    ),
    Command(
        "pull",
        "fetch images into the store",
        "Fetch images into the store, under their names, and print their digests. NAME is a registry's image, or "
        "oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME].",
        "pull",
        (Word("NAME", several=True),),
        (QUIET, PLATFORM, *CONNECTION, ROOT),
    ),
    Command(
        "push",
        "send images to registries",
        "Send an image of the store to a registry, and print its digest. DESTINATION is REGISTRY/NAME[:TAG]; without "
        "it the image goes where its name says. What the registry has is not sent.",
        "push",
        (Word("NAME"), Word("DESTINATION", optional=True)),
        (
            Option(("-a", "--all-tags"), Group.OTHER, "all images of the store called NAME, whatever their tag"),
            Option(("--digestfile",), Group.OTHER, "write the digest there", "FILE"),
            Option(("--format",), Group.OTHER, "media types: oci or docker (default: as they are)", "KIND"),
            QUIET,
            *CONNECTION,
            ROOT,
        ),
    ),
    Command(
        "copy",
        "copy an image from anywhere to anywhere",
        "Copy an image, and print the digest that it has at its destination. SRC is an image of the store, else of a "
        "registry, or begins with its transport; so does DST: docker://NAME, store:NAME, oci:DIR[:TAG], "
        "oci-archive:FILE[:TAG], docker-archive:FILE[:NAME:TAG]. A FILE of - is standard output.",
        "copy",
        (Word("SRC"), Word("DST")),
        (
            Option(("-a", "--all"), Group.OTHER, "every platform of it, byte by byte"),
            PLATFORM,
            Option(("--format",), Group.OTHER, "media types: oci or docker (default: as they are)", "KIND"),
            QUIET,
            Option(("--src-creds",), Group.CONNECTION, "log in at SRC's registry so", "USER[:PASSWORD]"),
            Option(("--dest-creds",), Group.CONNECTION, "log in at DST's registry so", "USER[:PASSWORD]"),
            *CONNECTION,
            ROOT,
        ),
    ),
    Command(
        "save",
        "write images of the store to an archive",
        "Write images of the store to one archive, which `docker load`, `podman load` and `pybuild load` take. NAME "
        "is a name in the store, a digest or the beginning of one.",
        "save",
        (Word("NAME", several=True),),
        (
            Option(("-o", "--output"), Group.OTHER, "the file (default: standard output)", "FILE"),
            Option(("--format",), Group.OTHER, "docker (default) or oci", "KIND"),
            PLATFORM,
            ROOT,
        ),
    ),
    Command(
        "load",
        "take images of an archive into the store",
        "Take every image of an archive of docker or podman, of an OCI archive or of a layout's directory into the "
        "store, under the names that it has there. It may be compressed.",
        "load",
        (),
        (
            Option(("-i", "--input"), Group.OTHER, "the file or directory (default: standard input)", "FILE"),
            QUIET,
            PLATFORM,
            LIMIT,
            ROOT,
        ),
    ),
    Command(
        "store check",
        "look for damage in the store",
        "Look for damage in the store. The exit code is 7 if there is any.",
        "check",
        (),
        (ROOT,),
    ),
    Command(
        "login",
        "log in to a registry",
        "Log in to a registry: the login is tried there, and then kept where docker and podman find it too. HOST is "
        "HOST[:PORT], or HOST/PATH for a part of it; without HOST it is docker.io.",
        "login",
        (Word("HOST", optional=True),),
        (
            Option(("-u", "--username"), Group.CONNECTION, "the user's name", "USER"),
            Option(("--password-stdin",), Group.CONNECTION, "the password is a line of standard input"),
            Option(("-p", "--password"), Group.CONNECTION, "the password, for all on this machine to see", "PASSWORD"),
            AUTHFILE,
            *CONNECTION[2:-1],
        ),
    ),
    Command(
        "logout",
        "forget a login",
        "Forget the login for a registry, or with --all every login of the file. Without HOST it is docker.io.",
        "logout",
        (Word("HOST", optional=True),),
        (Option(("-a", "--all"), Group.CONNECTION, "all logins of the file"), AUTHFILE),
    ),
    Command(
        "config",
        "print the settings in force, and from where",
        "Print every setting in force, its value, and who says so: a line of a file, a variable, the command line, or "
        "the default. The configuration file is $PYBUILD_CONFIG; where that is not set, /etc/pybuild/config.toml, and "
        "over it, key by key, pybuild/config.toml in $XDG_CONFIG_HOME (~/.config). It is TOML; docs/configuration.md "
        "has all keys.",
        "config",
        (),
        (FORMAT, ROOT),
    ),
    Command(
        "unshare",
        "run a command in the user namespace",
        "Run a command, or your shell, as root of the user namespace that builds use, to look at or remove files that "
        "belong to subordinate ids. The exit code is the command's.",
        "unshare",
        (Word("COMMAND", several=True, optional=True),),
        verbatim=True,
    ),
)
