"""Action scores: similarity of each person's motion embedding to a gallery of sentences.

The sentences were embedded beforehand, so a score costs one product.
"""

import numpy as np
from jaxtyping import Float32, Int, Int64

from langpose_rt.config import NS_PER_S
from langpose_rt.formats.gallery_npz import Gallery
from langpose_rt.protocol.poses import Actions

BEST = 3
"""Sentences published for every person."""

MEMORY_S = 1.0
"""Time constant of the running mean of a person's motion embedding."""


class ActionScores:
    """Running mean of every person's motion embedding, and the sentences nearest to it.

    Args:
        gallery: The sentences.
        slots: Persons at once.
    """

    def __init__(self, gallery: Gallery, slots: int) -> None:
        self._gallery = gallery
        self._mean = np.zeros((slots, gallery.embeddings.shape[1]), np.float32)
        self._time_ns = np.zeros(slots, np.int64)

    def follow(
        self,
        slots: Int[np.ndarray, " batch"],
        embedding: Float32[np.ndarray, "batch embedding"],
        time_ns: Int64[np.ndarray, " batch"],
        pushes: Int64[np.ndarray, " batch"],
    ) -> None:
        """Add the newest embedding of the given persons.

        Args:
            slots: Distinct.
            embedding: Finite.
            time_ns: Capture times.
            pushes: Frames of the person so far; the first one clears the slot.
        """
        dt_s = (time_ns - self._time_ns[slots]) / NS_PER_S
        share = np.where(pushes <= 1, 1.0, 1 - np.exp(-dt_s / MEMORY_S))
        share = np.maximum(share, 1 / np.maximum(pushes, 1)).astype(np.float32)[:, None]
        self._mean[slots] += share * (embedding - self._mean[slots])
        self._time_ns[slots] = time_ns

    def best(self, slots: Int[np.ndarray, " batch"]) -> Actions:
        """Return the nearest sentences of every person with cosine similarity, best first."""
        mean = self._mean[slots]
        norm = np.sqrt((mean * mean).sum(-1, keepdims=True))
        similarity = (mean / np.maximum(norm, 1e-12)) @ self._gallery.embeddings.T
        order = np.argsort(-similarity, axis=-1, kind="stable")[:, :BEST]
        labels = self._gallery.labels
        return tuple(
            tuple((labels[place], float(row[place])) for place in places)
            for row, places in zip(similarity, order.tolist(), strict=True)
        )
