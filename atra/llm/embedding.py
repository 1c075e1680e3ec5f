"""The protocol of what turns texts into vectors, whichever model stands behind it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]


class Embedder(Protocol):
    """A model that gives texts of like meaning vectors of like direction. Safe to share between threads."""

    @property
    def identity(self) -> str:
        """The model and its revision. Vectors of two identities are never compared."""

    @property
    def dim(self) -> int:
        """How many numbers a vector has."""

    def embed(self, texts: Sequence[str]) -> "Vectors":
        """Return one unit vector per text, shape (n, dim), float32; what is too long for the model is cut.

        Raises:
            MissingPart: the model is not on this machine.
            ModelUnavailable: a server that does not answer; worth another try.
        """
