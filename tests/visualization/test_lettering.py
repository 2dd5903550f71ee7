import cv2
import numpy as np
import pytest

from langpose_rt.visualization import lettering
from langpose_rt.visualization.lettering import draw_text, text_width_px

SIGNS = "· • – − — ± σ × ° µ ≤ → ’"
WHITE = (255, 255, 255)


@pytest.fixture(params=["typeface", "line-drawn"])
def _lettering(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to write: OpenCV 5's typeface and OpenCV 4's line-drawn letters."""
    if request.param == "line-drawn":
        monkeypatch.setattr(lettering, "_FACE", None)
    elif not hasattr(cv2, "FontFace"):
        pytest.skip("this OpenCV has no typeface")


def inked(text: str, **changes: int) -> np.ndarray:
    pixels = np.zeros((80, 900, 3), np.uint8)
    draw_text(pixels, text, (10.0, 50.0), 30.0, colour=WHITE, **changes)
    return pixels.max(-1) > 128


@pytest.mark.usefixtures("_lettering")
def test_the_ink_ends_where_the_width_says() -> None:
    text = "latency p99 4.1 ms"
    columns = np.flatnonzero(inked(text).any(0))
    assert columns.min() >= 10
    assert columns.max() == pytest.approx(10 + text_width_px(text, 30.0), abs=8)


@pytest.mark.usefixtures("_lettering")
def test_the_baseline_is_where_it_was_asked_for() -> None:
    rows = np.flatnonzero(inked("HHH").any(1))
    assert rows.max() == pytest.approx(50, abs=3)
    assert 15 <= rows.max() - rows.min() <= 32


@pytest.mark.usefixtures("_lettering")
def test_semibold_has_more_ink() -> None:
    assert inked("metres", weight=600).sum() > 1.1 * inked("metres").sum()


@pytest.mark.usefixtures("_lettering")
def test_nothing_has_no_width() -> None:
    assert text_width_px("", 30.0) == 0


def test_line_drawn_letters_spell_the_signs_that_captions_use() -> None:
    spelled = lettering._to_ascii(SIGNS)
    assert spelled.isascii()
    assert "?" not in spelled


def test_line_drawn_letters_show_a_question_mark_for_any_other_sign() -> None:
    assert lettering._to_ascii("a日b") == "a?b"
