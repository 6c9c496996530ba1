# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's checkout: what is run, and what is refused, with real repositories and signatures."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from standalone.kerio_enforce import checkout as module
from standalone.kerio_enforce.checkout import Git
from standalone.kerio_enforce.problem import EnforceError
from tests.unit.standalone.enforce_scene import Scene, git, ssh_key


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The key of somebody who may, and one of somebody who may not."""
    folder = tmp_path_factory.mktemp("keys")
    return ssh_key(folder / "ops.key"), ssh_key(folder / "mallory.key")


def refused(scene: Scene, kind: str, **more: object) -> str:
    """The sentence; nothing of the repository has changed in the checkout."""
    before = Git(scene.config()).ok("rev-parse", "--verify", "--quiet", "HEAD")
    with pytest.raises(EnforceError) as caught:
        scene.update(**more)
    assert caught.value.kind == kind, caught.value
    assert Git(scene.config()).ok("rev-parse", "--verify", "--quiet", "HEAD") == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_first_time_and_every_time_it_is_what_the_branch_has(scene: Scene) -> None:
    first = scene.commit(site="one")
    found = scene.update()
    assert (found.commit, found.fetched, found.verified, found.warnings) == (first, True, False, [])
    assert found.committed == int(git(scene.work, "log", "-1", "--format=%ct"))
    second = scene.commit(site="two")
    assert scene.update().commit == second == scene.update().commit
    assert (scene.checkout / "playbooks/site.yml").read_text() == "two"


@pytest.mark.parametrize("kind", ["branch", "annotated tag", "plain tag"])
def test_what_is_signed_by_who_may_is_run(scene: Scene, keys: tuple[Path, Path], kind: str) -> None:
    scene.trust(keys[0])
    commit = scene.commit(keys[0], site="one")
    version = "main" if kind == "branch" else "v1"
    if kind != "branch":
        scene.tag("v1", keys[0] if kind == "annotated tag" else None, "One" if kind == "annotated tag" else "")
    found = scene.update(version=version)
    assert (found.commit, found.verified) == (commit, True)


@pytest.mark.parametrize("signer", [None, 1], ids=["unsigned", "wrong key"])
def test_what_is_not_signed_by_who_may_is_refused_and_what_was_there_stays(
    scene: Scene, keys: tuple[Path, Path], signer: int | None
) -> None:
    scene.trust(keys[0])
    good = scene.commit(keys[0], site="one")
    scene.update()
    bad = scene.commit(None if signer is None else keys[signer], site="two")
    told = refused(scene, "signature")
    assert bad[:10] in told and "Nothing of it is run" in told
    assert (scene.checkout / "playbooks/site.yml").read_text() == "one"
    assert git(scene.checkout, "rev-parse", "HEAD") == good


def test_nothing_is_checked_out_at_the_first_time_when_it_is_not_signed(scene: Scene, keys: tuple[Path, Path]) -> None:
    scene.trust(keys[0])
    scene.commit(site="one")
    refused(scene, "signature")
    assert sorted(path.name for path in scene.checkout.iterdir()) == [".git"]


def test_without_any_signer_everything_is_refused(scene: Scene, keys: tuple[Path, Path]) -> None:
    scene.commit(keys[0], site="one")
    refused(scene, "signature", verify_signature=True)


def test_a_tag_that_was_taken_back_or_renamed_is_refused(scene: Scene, keys: tuple[Path, Path]) -> None:
    scene.trust(keys[0])
    old = scene.commit(keys[0], site="one")
    scene.tag("v1", keys[0], "One")
    scene.commit(keys[0], site="two")
    scene.tag("v2", keys[0], "Two")
    scene.update(version="v2")
    for target in (old, git(scene.remote, "rev-parse", "refs/tags/v1")):
        git(scene.remote, "update-ref", "refs/tags/v2", target)
        assert "Somebody rewrote that tag" in refused(scene, "diverged", version="v2")
    assert "signed as v1" in refused(scene, "signature", version="v2", checkout=str(scene.root / "fresh"))
    assert scene.update(version="v1").commit == old  # as declared


def test_a_tag_whose_own_signature_is_missing_is_refused_although_its_commit_is_signed(
    scene: Scene, keys: tuple[Path, Path]
) -> None:
    scene.trust(keys[0])
    scene.commit(keys[0], site="one")
    scene.tag("v1", None, "Not signed")
    assert "tag v1" in refused(scene, "signature", version="v1")


def test_gpg_signatures_are_accepted_from_the_own_keyring_alone(scene: Scene, tmp_path: Path) -> None:
    home, keys = tmp_path / "signer", tmp_path / "keys.asc"
    home.mkdir(mode=0o700)
    gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet"]
    identity = "Ops <ops@example.com>"
    subprocess.run([*gpg, "--passphrase", "", "--quick-gen-key", identity, "ed25519", "sign"], check=True, capture_output=True)
    scene.commit(site="one", push=False)
    who = ["-c", "user.name=Ops", "-c", "user.email=ops@example.com", "-c", "user.signingKey=ops@example.com"]
    git(scene.work, *who, "commit", "--quiet", "--amend", "-S", "-m", "Signed", GNUPGHOME=str(home))
    scene.push()
    refused(scene, "signature", verify_signature=True)
    public = subprocess.run([*gpg, "--armor", "--export", "ops@example.com"], check=True, capture_output=True).stdout
    keys.write_bytes(public)
    assert scene.update(verify_signature=True, gpg_keys=str(keys)).verified
    refused(scene, "signature", verify_signature=True)
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=True)


def test_a_branch_that_was_rewritten_or_went_back_is_refused(scene: Scene) -> None:
    first = scene.commit(site="one")
    second = scene.commit(site="two")
    scene.update()
    git(scene.work, "reset", "--quiet", "--hard", first)
    scene.push()
    assert second[:10] in refused(scene, "diverged")
    scene.commit(site="another two")
    assert "not in the history of main" in refused(scene, "diverged")


@pytest.mark.parametrize("change", ["edited", "added"])
def test_a_tree_that_was_changed_by_hand_is_refused(scene: Scene, change: str) -> None:
    scene.commit(site="one")
    scene.update()
    name = {"edited": "site", "added": "mine"}[change]
    (scene.checkout / "playbooks" / f"{name}.yml").write_text("by hand", encoding="utf-8")
    assert f"it was changed by hand: playbooks/{name}.yml" in refused(scene, "dirty")


def test_a_checkout_that_was_cut_off_is_finished(scene: Scene) -> None:
    scene.commit(site="one", drift="one")
    scene.update()
    new = scene.commit(site="two", drift="two", verify="two")
    git(scene.checkout, "fetch", "--quiet", str(scene.remote), "main")
    for name in ("site", "verify"):  # not drift, and the index says nothing of them
        (scene.checkout / f"playbooks/{name}.yml").write_text("tw", encoding="utf-8")
    (scene.checkout / ".git/index.lock").touch()
    (scene.state / "moving.json").write_text(json.dumps({"target": new}), encoding="utf-8")
    assert scene.update().commit == new
    assert {path.read_text() for path in (scene.checkout / "playbooks").iterdir()} == {"two"}
    assert not (scene.state / "moving.json").exists()


def test_a_note_of_a_commit_that_is_not_there_is_no_obstacle(scene: Scene) -> None:
    commit = scene.commit(site="one")
    scene.state.mkdir()
    (scene.state / "moving.json").write_text(json.dumps({"target": "0" * 40}), encoding="utf-8")
    assert scene.update().commit == commit


@pytest.mark.parametrize("name", ["index", "HEAD", "refs/remotes/origin/main"])
def test_a_lock_that_a_dead_git_left_is_taken_away(scene: Scene, name: str) -> None:
    scene.commit(site="one")
    scene.update()
    new = scene.commit(site="two")
    lock = scene.checkout / ".git" / f"{name}.lock"
    lock.touch()
    os.utime(lock, (1, 1))
    found = scene.update()
    assert (found.commit, found.fetched) == (new, True)


def test_a_repository_that_was_begun_is_made_whole(scene: Scene) -> None:
    commit = scene.commit(site="one")
    (scene.checkout / ".git").mkdir()
    assert scene.update().commit == commit


@pytest.mark.parametrize("name", ["index", "HEAD"])
def test_a_checkout_that_cannot_be_read_is_refused(scene: Scene, name: str) -> None:
    scene.commit(site="one")
    scene.update()
    (scene.checkout / ".git" / name).write_bytes(b"no such thing\n")
    with pytest.raises(EnforceError, match="git cannot tell what is in it") as caught:
        scene.update()
    assert caught.value.kind == "missing"


def test_a_remote_that_cannot_be_reached_is_told_and_what_is_there_is_run(scene: Scene) -> None:
    commit = scene.commit(site="one")
    scene.update()
    scene.remote.rename(scene.root / "elsewhere")
    found = scene.update()
    assert (found.commit, found.fetched) == (commit, False)
    (warning,) = found.warnings
    assert "cannot be fetched" in warning and warning.endswith("What is checked out is run as it is.")
    assert "cannot be fetched" in refused(scene, "unreachable", offline="refuse")


def test_a_remote_that_could_never_be_reached_leaves_nothing_to_run(scene: Scene) -> None:
    scene.remote.rename(scene.root / "elsewhere")
    refused(scene, "unreachable")


def test_offline_does_not_spare_the_signature(scene: Scene, keys: tuple[Path, Path]) -> None:
    scene.commit(site="one")
    scene.update()
    scene.remote.rename(scene.root / "elsewhere")
    scene.trust(keys[0])
    refused(scene, "signature")


def test_a_checkout_that_was_removed_is_made_anew(scene: Scene) -> None:
    commit = scene.commit(site="one")
    assert scene.update(checkout=str(scene.root / "not/yet")).commit == commit


def test_a_version_that_is_not_there_and_a_folder_that_is_no_checkout_are_told(scene: Scene, tmp_path: Path) -> None:
    scene.commit(site="one")
    assert "no branch or tag v9" in refused(scene, "missing", version="v9")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").touch()
    with pytest.raises(EnforceError, match="no Git work tree and not empty"):
        scene.update(checkout=str(tmp_path / "other"))


def test_a_hook_or_a_filter_of_the_checkout_runs_nothing(scene: Scene) -> None:
    scene.commit(site="one")
    scene.update()
    hook = scene.checkout / ".git/hooks/post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {scene.root}/ran\n", encoding="utf-8")
    hook.chmod(0o755)
    scene.commit(site="two")
    scene.update()
    assert not (scene.root / "ran").exists()


def test_an_environment_of_other_requirements_is_told(scene: Scene) -> None:
    made_from = scene.root / "made-from.txt"
    made_from.write_text("one\n", encoding="utf-8")
    (scene.work / "requirements.txt").write_text("one\n", encoding="utf-8")
    scene.commit(site="one")
    same = scene.update(requirements=str(made_from))
    assert (same.outdated, same.warnings) == (False, [])
    (scene.work / "requirements.txt").write_text("two\n", encoding="utf-8")
    scene.commit()
    other = scene.update(requirements=str(made_from))
    (warning,) = other.warnings
    assert other.outdated
    assert warning.startswith("requirements.txt: ")


def test_a_keyring_that_cannot_be_made_accepts_nothing(scene: Scene, keys: tuple[Path, Path]) -> None:
    scene.trust(keys[0])
    scene.commit(keys[0], site="one")
    scene.state.mkdir()
    (scene.state / "gnupg").touch()
    assert "the keyring for signatures cannot be made" in refused(scene, "signature")


@pytest.mark.parametrize(
    "url",
    ["https://bot:s3cret@git.example.com/x.git", "https://s3cret@git.example.com/x.git", "ssh://git:s3cret@git.example.com/x"],
)
def test_a_repository_with_a_secret_in_its_url_is_refused(scene: Scene, url: str) -> None:
    with pytest.raises(EnforceError, match="controller_git_token_file") as caught:
        scene.config(repository=url)
    assert "s3cret" not in str(caught.value)


def test_a_git_that_hangs_is_ended(scene: Scene) -> None:
    scene.commit(site="one")
    scene.update()
    slow = scene.root / "slow-ssh"
    slow.write_text("#!/bin/sh\nexec sleep 60\n", encoding="utf-8")
    slow.chmod(0o755)
    found = scene.update(repository="ssh://git@192.0.2.1/x.git", ssh_command=str(slow), git_timeout="5s")
    assert "no answer within 5 s" in found.warnings[0]


@pytest.mark.parametrize(
    ("text", "told"), [("secret-1\n", "username=token\npassword=secret-1\n"), ("bot:s:2", "username=bot\npassword=s:2\n")]
)
def test_the_token_is_given_to_git_and_is_on_no_command_line(tmp_path: Path, scene: Scene, text: str, told: str) -> None:
    (tmp_path / "git-token").write_text(text, encoding="utf-8")
    owner = Git(scene.config(token="git-token"), {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    (helper,) = [one for one in owner._options if one.startswith("credential.helper=") and one != "credential.helper="]
    assert "secret" not in helper
    command = [*helper.partition("=")[2].split(" "), "get"]
    assert command[0] == sys.executable and re.search(r"credential\.py$", command[2])
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == told
    assert subprocess.run([*command[:-1], "store"], check=True, capture_output=True, text=True).stdout == ""
    assert module.Path(tmp_path, "git-token").read_text(encoding="utf-8") == text
