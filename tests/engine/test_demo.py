"""The clip that parity is measured on."""

import numpy as np

from langpose_rt.engine.demo import demo_parity_clip
from langpose_rt.formats.clip import DEMO_CLIP
from langpose_rt.formats.readers import read_clip


def test_the_demo_clip_is_whole_finite_and_named_after_its_file() -> None:
    clip, source = demo_parity_clip(), read_clip(DEMO_CLIP)
    assert clip.name == DEMO_CLIP.stem
    np.testing.assert_array_equal(clip.time_ns, source.t_ns)
    assert clip.rows.shape == (len(source.t_ns), 17, 3)
    assert clip.extras.shape == (len(source.t_ns), 7)
    assert np.isfinite(clip.rows).all()
    assert np.isfinite(clip.extras).all()
    assert (clip.rows[..., 2] > 0).mean() > 0.9, "nearly all joints are seen"
