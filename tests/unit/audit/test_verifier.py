"""The offline verifier: it confirms intact packages, and finds and names every change."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from audit.evidence import verify
from audit.evidence.package import render_verifier
from audit.evidence.verify import main
from audit.tlog import merkle
from audit.tlog.signed_notes import NoteError
from tests.unit.audit.packages import KEY, LEAVES, LOG, THIEF, Log, verdict, write

pytestmark = pytest.mark.clause("12.4")


@pytest.fixture(scope="module")
def files():
    return Log(LEAVES).package(2, 3, 5)


@pytest.fixture
def package(tmp_path, files):
    return write(tmp_path / "evidence", files)


FIRST, SECOND, THIRD = (f"records/0000000{n}.json" for n in (2, 3, 5))


def test_an_intact_package_is_confirmed_in_two_languages(package, capsys):
    assert main([str(package), "--key", KEY]) == 0
    zh, en = capsys.readouterr().out.splitlines()
    assert "证据完好" in zh
    assert "intact" in en
    assert verdict(capsys, package)[1]["records"] == 3


def changes(content, at):
    byte = content[at]
    for mask in (0x20, 0x80):
        yield content[:at] + bytes([byte ^ mask]) + content[at + 1 :]
    yield content[:at] + content[at + 1 :]
    yield content[:at] + bytes([byte]) + content[at:]


def test_a_byte_changed_anywhere_ends_with_1_and_the_name_of_its_file(package, files, capsys):
    for name, content in files.items():
        for at in range(len(content)):
            (package / name).write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
            code, answer = verdict(capsys, package)
            assert (code, answer["name"], answer["what"]) == (1, name, "altered")
        (package / name).write_bytes(content)
    assert verdict(capsys, package)[0] == 0


def test_a_byte_changed_otherwise_or_lost_or_doubled_is_found_and_named(files):
    key = verify.parse_key(KEY)
    for name, content in files.items():
        for at in range(len(content)):
            for changed in changes(content, at):
                found, _ = verify.check(files | {name: changed}, key)
                assert [(finding.name, finding.what in ("altered", "truncated")) for finding in found] == [(name, True)]


def test_a_bad_record_is_named_with_its_event(package, capsys):
    (package / SECOND).write_bytes(LEAVES[3].replace(b"revoked", b"allowed"))
    _, answer = verdict(capsys, package)
    assert (answer["event_type"], answer["event_id"]) == ("cn.xindun.identity.account.allowed.v1", "id-3")
    main([str(package), "--key", KEY])
    zh, en = capsys.readouterr().out.splitlines()
    assert f"{SECOND} (cn.xindun.identity.account.allowed.v1, id-3) 被篡改" in zh
    assert f"{SECOND} (cn.xindun.identity.account.allowed.v1, id-3): altered" in en


def test_every_deleted_file_is_named(package, files, capsys):
    for name, content in files.items():
        (package / name).unlink()
        code, answer = verdict(capsys, package)
        assert (code, answer["name"], answer["what"], answer["others"]) == (1, name, "deleted", [])
        (package / name).write_bytes(content)


@pytest.mark.parametrize("left", ["manifest.json", "manifest.sig", "checkpoint", "README.txt", FIRST])
def test_one_file_left_over_is_still_a_package_with_something_deleted(tmp_path, files, left, capsys):
    code, answer = verdict(capsys, write(tmp_path, {left: files[left]}))
    assert (code, answer["what"]) == (1, "deleted")


@pytest.mark.parametrize(
    "name", ["records/00000004.json", "note.txt", "records/.hidden", "x/y/z", "RECORDS/00000002.json"]
)
@pytest.mark.parametrize("content", [b"", b"{}", LEAVES[4], LEAVES[2]])
def test_every_added_file_is_named(package, name, content, capsys):
    write(package, {name: content})
    code, answer = verdict(capsys, package)
    assert (code, answer["name"], answer["what"]) == (1, name, "inserted")


def test_added_empty_directories_and_pipes_are_named(package, capsys):
    (package / "records" / "empty").mkdir()
    assert verdict(capsys, package)[1]["name"] == "records/empty"
    (package / "records" / "empty").rmdir()
    os.mkfifo(package / "pipe")
    assert verdict(capsys, package)[1] | {"name": "pipe", "what": "inserted"} == verdict(capsys, package)[1]


def test_a_link_in_place_of_a_file_is_an_alteration_even_to_the_same_content(package, tmp_path, capsys):
    moved = tmp_path / "elsewhere.json"
    (package / FIRST).rename(moved)
    (package / FIRST).symlink_to(moved)
    code, answer = verdict(capsys, package)
    assert (code, answer["name"], answer["what"]) == (1, FIRST, "altered")


def test_a_link_in_place_of_a_directory_is_found(package, tmp_path, capsys):
    (package / "proofs").rename(tmp_path / "proofs")
    (package / "proofs").symlink_to(tmp_path / "proofs")
    code, answer = verdict(capsys, package)
    assert (code, answer["name"], answer["what"]) == (1, "proofs/00000002.tlog-proof", "deleted")


def test_swapped_files_are_named_as_reordered(package, files, capsys):
    write(package, {FIRST: files[SECOND], SECOND: files[FIRST]})
    code, answer = verdict(capsys, package)
    assert (code, answer["name"], answer["what"]) == (1, FIRST, "reordered")
    assert answer["others"] == [{"name": SECOND, "what": "reordered"}]


def test_a_record_put_over_another_is_an_alteration(package, files, capsys):
    write(package, {THIRD: files[SECOND]})
    code, answer = verdict(capsys, package)
    assert (code, answer["name"], answer["what"]) == (1, THIRD, "altered")


def test_every_truncated_file_is_named(package, files, capsys):
    for name, content in files.items():
        for length in (0, len(content) // 2, len(content) - 1):
            (package / name).write_bytes(content[:length])
            code, answer = verdict(capsys, package)
            what = "altered" if name == "manifest.sig" else "truncated"
            assert (code, answer["name"], answer["what"]) == (1, name, what)
        (package / name).write_bytes(content)


@pytest.mark.parametrize("new", ["records/00000001.json", "records/00000004.json", "records/00000002.JSON", "moved"])
def test_a_renamed_record_is_missed_and_its_new_place_is_named(package, new, capsys):
    (package / FIRST).rename(package / new)
    code, answer = verdict(capsys, package)
    assert (code, answer["name"], answer["what"], answer["others"]) == (1, FIRST, "deleted", [])
    assert new in answer["en"]


def test_a_package_signed_again_with_another_key_is_found_whatever_it_says(tmp_path, capsys):
    root = write(tmp_path / "evidence", Log(LEAVES, THIEF).package(2, 3, 5))
    code, answer = verdict(capsys, root)
    assert (code, answer["name"], answer["what"]) == (1, "manifest.sig", "re-signed")


def test_only_the_manifest_signed_again_is_found(package, capsys):
    other = Log(LEAVES, THIEF).package(2, 3, 5)
    write(package, {"manifest.json": other["manifest.json"], "manifest.sig": other["manifest.sig"]})
    assert verdict(capsys, package)[1]["what"] == "re-signed"


def test_a_checkpoint_cannot_stand_in_for_the_signature_of_a_manifest(package, files, capsys):
    write(package, {"manifest.sig": files["checkpoint"]})
    code, answer = verdict(capsys, package)
    assert (code, answer["name"], answer["what"]) == (1, "manifest.sig", "altered")


def test_a_second_signature_beside_the_logs_is_an_alteration(package, files, capsys):
    other = Log(LEAVES, THIEF).package(2, 3, 5)["manifest.sig"]
    for line in (other, files["manifest.sig"]):
        write(package, {"manifest.sig": files["manifest.sig"] + line.rsplit(b"\n\n", 1)[1]})
        assert verdict(capsys, package)[1]["what"] == "altered"


def test_a_record_changed_together_with_the_manifest_is_still_the_one_named(package, files, capsys):
    changed = LEAVES[3].replace(b"id-3", b"id-9")
    manifest = json.loads(files["manifest.json"])
    for file in manifest["files"]:
        if file["name"] == SECOND:
            file["sha256"] = verify.hashlib.sha256(changed).hexdigest()
    write(package, {SECOND: changed, "manifest.json": verify.canonical(manifest)})
    code, answer = verdict(capsys, package)
    assert (code, answer["name"], answer["what"]) == (1, SECOND, "altered")
    assert answer["others"] == [{"name": "manifest.json", "what": "altered"}]


def test_a_name_made_to_fool_a_terminal_is_shown_escaped(package, capsys):
    write(package, {"records/\x1b[2J\nok": b""})
    main([str(package), "--key", KEY])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert len(out.splitlines()) == 2


def test_what_cannot_be_read_at_all_ends_with_2(tmp_path, package, capsys):
    (tmp_path / "empty").mkdir()
    write(tmp_path / "other", {"photo.jpg": b"x"})
    (tmp_path / "file").write_bytes(b"")
    for name in ("missing", "empty", "other", "file"):
        code, answer = verdict(capsys, tmp_path / name)
        assert (code, answer["ok"]) == (2, None)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_ends_with_2(package, capsys):
    (package / FIRST).chmod(0)
    assert verdict(capsys, package)[0] == 2


def test_without_a_key_or_with_a_bad_one_nothing_is_confirmed(package, capsys):
    assert main([str(package)]) == 2
    assert "--key" in capsys.readouterr().err
    for key in ("nonsense", KEY[:-2], KEY.replace("log.", "lag."), str(LOG.private_text())):
        assert main([str(package), "--key", key]) == 2


def test_the_handed_out_verifier_has_the_key_in_it_and_runs_alone(package, tmp_path):
    script = tmp_path / "verify.py"
    script.write_text(render_verifier(KEY), encoding="utf-8")
    command = [sys.executable, "-I", "-S", str(script)]
    for options, code in [([], 0), (["--key", KEY], 0), (["--key", str(THIEF.verifier)], 2)]:
        done = subprocess.run([*command, str(package), *options], capture_output=True, check=False, env={"LC_ALL": "C"})
        assert (done.returncode, done.returncode == 2 or done.stderr == b"") == (code, True)
    shutil.rmtree(package / "records")
    done = subprocess.run([*command, str(package)], capture_output=True, check=False, env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 1
    assert FIRST.encode() in done.stdout
    with pytest.raises(NoteError):
        render_verifier(KEY[:-1])


def test_the_verifiers_own_tree_is_the_logs():
    hashes = [merkle.leaf_hash(bytes([n])) for n in range(40)]
    for size in range(1, len(hashes) + 1):
        root, log = merkle.tree_root(hashes[:size]), Log([bytes([n]) for n in range(size)])
        assert verify.tree_root(hashes[:size]) == root
        for index in range(size):
            proof = log.proof(index)
            cases = [
                (index, proof),
                (index + 1, proof),
                (index - 1, proof),
                (index, proof[:-1]),
                (index, [*proof, root]),
            ]
            for at, path in [*cases, (size, proof), (index + 2 * size, proof), (index, [b"", *proof[1:]])]:
                held = merkle.verify_inclusion(hashes[index], at, size, path, root)
                assert (
                    verify.verify_inclusion(hashes[index], at, size, path, root)
                    == held
                    == ((at, path) == (index, proof))
                )
    assert verify.tree_root([]) == merkle.EMPTY_ROOT


def test_the_verifier_needs_nothing_but_the_standard_library():
    tree = ast.parse(Path(verify.__file__).read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names - {"socket", "urllib", "http", "ssl"}
