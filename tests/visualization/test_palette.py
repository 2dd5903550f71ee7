from langpose_rt.visualization import palette
from langpose_rt.visualization.palette import colour_from_hex, mix


def test_a_web_colour_is_read_in_the_order_of_opencv() -> None:
    assert colour_from_hex("#0a141e") == (30, 20, 10)


def test_a_mix_goes_from_the_first_colour_to_the_second() -> None:
    assert mix((0, 100, 200), (200, 100, 0), 0.0) == (0, 100, 200)
    assert mix((0, 100, 200), (200, 100, 0), 0.25) == (50, 100, 150)
    assert mix((0, 100, 200), (200, 100, 0), 1.0) == (200, 100, 0)


def test_left_and_right_differ_for_everybody() -> None:
    left, right = palette.LEFT, palette.RIGHT
    assert left[2] - right[2] > 100  # orange has red where blue has none
    assert right[0] - left[0] > 100  # and that is what red-green blindness leaves
