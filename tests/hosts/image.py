# SPDX-License-Identifier: GPL-3.0-or-later
"""The root file systems of the hosts, and the packages that roles install on them: made once, kept between runs and checkouts.

`bare` is a Debian with Python and SSH. `kerio` is a layer above it with what the lab's double needs. What is kept is known by
what it is made of, this file included, so a change makes it anew; to make all of it takes about a minute.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
import typing as t
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab.playbooks import ROOT

CLOCK = Path(__file__).with_name("clock.c")
REQUIREMENTS = ROOT / "roles" / "archive_host" / "files" / "requirements.txt"
# Hosts and packages are asked for by these names, see network.py.
PACKAGE_HOST = "packages"
ADMINISTRATOR = "deploy"
BARE = ("systemd", "systemd-sysv", "dbus", "openssh-server", "python3", "sudo", "iproute2", "procps")
KERIO = ("dovecot-imapd",)
# What may be installed later: python3-apt by the module `apt` itself, the rest by roles.
OFFERED = ("python3-apt", "python3-venv", "python3-packaging", "python3-setuptools", "dovecot-imapd", "dovecot-auth-lua",
           "lua-socket", "lua-sec", "ca-certificates", "zstd", "git", "logrotate", "cron", "gnupg", "rsync")  # fmt: skip
RELEASE = "bookworm"
UNUSED_SECONDS = 7 * 86400
UNWANTED_UNITS = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "systemd-networkd-wait-online.service",
)
FILES = {
    "etc/apt/sources.list": f"deb [trusted=yes] http://{PACKAGE_HOST}/debian ./\n",
    "etc/pip.conf": f"[global]\nindex-url = http://{PACKAGE_HOST}/simple\ntrusted-host = {PACKAGE_HOST}\n",
    "etc/dpkg/dpkg.cfg.d/unsafe-io": "force-unsafe-io\n",
    "etc/sudoers.d/administrator": f"{ADMINISTRATOR} ALL=(ALL) NOPASSWD: ALL\n",
    "etc/ssh/sshd_config.d/lab.conf": "UseDNS no\nPasswordAuthentication no\nPermitRootLogin no\n",
    "etc/machine-id": "",
}


class ImageError(Exception):
    """An image cannot be made; the text says why."""


@dataclass(frozen=True)
class Image:
    """Folders: two layers, a Debian repository, and an index for pip; and the library of a wrong clock."""

    bare: Path
    kerio: Path
    debian: Path
    index: Path
    clock: Path


def cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(base or Path("/var") / "cache") / "kerio-archive-tests"


def image() -> Image:
    """What is kept, made first if it is not there. Who comes meanwhile waits."""
    folder = cache()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        system = _kept(folder / f"system-{_key(Path(__file__).read_bytes(), CLOCK.read_bytes())}", _make_system)
        index = _kept(folder / f"index-{_key(REQUIREMENTS.read_bytes())}", _make_index)
    return Image(system / "bare", system / "kerio", system / "debian", index, system / "clock.so")


def _key(*contents: bytes) -> str:
    return hashlib.sha256(b"\0".join(contents)).hexdigest()[:16]


def _kept(folder: Path, make: Callable[[Path], None]) -> Path:
    """The folder, complete: made under another name until then."""
    if not folder.exists():
        unfinished = folder.with_suffix(".new")
        if unfinished.exists():
            shutil.rmtree(unfinished)
        unfinished.mkdir()
        make(unfinished)
        unfinished.rename(folder)
        _forget_old(folder.parent)
    os.utime(folder)
    return folder


def _forget_old(kept: Path) -> None:
    """What no checkout has used for some time."""
    for folder in (path for path in kept.iterdir() if path.is_dir()):
        if time.time() - folder.stat().st_mtime > UNUSED_SECONDS:
            shutil.rmtree(folder)


def run(*words: str | Path, **how: t.Any) -> str:
    """What a program prints; raises ImageError with its last lines."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, **how)
    if done.returncode:
        raise ImageError(f"{' '.join(map(str, words[:3]))}: {(done.stderr or done.stdout).strip()[-1500:]}")
    return str(done.stdout)


# -- packages of Debian -------------------------------------------------------------------------------------------------------


def _sources() -> list[str]:
    """Where apt gets Debian from on this machine, as lines of a sources.list."""
    wanted = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(ORIGIN)"
    found = run("apt-get", "indextargets", "--format", wanted, "Created-By: Packages").splitlines()
    lines = [f"deb {uri} {release} {component}" for uri, release, component, origin in (line.split("|") for line in found)
             if origin == "Debian" and release.startswith(RELEASE)]  # fmt: skip
    if not lines:
        raise ImageError(f"apt knows no mirror of Debian {RELEASE}: say apt-get update first")
    return list(dict.fromkeys(lines))


def _apt_options() -> list[str]:
    """How this machine's apt gets files (proxy, checks of dates), for that of mmdebstrap."""
    settings = run("apt-config", "dump", "Acquire").splitlines()
    wanted = re.compile(r'Acquire::(http|https|Check-[A-Za-z-]+|Retries)\b.* "[^"]+";')
    return [f"--aptopt={line}" for line in settings if wanted.match(line)]


def _make_system(folder: Path) -> None:
    bare, debian = folder / "bare", folder / "debian"
    (debian / "partial").mkdir(parents=True)
    (folder / "sources.list").write_text("\n".join(_sources()) + "\n", encoding="utf-8")
    download = (
        f'APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get --yes -qq --no-install-recommends --download-only'
        f" -oDir::Cache::Archives={debian} install {' '.join(OFFERED)}"
    )
    words = ["mmdebstrap", "--quiet", "--variant=apt", f"--include={','.join(BARE)}", *_apt_options()]
    words += ["--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/doc/*"]
    run(*words, f"--customize-hook={download}", RELEASE, bare, folder / "sources.list")
    (folder / "sources.list").unlink()
    _describe(debian)
    _furnish(bare)
    _make_kerio(folder)
    run("gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", folder / "clock.so", CLOCK)


def _describe(debian: Path) -> None:
    """Packages, the list of a repository that is one folder."""
    shutil.rmtree(debian / "partial")
    entries = []
    for package in sorted(debian.glob("*.deb")):
        content = package.read_bytes()
        place = f"Filename: ./{package.name}\nSize: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n"
        entries.append(run("dpkg-deb", "--field", package) + place)
    (debian / "Packages").write_text("\n".join(entries), encoding="utf-8")
    (debian / "lock").unlink(missing_ok=True)


def _furnish(root: Path) -> None:
    """An administrator who logs in with a key that is put there later, and nothing that starts by itself."""
    run("chroot", root, "useradd", "--create-home", "--shell", "/bin/bash", ADMINISTRATOR)
    for name, text in FILES.items():
        (root / name).write_text(text, encoding="utf-8")
    (root / "etc/sudoers.d/administrator").chmod(0o440)
    for unit in UNWANTED_UNITS:
        (root / "etc/systemd/system" / unit).symlink_to("/dev/null")
    for leftover in [*root.glob("etc/ssh/ssh_host_*"), *root.glob("etc/apt/sources.list.d/*"), root / "usr/sbin/policy-rc.d"]:
        leftover.unlink(missing_ok=True)


def _make_kerio(folder: Path) -> None:
    """Only the layer; the packages' own services neither start now nor at boot."""
    with overlay(folder / "merged", folder / "kerio", [folder / "bare"]) as root:
        (root / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
        (root / "usr/sbin/policy-rc.d").chmod(0o755)
        packages = [package.resolve() for package in (folder / "debian").glob("*.deb")]
        (root / "mnt/debian").mkdir()
        for package in [*packages, folder / "debian/Packages"]:
            shutil.copy(package, root / "mnt/debian")
        apt = ("-oDir::Etc::SourceList=/mnt/sources.list", "-qq", "--yes", "--no-install-recommends")
        (root / "mnt/sources.list").write_text("deb [trusted=yes] file:/mnt/debian ./\n")
        run("chroot", root, "apt-get", *apt, "update")
        run("chroot", root, "apt-get", *apt, "install", *KERIO, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
        for unit in ("dovecot.service", "dovecot.socket"):
            run("chroot", root, "systemctl", "mask", unit)
        shutil.rmtree(root / "mnt/debian")
        (root / "mnt/sources.list").unlink()
        for name in ("var/lib/apt/lists", "var/cache/apt"):
            shutil.rmtree(root / name)
            (root / name).mkdir()


@contextlib.contextmanager
def overlay(place: Path, upper: Path, lower: Sequence[Path]) -> Iterator[Path]:
    """Layers as one tree at `place`, the topmost of `lower` first; what is written goes to `upper`."""
    mount_overlay(place, upper, lower)
    try:
        yield place
    finally:
        run("umount", place)
        place.rmdir()
        shutil.rmtree(work_folder(upper))


def mount_overlay(place: Path, upper: Path, lower: Sequence[Path]) -> None:
    for folder in (place, upper, work_folder(upper)):
        folder.mkdir(parents=True, exist_ok=True)
    layers = f"lowerdir={':'.join(map(str, lower))},upperdir={upper},workdir={work_folder(upper)}"
    run("mount", "-t", "overlay", "overlay", "-o", layers, place)


def work_folder(upper: Path) -> Path:
    return upper.with_name(f"{upper.name}.work")


# -- packages of Python -------------------------------------------------------------------------------------------------------


def _make_index(folder: Path) -> None:
    """A folder for each library, which a plain web server shows as pip wants it."""
    words = ("--quiet", "--disable-pip-version-check", "--only-binary=:all:", "--python-version=3.11", "--dest", folder)
    run(sys.executable, "-m", "pip", "download", *words, "--requirement", REQUIREMENTS)
    for wheel in list(folder.glob("*.whl")):
        name = re.sub(r"[-_.]+", "-", wheel.name.split("-")[0]).lower()
        (folder / name).mkdir(exist_ok=True)
        wheel.rename(folder / name / wheel.name)
