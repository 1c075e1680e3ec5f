"""Versions of the brain as folders that never change, and the link that says which one serves.

    ROOT/versions/ID/…              what transformers writes, weights as safetensors alone
    ROOT/versions/ID/manifest.json  the digest of every file and what the version was made of; its hash is the id
    ROOT/serving                    a link to one of them

Nothing that runs when it is loaded is taken in: no pickle, no code. Whether a version may serve is for the gate and for
the database to say; this module only makes that the link and the files are never half of anything.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from tempfile import mkdtemp
from typing import Any

from atra.core.errors import BadInput

MANIFEST, SERVING = "manifest.json", "serving"
_FORMAT = 1
_WEIGHTS = ".safetensors"
_TEXTS = (".json", ".jinja", ".txt", ".md", ".model")  # configuration, tokenizer, template, licence
_CONFIGURATIONS = ("config.json", "adapter_config.json")
_LONGEST_HEADER = 100_000_000  # bytes, as the safetensors library itself allows


@dataclass(frozen=True)
class Lineage:
    """What a version was made of.

    Args:
        data_set: the id of the data set it learned from.
        base, base_revision: the model that training began with; its licence binds the version.
        parent: the version that served when it was trained; empty for the first.
        training: the settings of the training, as JSON values.
    """

    data_set: str
    base: str
    base_revision: str
    licence: str
    parent: str = ""
    training: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Version:
    """A version that lies in its folder."""

    id: str
    path: Path
    lineage: Lineage


def admit(model: Path, lineage: Lineage, root: Path) -> Version:
    """Copy a model's folder into the versions, whole or not at all; the same model and lineage are the same version.

    Raises:
        BadInput: the folder holds no model, or something else than weights, configuration and texts.
    """
    versions = root / "versions"
    versions.mkdir(parents=True, exist_ok=True)
    names = sorted(_taken(model))
    draft, held = _draft(versions)
    try:
        for name in names:
            shutil.copyfile(model / name, draft / name)
            _to_disk(draft / name)
        told = {"format": _FORMAT, "files": {name: digest(draft / name) for name in names}, "lineage": asdict(lineage)}
        manifest = json.dumps(told, indent=1, sort_keys=True).encode()
        (draft / MANIFEST).write_bytes(manifest)
        _to_disk(draft / MANIFEST)
        return _named(draft, Version(sha256(manifest).hexdigest(), versions / sha256(manifest).hexdigest(), lineage))
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        os.close(held)


def version(root: Path, id: str) -> Version:
    """Return a version, having read every file of it.

    Raises:
        BadInput: there is none of this id, or a file of it is not what it was.
    """
    path = root / "versions" / id
    if not is_whole(path):
        raise BadInput(f"there is no version {id[:12]} of the brain, or its files were changed")
    told = json.loads((path / MANIFEST).read_bytes())
    return Version(id, path, Lineage(**told["lineage"]))


def is_whole(path: Path) -> bool:
    """Say whether the folder holds exactly the files of its manifest, and the manifest is the one of its name."""
    try:
        manifest = (path / MANIFEST).read_bytes()
        files = json.loads(manifest)["files"]
        return (
            sha256(manifest).hexdigest() == path.name
            and {file.name for file in path.iterdir()} == {MANIFEST, *files}
            and all(digest(path / name) == hashed for name, hashed in files.items())
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def serve(root: Path, id: str) -> Version:
    """Let the link name this version from now on, and return it; whoever reads meanwhile finds the old one or the new.

    Raises:
        BadInput: see `version`.
    """
    found = version(root, id)
    link = root / f".{SERVING}-{token_hex(6)}"
    link.symlink_to(Path("versions") / id)
    os.replace(link, root / SERVING)
    _to_disk(root)
    return found


def serving(root: Path) -> str:
    """Return the id of the version that serves; empty where none does.

    Who loads it resolves the id once and opens every file below that version: the link may move between two openings.
    """
    with suppress(OSError):
        return Path(os.readlink(root / SERVING)).name
    return ""


def serve_none(root: Path) -> None:
    """Take the link away: no version serves."""
    with suppress(FileNotFoundError):
        (root / SERVING).unlink()
        _to_disk(root)


def digest(file: Path) -> str:
    """Return the sha256 of a file, as hexadecimal digits."""
    hashed = sha256()
    with file.open("rb") as opened:
        while piece := opened.read(1 << 20):
            hashed.update(piece)
    return hashed.hexdigest()


def _taken(model: Path) -> Iterator[str]:
    """Yield the names of a model's files, having looked at each.

    Raises:
        BadInput: see `admit`.
    """
    try:
        files = sorted(model.iterdir())
    except OSError as error:
        raise BadInput(f"{model} cannot be read: {error.strerror}") from error
    names = {file.name for file in files}
    if not names & set(_CONFIGURATIONS) or not any(name.endswith(_WEIGHTS) for name in names):
        raise BadInput(f"{model} holds no model: it needs a configuration and weights as safetensors")
    for file in files:
        if file.name == MANIFEST:
            continue  # of the version it was copied from
        if file.is_symlink() or not file.is_file() or not file.name.endswith((_WEIGHTS, *_TEXTS)):
            raise BadInput(f"{file} is neither weights as safetensors nor configuration or text, and is not taken in")
        if file.name.endswith(_WEIGHTS) and not _is_safetensors(file):
            raise BadInput(f"{file} is no safetensors file")
        yield file.name


def _is_safetensors(file: Path) -> bool:
    """Say whether a file has a header of JSON as long as it says, whose tensors end where the file ends."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if not 2 <= length <= min(_LONGEST_HEADER, size - 8):
            return False
        try:
            header = json.loads(opened.read(length))
            ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            return False
    return bool(ends) and all(isinstance(end, int) for end in ends) and max(ends) == size - 8 - length


def _draft(versions: Path) -> tuple[Path, int]:
    """Return an empty folder with the handle that locks it, having removed those of processes that died.

    A draft is locked as long as its process lives; the folder of all versions is while one is made, so that one that
    is not locked yet is not taken for a dead one's.
    """
    everything = os.open(versions, os.O_RDONLY)
    try:
        fcntl.flock(everything, fcntl.LOCK_EX)
        for left in versions.glob(".draft-*"):
            with suppress(OSError):
                os.close(_locked(left))
                shutil.rmtree(left, ignore_errors=True)
        draft = Path(mkdtemp(prefix=".draft-", dir=versions))
        return draft, _locked(draft)
    finally:
        os.close(everything)


def _locked(folder: Path) -> int:
    """Return the handle that locks a folder.

    Raises:
        BlockingIOError: somebody else has it.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle


def _named(draft: Path, found: Version) -> Version:
    """Give the draft its name, unless the version is there already."""
    if found.path.exists() and not is_whole(found.path):
        found.path.rename(found.path.with_name(f".broken-{found.id[:12]}-{token_hex(4)}"))
    draft.chmod(0o755)
    _to_disk(draft)
    try:
        draft.rename(found.path)
    except OSError:
        if not is_whole(found.path):
            raise
    _to_disk(found.path.parent)
    return found


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
