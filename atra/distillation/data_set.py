"""A data set as a folder that never changes: its rows, the hash of each, and a manifest that says how they were chosen.

    ID/rows.jsonl      one row a line, as trainers read them
    ID/hashes.txt      for each row the hash of its line and the id of its trace
    ID/manifest.json   what it was made of and by which rules; its hash is the id

The manifest has no time and no path in it, so the same traces under the same rules make the same id.
"""

import fcntl
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp
from typing import IO, Any

from atra.distillation.curation import Curation, Row
from atra.distillation.traces import Trace

ROWS, HASHES, MANIFEST = "rows.jsonl", "hashes.txt", "manifest.json"
_FORMAT = 1


@dataclass(frozen=True)
class Built:
    """A data set that lies in its folder.

    Args:
        id: empty where no trace could be taken: then nothing was written.
        summary: its manifest.
        new: whether it was written now; else the folder was there already.
    """

    id: str
    path: Path
    summary: Mapping[str, Any]
    new: bool

    def trace_ids(self) -> Iterator[str]:
        """Yield the ids of the traces it holds."""
        with (self.path / HASHES).open(encoding="ascii") as lines:
            yield from (line.split()[1] for line in lines)


def build(curation: Curation, traces: Iterable[Trace], folder: Path) -> Built:
    """Choose rows of these traces and write them as a data set below the folder, whole or not at all.

    Args:
        traces: by id, each once.
    """
    with _draft(folder) as draft:
        seen = Counter[str]()
        sizes = _write_chosen(draft, curation.rows(_counted(traces, seen)))
        manifest = _write_files(draft, curation, sizes, seen["traces"])
        if not json.loads(manifest)["rows"]:
            return Built("", folder, json.loads(manifest), new=False)
        return _put(draft, manifest, folder)


def line_of(trace: Trace) -> str:
    """Return the row of a trace as a trainer reads it, prompt and completion in turns, the working apart."""
    said = {"role": "assistant", "reasoning_content": trace.reasoning, "content": trace.answer}
    row = {
        "prompt": [{"role": "user", "content": trace.prompt}],
        "completion": [said],
        "kind": trace.kind,
        "source": trace.origin.source,
        "trace": trace.id,
    }
    return json.dumps(row, ensure_ascii=False)


def is_whole(path: Path) -> bool:
    """Say whether a data set's files are what its manifest says, and the manifest what the folder's name says."""
    try:
        text = (path / MANIFEST).read_bytes()
        files = json.loads(text)["files"]
        return sha256(text).hexdigest() == path.name and all(
            _hash_of(path / name) == files[name] for name in (ROWS, HASHES)
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


@contextmanager
def _draft(folder: Path) -> Iterator[Path]:
    """Give an empty folder beside the data sets that is gone afterwards, unless it got a name; remove dead ones.

    A draft is locked by its process as long as that lives; what a killed one left is nobody's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        for left in folder.glob(".draft-*"):
            with suppress(OSError), _locked(left, wait=False):
                shutil.rmtree(left, ignore_errors=True)
        draft = Path(mkdtemp(prefix=".draft-", dir=folder))
        held = _lock(draft)
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        os.close(held)


@contextmanager
def _locked(folder: Path, *, wait: bool = True) -> Iterator[None]:
    held = _lock(folder, wait=wait)
    try:
        yield
    finally:
        os.close(held)


def _lock(folder: Path, *, wait: bool = True) -> int:
    """Lock a folder and return the handle that holds the lock.

    Raises:
        BlockingIOError: somebody else has it, and nobody wants to wait.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        os.close(handle)
        raise
    return handle


def _counted(traces: Iterable[Trace], seen: Counter[str]) -> Iterator[Trace]:
    for trace in traces:
        seen["traces"] += 1
        yield trace


def _write_chosen(draft: Path, rows: Iterable[Row]) -> list[int]:
    """Write every row that is chosen for itself; return their tokens, in order."""
    sizes = []
    with (draft / "chosen.jsonl").open("w", encoding="utf-8", errors="replace", newline="\n") as chosen:
        for row in rows:
            chosen.write(line_of(row.trace) + "\n")
            sizes.append(row.tokens)
    return sizes


def _write_files(draft: Path, curation: Curation, sizes: list[int], traces: int) -> bytes:
    """Write the rows without those that are too many, their hashes and the manifest; return the manifest."""
    gone = curation.surplus(sizes)
    kinds, sources, lengths = Counter[str](), Counter[str](), []
    with (
        (draft / "chosen.jsonl").open(encoding="utf-8", newline="\n") as chosen,
        (draft / ROWS).open("wb") as rows,
        (draft / HASHES).open("wb") as hashes,
    ):
        for number, text in enumerate(chosen):
            if number in gone:
                continue
            row = json.loads(text)
            rows.write(text.encode())
            hashes.write(f"{sha256(text[:-1].encode()).hexdigest()} {row['trace']}\n".encode())
            kinds[row["kind"]] += 1
            sources[row["source"]] += 1
            lengths.append(sizes[number])
        _to_disk(rows)
        _to_disk(hashes)
    (draft / "chosen.jsonl").unlink()
    manifest = {
        "format": _FORMAT,
        "traces": traces,
        "rows": len(lengths),
        "tokens": sum(lengths),
        "lengths": _histogram(lengths),
        "dropped": {reason: curation.dropped[reason] for reason in sorted(curation.dropped)},
        "kinds": dict(sorted(kinds.items())),
        "sources": dict(sorted(sources.items())),
        "policy": curation.policy.version,
        "evaluation": curation.evaluation.identity,
        "counted_by": curation.tokens.identity,
        "bounds": vars(curation.bounds),
        "files": {name: _hash_of(draft / name) for name in (ROWS, HASHES)},
    }
    written = json.dumps(manifest, indent=1, sort_keys=True).encode()
    with (draft / MANIFEST).open("wb") as file:
        file.write(written)
        _to_disk(file)
    return written


def _put(draft: Path, manifest: bytes, folder: Path) -> Built:
    """Give the draft its name. Whoever comes second finds it there, and the same."""
    found = sha256(manifest).hexdigest()
    path = folder / found
    if path.exists() and not is_whole(path):  # a disk that lost something: what is there is no data set
        path.rename(folder / f".broken-{found[:12]}-{draft.name[7:]}")
    draft.chmod(0o755)
    _sync(draft)
    new = True
    try:
        draft.rename(path)
    except OSError:
        if not is_whole(path):
            raise
        new = False
    _sync(folder)
    return Built(found, path, json.loads(manifest), new)


def _histogram(lengths: list[int]) -> dict[str, int]:
    """Return how many rows have up to 16, 32, 64, … tokens, by that bound."""
    bounds = Counter(max(16, 1 << (max(length, 1) - 1).bit_length()) for length in lengths)
    return {str(bound): bounds[bound] for bound in sorted(bounds)}


def _hash_of(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _to_disk(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
