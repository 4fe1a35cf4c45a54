"""Signed notes and checkpoints: the exact text is accepted, and no text that differs by a byte."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.tlog.signed_notes import (
    Checkpoint,
    NoteError,
    Signer,
    Verifier,
    generate_signer,
    open_checkpoint,
    open_note,
    sign_checkpoint,
    sign_note,
)

LOG = generate_signer("log.example/audit")
WITNESS = generate_signer("witness.example")
TEXT = "first\n\nthird 第三\n"


@pytest.mark.parametrize("signers", [[LOG], [LOG, WITNESS], [WITNESS, LOG]])
def test_a_note_opens_for_whoever_knows_one_of_its_keys(signers):
    note = open_note(sign_note(TEXT, *signers), [LOG.verifier])
    assert note.text == TEXT
    assert [signature.name for signature in note.signatures] == [LOG.name]
    assert len(note.unknown) == len(signers) - 1


def test_a_note_by_a_stranger_does_not_open_even_under_the_same_name():
    for stranger in (WITNESS, generate_signer(LOG.name)):
        with pytest.raises(NoteError, match="not signed by a known key"):
            open_note(sign_note(TEXT, stranger), [LOG.verifier])


def test_a_known_key_that_signed_twice_spoils_the_note():
    note = sign_note(TEXT, LOG)
    line = note.rsplit("\n\n", 1)[1]
    with pytest.raises(NoteError, match="wrong or repeated"):
        open_note(note + line, [LOG.verifier])


def test_every_changed_byte_of_a_note_is_found():
    note = sign_note(TEXT, LOG).encode()
    for at in range(len(note)):
        for value in (note[at] ^ 1, note[at] ^ 0x20, 0x0A, 0x20, 0x41, 0xFF):
            if value == note[at]:
                continue
            with pytest.raises(NoteError):
                open_note(note[:at] + bytes([value]) + note[at + 1 :], [LOG.verifier])
        with pytest.raises(NoteError):
            open_note(note[:at] + note[at + 1 :], [LOG.verifier])


def test_base64_with_loose_last_bits_is_refused():
    note = sign_note(TEXT, LOG)
    body, last = note[:-1].rsplit(" ", 1)
    assert last.endswith("=")
    loose = last[:-2] + chr(ord(last[-2]) + 1) + "="
    assert base64.b64decode(loose) == base64.b64decode(last)
    with pytest.raises(NoteError, match="canonical"):
        open_note(f"{body} {loose}\n", [LOG.verifier])


@pytest.mark.parametrize("change", ["{}\n", "{}x", "{} ", "x{}", "{}\r\n", "{}— a b\n", "{}— a YQ==\n"])
def test_what_is_not_a_note_is_refused(change):
    note = sign_note("text\n", LOG)
    with pytest.raises(NoteError):
        open_note(change.format(note), [LOG.verifier])


def test_a_text_without_a_last_newline_or_with_control_characters_is_not_signed():
    for text in ("no newline", "bell\x07\n", "return\r\n"):
        with pytest.raises(NoteError):
            sign_note(text, LOG)
    with pytest.raises(NoteError):
        sign_note("nobody signs\n")


def test_keys_are_read_as_they_are_written():
    assert Signer.parse(LOG.private_text()) == LOG
    assert Verifier.parse(str(LOG.verifier)) == LOG.verifier
    assert LOG.private_text().rsplit("+", 1)[1] not in repr(LOG)


def test_changed_keys_are_refused():
    public, private = str(LOG.verifier), LOG.private_text()
    name, key_hash, key = public.split("+", 2)
    bad = [f"x{public}", f"{name}+{key_hash.upper()[:-1]}g+{key}", f"{name}+00000000+{key}", f"{name}+{key_hash}", ""]
    bad += [f"a b+{key_hash}+{key}", f"+{key_hash}+{key}", public + "=", public[:-1], private]
    for text in bad:
        with pytest.raises(NoteError):
            Verifier.parse(text)
    for text in (public, private.replace(key_hash, "00000000"), private[:-1]):
        with pytest.raises(NoteError):
            Signer.parse(text)
    for bad_name in ("", "with space", "with+plus", "wide\u3000space", "line\nbreak"):
        with pytest.raises(NoteError):
            generate_signer(bad_name)


@given(st.integers(0, 2**62), st.binary(min_size=32, max_size=32), st.lists(st.sampled_from(["x", "y z"]), max_size=2))
def test_a_checkpoint_is_read_as_it_is_written(size, root, extensions):
    checkpoint = Checkpoint(LOG.name, size, root, tuple(extensions))
    assert Checkpoint.parse(checkpoint.text) == checkpoint
    assert open_checkpoint(sign_checkpoint(checkpoint, LOG, WITNESS), LOG.verifier) == checkpoint


ROOT = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "o\n1\n",
        f"o\n1\n{ROOT}",
        f"\n1\n{ROOT}\n",
        f"o\n01\n{ROOT}\n",
        f"o\n-1\n{ROOT}\n",
        f"o\n+1\n{ROOT}\n",
        f"o\n１\n{ROOT}\n",
        f"o\n1\n{ROOT[:-4]}\n",
        f"o\n1\n {ROOT}\n",
        f"o\n1\n{ROOT}\n\n",
        f"o\n1\n{ROOT}\n\nx\n",
    ],
)
def test_a_checkpoint_that_is_not_exact_is_refused(text):
    with pytest.raises(NoteError):
        Checkpoint.parse(text)


def test_a_checkpoint_of_another_log_is_refused():
    note = sign_checkpoint(Checkpoint("other.example", 0, bytes(32)), LOG)
    with pytest.raises(NoteError, match="another log"):
        open_checkpoint(note, LOG.verifier)
    assert open_checkpoint(note, LOG.verifier, origin="other.example").size == 0
