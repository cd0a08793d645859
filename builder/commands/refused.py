"""Options of docker, buildx, podman and buildah that are not here, each with what to do instead. A table, and nothing
else: an option that people try is refused by its name and never ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_STEP_CACHE = "steps are kept in the store; keep that directory (--root) between builds instead"
_CGROUP = "an ordinary user has no control groups; --memory and --ulimit limit a step"
_ATTEST = "attestations are not written; leave the option out"
_HOSTS = "steps see this machine's resolv.conf; --add-host adds names"
_PLATFORM = "use --platform OS/ARCH[/VARIANT]"
_BY_DEFAULT = "this is how pybuild works; leave the option out"
_SANDBOX = "every step has the same sandbox, without root; leave the option out"
_TIMES = "times of files are kept as steps leave them; leave the option out"
_VOLUME = "use RUN --mount=type=bind (with --build-context for other directories) or RUN --mount=type=cache"
_INSECURE = "--insecure-registry HOST[:PORT] says for which registries plain http or any certificate will do"
_JSON = "use --format json, and jq to choose from it"
_HISTORY = "the image's config and history are always written whole; leave the option out"

REFUSED: Final[Mapping[str, str]] = {
    "--add-history": _BY_DEFAULT,
    "--all-platforms": _PLATFORM,
    "--arch": _PLATFORM,
    "--attest": _ATTEST,
    "--build-arg-file": "give each with --build-arg NAME=VALUE",
    "--builder": "there is no daemon and so no builder to pick; leave the option out",
    "--cache-from": _STEP_CACHE,
    "--cache-to": _STEP_CACHE,
    "--cache-ttl": _STEP_CACHE,
    "--cgroup-parent": _CGROUP,
    "--cgroupns": _SANDBOX,
    "--compress": _BY_DEFAULT,
    "--compression": "it is an option of outputs: -o type=oci,dest=DIR,compression=zstd",
    "--config-file": "give the options on the command line",
    "--cpp-flag": "the Buildfile is read as it is; run cpp yourself and use -f -",
    "--cpu-period": _CGROUP,
    "--cpu-quota": _CGROUP,
    "--cpu-shares": _CGROUP,
    "--cpuset-cpus": _CGROUP + "; taskset limits the whole build",
    "--cpuset-mems": _CGROUP,
    "--debug": "set PYBUILD_DEBUG=1 for the traceback of an internal error",
    "--decryption-key": "encrypted images cannot be read",
    "--device": "devices of the host are never shown to a step",
    "--disable-compression": "it is an option of outputs: -o type=oci,dest=DIR,compression=none",
    "--dns": _HOSTS,
    "--dns-option": _HOSTS,
    "--dns-search": _HOSTS,
    "--env": "use ENV in the Buildfile, with an ARG and --build-arg where it varies",
    "--force-rm": _BY_DEFAULT,
    "--format": "it is an option of outputs: -o type=oci,dest=DIR,oci-mediatypes=false for the docker format",
    "--from": "write FROM with an ARG and give it with --build-arg, or --build-context NAME=docker-image://IMAGE",
    "--group-add": "name the groups with USER and in the image's /etc/group",
    "--hooks-dir": _SANDBOX,
    "--http-proxy": "proxies of the environment are given to steps; unset them to do without",
    "--identity-label": _BY_DEFAULT,
    "--ignorefile": "write .dockerignore, .containerignore, or <Buildfile>.dockerignore beside the Buildfile",
    "--inherit-annotations": _HISTORY,
    "--inherit-labels": _HISTORY,
    "--isolation": _SANDBOX,
    "--layer-label": "use --label NAME=VALUE",
    "--layers": _BY_DEFAULT,
    "--logfile": "redirect standard error: pybuild ... 2>FILE",
    "--manifest": "one image is built at a time; join images with: skopeo, or podman manifest",
    "--memory-swap": _CGROUP,
    "--no-cache-filter": "use --no-cache, or change the step",
    "--no-hostname": _SANDBOX,
    "--no-hosts": _SANDBOX,
    "--omit-history": _HISTORY,
    "--os": _PLATFORM,
    "--os-feature": _PLATFORM,
    "--os-version": _PLATFORM,
    "--policy": "check the base with other tools before the build",
    "--print": "only builds can be asked for; leave the option out",
    "--provenance": _ATTEST,
    "--pull-always": "use --pull",
    "--pull-never": "bases that are here are used unless --pull is given",
    "--retry": "leave the option out",
    "--retry-delay": "leave the option out",
    "--rewrite-timestamp": _TIMES,
    "--rm": _BY_DEFAULT,
    "--runtime": _SANDBOX,
    "--runtime-flag": _SANDBOX,
    "--save-stages": "build each with --target STAGE -t NAME",
    "--sbom": _ATTEST,
    "--security-opt": "use --no-new-privileges, or --security nested for sandboxes in a step",
    "--shm-size": "use RUN --mount=type=tmpfs,target=/dev/shm,size=SIZE in the Buildfile",
    "--sign-by": _ATTEST,
    "--skip-unused-stages": _BY_DEFAULT,
    "--source-date-epoch": _TIMES,
    "--squash": "copy the result onto scratch in a last stage: FROM scratch, COPY --from=STAGE / /",
    "--squash-all": "copy the result onto scratch in a last stage: FROM scratch, COPY --from=STAGE / /",
    "--stdin": "steps have no standard input",
    "--storage-driver": "the store finds out by itself what the kernel allows; leave the option out",
    "--storage-opt": "the store finds out by itself what the kernel allows; leave the option out",
    "--stream": _BY_DEFAULT,
    "--timestamp": _TIMES,
    "--tls-verify": _INSECURE,
    "--unsetannotation": _HISTORY,
    "--unsetenv": "set it to nothing with ENV in the Buildfile",
    "--unsetlabel": "set it to nothing with --label NAME=",
    "--userns": _SANDBOX,
    "--userns-gid-map": _SANDBOX,
    "--userns-gid-map-group": _SANDBOX,
    "--userns-uid-map": _SANDBOX,
    "--userns-uid-map-user": _SANDBOX,
    "--variant": _PLATFORM,
    "--volume": _VOLUME,
    "-D": "set PYBUILD_DEBUG=1 for the traceback of an internal error",
    "-c": _CGROUP,
    "-e": "use ENV in the Buildfile, with an ARG and --build-arg where it varies",
    "-v": _VOLUME,
}

COMMON: Final[Mapping[str, str]] = {
    "--debug": REFUSED["--debug"],
    "--dest-tls-verify": _INSECURE,
    "--src-tls-verify": _INSECURE,
    "--tls-verify": _INSECURE,
    "-D": REFUSED["-D"],
}
"""Those that all other commands are asked for."""

OF_COMMANDS: Final[Mapping[str, Mapping[str, str]]] = {
    "copy": {
        "--multi-arch": "--all copies every platform, --platform one",
        "--preserve-digests": "digests change only where --format changes the media types; leave the option out",
    },
    "history": {"--human": _BY_DEFAULT, "--quiet": _JSON, "-H": _BY_DEFAULT, "-q": _JSON},
    "images": {
        "--all": "all images with a name are listed; `pybuild du -v` lists everything",
        "--digests": "digests are always shown; leave the option out",
        "--filter": "give a NAME, which may hold * and ?, or use --format json and jq",
        "--noheading": _JSON,
        "--sort": "the latest come first; use --format json and jq for another order",
        "-a": "all images with a name are listed; `pybuild du -v` lists everything",
    },
    "inspect": {"--raw": "`skopeo inspect --raw` prints a manifest", "--type": "leave the option out", "-f": _JSON},
    "login": {"--creds": "use -u USER --password-stdin", "--get-login": "the file of logins can be read"},
    "logout": {"--cert-dir": "nothing is asked of the registry; leave the option out"},
    "prune": {
        "--build": _BY_DEFAULT,
        "--external": _BY_DEFAULT,
        "--volumes": "there are no volumes; --type caches removes what RUN --mount=type=cache keeps",
    },
    "pull": {
        "--all-tags": "pull each by its name; `skopeo list-tags` lists them",
        "--policy": "pull always asks the registry; a build does with --pull alone",
        "-a": "pull each by its name; `skopeo list-tags` lists them",
    },
    "push": {
        "--all": "use --all-tags; an index is always pushed with all that it leads to",
        "--compression-format": "build with -o type=image,push=true,compression=zstd",
        "--sign-by": _ATTEST,
        "-f": "use --format docker or --format oci",
    },
    "rmi": {
        "--all": "pybuild rmi $(pybuild images -q --no-trunc) --force",
        "--no-prune": "what other images or the step cache need always stays; leave the option out",
        "-a": "pybuild rmi $(pybuild images -q --no-trunc) --force",
    },
    "save": {"--compress": _BY_DEFAULT, "--multi-image-archive": _BY_DEFAULT, "-m": _BY_DEFAULT},
}
"""Those that are asked of single commands."""


def refusal_of(command: str, option: str) -> str | None:
    """What to do instead of an option that a command does not have; None for one that nobody knows."""
    if command == "build":
        return REFUSED.get(option)
    return OF_COMMANDS.get(command, {}).get(option) or COMMON.get(option)
