"""Arrays behind each other in one block."""

import numpy as np

from langpose_rt.runtime.cuda.memory_layout import ALIGNMENT, Layout


def test_views_and_addresses_are_the_same_places_and_do_not_overlap() -> None:
    layout = Layout({"a": ((3, 5), "float16"), "b": ((), "int64"), "c": ((0, 4), "float32")})
    block = np.zeros(layout.size_bytes, np.uint8)
    views, addresses = layout.views(block), layout.addresses(block.ctypes.data)
    for name, view in views.items():
        assert view.ctypes.data == addresses[name] or view.size == 0
        assert (addresses[name] - block.ctypes.data) % ALIGNMENT == 0
    views["a"][:] = 1
    assert views["b"] == 0
    views["b"][...] = -1
    assert (views["a"] == 1).all()


def test_a_block_of_nothing_still_is_one() -> None:
    assert Layout({}).size_bytes == ALIGNMENT
