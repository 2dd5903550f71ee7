"""Action scores: running mean of the embedding, and order of the sentences."""

import numpy as np

from langpose_rt.formats.gallery_npz import Gallery
from langpose_rt.pipeline.action_scores import MEMORY_S, ActionScores

AXES = np.eye(4, dtype=np.float32)
GALLERY = Gallery(labels=("bow", "run", "walk", "wave"), embeddings=AXES, text_sha256="abc")
SLOTS = np.array([0, 1], np.int32)


def follow(scores: ActionScores, embedding: np.ndarray, t_s: float, pushes: int) -> None:
    count = len(embedding)
    time_ns, done = np.full(count, round(t_s * 1e9)), np.full(count, pushes)
    scores.follow(SLOTS[:count], embedding.astype(np.float32), time_ns, done)


def test_the_nearest_sentence_comes_first_with_its_cosine() -> None:
    scores = ActionScores(GALLERY, 2)
    follow(scores, np.array([[0, 3, 4, 0], [0, 0, 0, 2]]), 0.0, 1)
    first, second = scores.best(SLOTS)
    assert [label for label, _ in first] == ["walk", "run", "bow"]
    np.testing.assert_allclose([score for _, score in first], [0.8, 0.6, 0.0], atol=1e-6)
    assert second[0] == ("wave", 1.0)


def test_the_mean_is_plain_at_first_and_forgets_with_time() -> None:
    scores = ActionScores(GALLERY, 2)
    for frame in range(4):
        follow(scores, AXES[[frame % 2]], frame / 100, frame + 1)
    np.testing.assert_allclose(scores._mean[0], [0.5, 0.5, 0, 0], atol=0.01)
    frames = 2000
    for frame in range(frames):
        follow(scores, AXES[[2]], 1 + frame / 100, 5 + frame)
    assert scores.best(SLOTS[:1])[0][0][0] == "walk"
    follow(scores, AXES[[3]], 1 + frames / 100 + MEMORY_S, frames + 5)
    np.testing.assert_allclose(scores._mean[0, 3], 1 - np.exp(-1), atol=0.02)


def test_a_new_person_in_the_slot_inherits_nothing() -> None:
    scores = ActionScores(GALLERY, 2)
    follow(scores, AXES[[0]], 0.0, 1)
    follow(scores, AXES[[1]], 0.001, 1)
    np.testing.assert_array_equal(scores._mean[0], AXES[1])
