"""Claims signed by the log's own key are checked too: records, completeness and history against the tree."""

import json

import pytest

from audit.evidence import verify
from audit.evidence.package import PackageError
from audit.tlog.signed_notes import Checkpoint, sign_checkpoint, sign_note
from tests.unit.audit.packages import LEAVES, LOG, THIEF, Log, leaf, verdict, write

pytestmark = pytest.mark.clause("12.4")


def sign_again(files, edit):
    """The operator's own forgery: change the manifest, list the files as they are, and sign."""
    manifest = json.loads(files["manifest.json"])
    edit(manifest)
    manifest["files"] = [
        {"name": name, "size": len(content), "sha256": verify.hashlib.sha256(content).hexdigest()}
        for name, content in sorted(files.items())
        if not name.startswith("manifest.")
    ]
    content = verify.canonical(manifest)
    note = sign_note(verify.signature_text(LOG.name, content), LOG).encode()
    return files | {"manifest.json": content, "manifest.sig": note}


def found(files, known=None):
    return [(item.name, item.what) for item in verify.check(files, verify.parse_key(str(LOG.verifier)), known)[0]]


def nothing(manifest):
    return None


def test_a_forgery_without_a_change_is_the_package_itself():
    files = Log(LEAVES).package(1, 2)
    assert sign_again(files, nothing) == files


def test_a_record_that_is_not_in_the_log_is_found_though_the_log_signed_the_package():
    files = Log(LEAVES).package(1, 2)
    changed = files | {"records/00000002.json": leaf("/identity", 3, 99)}
    assert found(sign_again(changed, nothing)) == [("records/00000002.json", "altered")]


def test_records_put_in_another_order_or_twice_are_found():
    files = Log(LEAVES).package(1, 2)
    assert found(sign_again(files, lambda m: m["records"].reverse())) == [("records/00000001.json", "reordered")]
    twice = sign_again(files, lambda m: m["records"].append(m["records"][-1]))
    assert found(twice) == [("records/00000002.json", "inserted")]


def test_swapped_proofs_and_swapped_records_are_found():
    files = Log(LEAVES).package(1, 2)
    for kind, what in (("proofs/{}.tlog-proof", "reordered"), ("records/{}.json", "altered")):
        one, two = kind.format("00000001"), kind.format("00000002")
        swapped = sign_again(files | {one: files[two], two: files[one]}, nothing)
        assert found(swapped) == [(one, what), (two, what)]


def test_two_histories_under_one_key_are_a_fork():
    here, there = Log(LEAVES), Log([*LEAVES[:-1], leaf("/identity", 4, 77)])
    files = here.package(0, 1) | {"proofs/00000001.tlog-proof": there.package(1)["proofs/00000001.tlog-proof"]}
    assert found(sign_again(files, nothing)) == [("proofs/00000001.tlog-proof", "forked")]
    files = here.package(1) | {"checkpoint": there.checkpoint.encode()}
    assert ("checkpoint", "forked") in found(sign_again(files, nothing))


def test_a_checkpoint_by_another_key_is_found():
    files = Log(LEAVES).package(1) | {"checkpoint": Log(LEAVES, THIEF).checkpoint.encode()}
    assert found(sign_again(files, nothing)) == [("checkpoint", "re-signed")]


def test_a_checkpoint_of_another_origin_is_not_this_logs_though_its_key_signed_it():
    text = Checkpoint.parse(Log(LEAVES).checkpoint.split("\n\n")[0] + "\n")
    note = sign_checkpoint(Checkpoint("other.example", text.size, text.root), LOG).encode()
    assert found(sign_again(Log(LEAVES).package(1) | {"checkpoint": note}, nothing)) == [("checkpoint", "altered")]


def test_a_signed_manifest_in_another_form_of_json_is_not_believed():
    files = Log(LEAVES).package(1)
    for content in (b" " + files["manifest.json"], b'{"complete":1,' + files["manifest.json"][1:]):
        note = sign_note(verify.signature_text(LOG.name, content), LOG).encode()
        assert found(files | {"manifest.json": content, "manifest.sig": note}) == [("manifest.json", "altered")]


def test_a_complete_range_has_every_entry():
    files = Log(LEAVES).package(0, 1, 2, 3, 4, 5, complete=(0, 5))
    assert found(files) == []
    for index in (0, 3, 5):
        left = {name: content for name, content in files.items() if f"0000000{index}" not in name}

        def forget(manifest, index=index):
            manifest["records"] = [record for record in manifest["records"] if record["index"] != index]

        assert (f"records/0000000{index}.json", "deleted") in found(sign_again(left, forget))


def test_a_missing_number_of_a_producer_is_a_gap_only_where_completeness_is_claimed():
    log = Log([leaf("/identity", 1, 0), leaf("/incident", 1, 1), leaf("/identity", 4, 2)])
    assert found(log.package(0, 1, 2)) == []
    files = log.package(0, 1, 2, complete=(0, 2))
    assert found(files) == [("records/00000002.json", "gap")]
    findings, _ = verify.check(files, verify.parse_key(str(LOG.verifier)))
    assert findings[0].en.endswith("/identity 2..3")


def test_a_producer_that_begins_after_1_has_a_gap_in_a_log_complete_from_its_beginning():
    log = Log([leaf("/incident", 1, 0), leaf("/identity", 2, 1)])
    assert found(log.package(0, 1, complete=(0, 1))) == [("records/00000001.json", "gap")]
    assert found(log.package(1, complete=(1, 1))) == []


def test_events_that_overtook_each_other_at_the_edge_are_filled_from_outside_of_the_range():
    log = Log([leaf("/identity", 1, 0), leaf("/identity", 3, 1), leaf("/identity", 2, 2), leaf("/identity", 4, 3)])
    assert found(log.package(2, 3, complete=(2, 3))) == [("records/00000003.json", "gap")]
    assert found(log.package(1, 2, 3, complete=(2, 3))) == []


def test_heartbeats_and_records_without_a_number_leave_no_gap():
    beat = leaf("/identity", 1, 1, kind="cn.xindun.identity.heartbeat.v1")
    log = Log([leaf("/identity", 1, 0), beat, b"not json", b"[]", leaf("/identity", "x", 4), leaf("/identity", 2, 5)])
    assert found(log.package(*range(6), complete=(0, 5))) == []


def test_a_number_given_twice_is_found():
    one = leaf("/identity", 1, 0)
    for second, what in ((one, "inserted"), (leaf("/identity", 1, 7), "forked")):
        assert found(Log([one, second]).package(0, 1, complete=(0, 1))) == [("records/00000001.json", what)]


def test_a_checkpoint_kept_from_earlier_exposes_a_rewritten_history(tmp_path, capsys):
    rewritten = [leaf("/identity", 1, 66), *LEAVES[1:]]
    for size, history, code in [(2, LEAVES, 0), (6, LEAVES, 0), (2, rewritten, 1), (6, rewritten, 1)]:
        kept = tmp_path / "kept"
        kept.write_text(Log(history[:size]).checkpoint)
        root = write(tmp_path / f"{size}{code}", Log(LEAVES).package(*range(6), complete=(0, 5)))
        got, answer = verdict(capsys, root, "--known", str(kept))
        assert got == code
        assert code == 0 or (answer["name"], answer["what"]) == ("checkpoint", "forked")
        if size == len(LEAVES):
            root = write(tmp_path / f"selected{code}", Log(LEAVES).package(1))
            assert verdict(capsys, root, "--known", str(kept))[0] == code


def test_a_checkpoint_that_cannot_be_compared_confirms_nothing(tmp_path, capsys):
    root = write(tmp_path / "evidence", Log(LEAVES).package(1, 2))
    for note in (Log(LEAVES[:2]).checkpoint, Log(LEAVES, THIEF).checkpoint, "nonsense"):
        (tmp_path / "kept").write_text(note)
        assert verdict(capsys, root, "--known", str(tmp_path / "kept"))[0] == 2
    assert verdict(capsys, root, "--known", str(tmp_path / "missing"))[0] == 2


@pytest.mark.parametrize("word", ["records", "files", "scope", "checkpoint"])
def test_a_signed_manifest_that_lacks_something_is_not_believed(word):
    def lose(manifest):
        manifest[word] = None

    files = Log(LEAVES).package(1, 2)
    assert found(sign_again(files, lose)) != [] or word == "files"


def test_a_format_of_the_future_is_not_judged():
    files = sign_again(Log(LEAVES).package(1), lambda manifest: manifest.update(format="xindun-evidence/9"))
    with pytest.raises(verify.UnreadableError):
        found(files)


def test_the_builder_refuses_what_the_verifier_would_not_confirm():
    log = Log(LEAVES)
    refused = [
        {"leaves": [(1, LEAVES[2])]},
        {"leaves": [(2, LEAVES[2]), (1, LEAVES[1])]},
        {"leaves": [(1, LEAVES[1]), (1, LEAVES[1])]},
        {"leaves": iter(())},
        {"leaves": [(1, LEAVES[1])], "complete": (1, 2)},
        {"leaves": [(1, LEAVES[1])], "proof": lambda index: []},
        {"leaves": [(1, LEAVES[1])], "checkpoint": Log(LEAVES, THIEF).checkpoint},
    ]
    for options in refused:
        with pytest.raises(PackageError):
            log.package(**options)
