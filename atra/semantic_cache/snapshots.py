"""Graphs on disk for the process that starts next: whole, of this database and this embedder, or not used at all."""

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

_GROWTH = 1.1  # a graph is kept once it is this many times as large as the one that is kept already
_CHUNK = 1 << 20
_ABANDONED_S = 86_400.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kept:
    """A graph as it was kept; `dead` are ids in it that are not to be found, `cursor` what it has read up to."""

    index: Any
    cursor: int
    dead: tuple[int, ...]


class Snapshots:
    """The kept graphs of one scope. Processes may save at the same time: each writes files of its own name."""

    def __init__(self, folder: Path, scope: str, identity: str) -> None:
        self._folder, self._scope, self._identity = folder, scope, identity

    def save(self, index: Any, cursor: int, cluster: str, dead: Sequence[int]) -> None:
        """Keep the graph, unless a newer one is kept, or one of nearly its size.

        A disk that is full or read-only is said, and is no error.
        """
        import faiss

        known = self._manifests(cluster)
        if known and (known[0][1]["cursor"] > cursor or index.ntotal < _GROWTH * known[0][1]["total"]):
            return
        file = self._folder / f"{self._name(cluster)}-{cursor:020d}-{uuid4().hex[:8]}.faiss"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            faiss.write_index(index, str(file))
            manifest = {
                "sha256": _digest(file),
                "cursor": cursor,
                "cluster": cluster,
                "embedder": self._identity,
                "total": index.ntotal,
                "dead": list(dead),
            }
            _flush(file)
            temporary = file.with_suffix(".tmp")
            temporary.write_text(json.dumps(manifest), encoding="utf-8")
            _flush(temporary)
            temporary.replace(file.with_suffix(".json"))
            _flush(self._folder)
        except (OSError, RuntimeError) as error:
            log.warning("the cache's graph could not be kept in %s: %s", self._folder, error)
            _remove(file, file.with_suffix(".tmp"))
            return
        self._clear(cluster, file, {file.stem, *(place.stem for place, _ in known[:1])})

    def load(self, cluster: str) -> Kept | None:
        """Return the newest graph that is whole and of this database; one that is not whole is said and removed."""
        import faiss

        for place, manifest in self._manifests(cluster):
            file = place.with_suffix(".faiss")
            try:
                if manifest["cluster"] != cluster or manifest["embedder"] != self._identity:
                    continue
                if _digest(file) != manifest["sha256"]:
                    raise ValueError("it is not what was written")
                index = faiss.read_index(str(file))
                if index.ntotal != manifest["total"]:
                    raise ValueError("it holds another number of vectors")
                return Kept(index, int(manifest["cursor"]), tuple(manifest["dead"]))
            except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
                log.warning("%s, a kept graph of the cache, is not used: %s", file, error)
                _remove(place, file)
        return None

    def take_back(self, cluster: str, horizon: int) -> None:
        """Remove graphs that have read further than the database has written: it was restored to an earlier time."""
        for place, manifest in self._manifests(cluster):
            if manifest["cursor"] > horizon:
                _remove(place, place.with_suffix(".faiss"))

    def _name(self, cluster: str) -> str:
        return hashlib.sha256(json.dumps([self._scope, self._identity, cluster]).encode()).hexdigest()[:24]

    def _manifests(self, cluster: str) -> list[tuple[Path, dict[str, Any]]]:
        """Return the manifests that can be read, newest first."""
        found: list[tuple[Path, dict[str, Any]]] = []
        for place in sorted(self._folder.glob(f"{self._name(cluster)}-*.json"), reverse=True):
            with suppress(OSError, ValueError):
                manifest = json.loads(place.read_text(encoding="utf-8"))
                if isinstance(manifest, dict) and all(type(manifest.get(name)) is int for name in ("cursor", "total")):
                    found.append((place, manifest))
        return sorted(found, key=lambda one: -one[1]["cursor"])

    def _clear(self, cluster: str, newest: Path, kept: set[str]) -> None:
        """Keep the newest graph, the one before it, and what others began since; what was killed goes after a day."""
        for file in self._folder.glob(f"{self._name(cluster)}-*"):
            with suppress(OSError):
                whole = file.with_suffix(".json").exists() and file.stem <= newest.stem  # a stem ends with its cursor
                old = newest.stat().st_mtime - file.stat().st_mtime > _ABANDONED_S
                if file.stem not in kept and (whole or old):
                    _remove(file.with_suffix(".json"), file.with_suffix(".faiss"), file)


def _remove(*files: Path) -> None:
    for file in files:
        with suppress(OSError):
            file.unlink(missing_ok=True)


def _digest(file: Path) -> str:
    sha = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            sha.update(chunk)
    return sha.hexdigest()


def _flush(place: Path) -> None:
    handle = os.open(place, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
