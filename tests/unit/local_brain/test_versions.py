"""Versions of the brain: whole or not there, with nothing in them that runs, and a link that is never half moved."""

import fcntl
import json
import os
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.core.errors import BadInput
from atra.local_brain.versions import Lineage, _is_safetensors, admit, is_whole, serve, serving, version

LINEAGE = Lineage("0a6ad6b11c1f", "tiny", "main", "apache-2.0", training={"steps": 10})


def weights(values: int = 4) -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [values], "data_offsets": [0, 4 * values]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(4 * values)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "tiny"}')
    (folder / "model.safetensors").write_bytes(weights())
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "brain"


def test_a_model_becomes_a_version(model: Path, root: Path):
    """Of all its files, with what it was made of; the same again is the same, another lineage is another."""
    admitted = admit(model, LINEAGE, root)

    assert version(root, admitted.id) == admitted
    assert admit(model, LINEAGE, root) == admitted
    assert admit(admitted.path, LINEAGE, root) == admitted
    other = admit(model, replace(LINEAGE, parent=admitted.id), root)
    assert {path.name for path in (root / "versions").iterdir()} == {admitted.id, other.id}


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("pytorch_model.bin", b"x", "not taken in"),
        ("training_args.bin", b"x", "not taken in"),
        ("modeling_tiny.py", b"x", "not taken in"),
        ("extra.safetensors", b"\x80\x04pickle", "no safetensors"),
        ("extra.safetensors", weights() + b"more", "no safetensors"),
        ("config.json", None, "holds no model"),
        ("model.safetensors", None, "holds no model"),
    ],
    ids=["weights", "arguments", "code", "pickle by another name", "longer", "no configuration", "no weights"],
)
def test_what_is_no_model_or_may_run_is_refused(model: Path, root: Path, name: str, content: bytes | None, why: str):
    """And leaves nothing behind."""
    if content is None:
        (model / name).unlink()
    else:
        (model / name).write_bytes(content)

    with pytest.raises(BadInput, match=why):
        admit(model, LINEAGE, root)
    assert list((root / "versions").iterdir()) == []


def test_a_link_out_of_the_folder_is_refused(model: Path, root: Path, tmp_path: Path):
    """What it leads to may change, or be a secret."""
    (tmp_path / "secret.txt").write_text("canary")
    (model / "readme.txt").symlink_to(tmp_path / "secret.txt")

    with pytest.raises(BadInput, match="not taken in"):
        admit(model, LINEAGE, root)


@pytest.mark.parametrize("change", ["shorter", "added", "gone"])
def test_a_changed_version_is_none(model: Path, root: Path, change: str):
    """It can neither be read nor serve; admitted again, it is whole again."""
    admitted = admit(model, LINEAGE, root)
    file = admitted.path / "model.safetensors"
    if change == "shorter":
        file.write_bytes(file.read_bytes()[:-1])
    elif change == "added":
        (admitted.path / "modeling_tiny.py").write_text("")
    else:
        file.unlink()

    with pytest.raises(BadInput, match="files were changed"):
        serve(root, admitted.id)
    assert serving(root) == ""
    assert is_whole(admit(model, LINEAGE, root).path)


@pytest.mark.parametrize("id", ["", ".", "..", "../..", "0" * 64])
def test_an_id_that_is_none_names_no_folder(root: Path, id: str):
    """Not even one above."""
    with pytest.raises(BadInput):
        version(root, id)


def test_readers_find_the_old_version_or_the_new(model: Path, root: Path):
    """While the link moves back and forth, it always names one of the two, whole."""
    one, other = admit(model, LINEAGE, root), admit(model, replace(LINEAGE, parent="x"), root)
    serve(root, one.id)
    seen: list[str] = []
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            seen.append(serving(root))
            (root / "serving" / "config.json").read_bytes()

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read)
        for turn in range(100):
            serve(root, (other, one)[turn % 2].id)
        over.set()
        reading.result()

    assert set(seen) <= {one.id, other.id}
    assert len(seen) > 1
    assert serving(root) == one.id
    assert {path.name for path in root.iterdir()} == {"versions", "serving"}


def test_what_a_dead_process_left_is_removed(model: Path, root: Path):
    """A draft that somebody holds is let alone."""
    admit(model, LINEAGE, root)
    drafts = [root / "versions" / f".draft-{name}" for name in ("dead", "living")]
    for draft in drafts:
        draft.mkdir()
    held = os.open(drafts[1], os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)

    admit(model, replace(LINEAGE, parent="x"), root)

    assert [draft.exists() for draft in drafts] == [False, True]
    os.close(held)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_look_at_weights(tmp_path_factory: pytest.TempPathFactory, content: bytes):
    """Anything that is no safetensors file is said to be none."""
    file = tmp_path_factory.mktemp("w") / "a.safetensors"
    file.write_bytes(content)

    assert _is_safetensors(file) is False
