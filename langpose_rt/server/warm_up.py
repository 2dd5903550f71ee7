"""Warm up the whole pipeline with three demo frames before the ports open.

Libraries that load on first use are loaded then. OpenCV alone, for a lens with distortion, blocks
every thread for 130 ms: longer than a frame may wait in its queue.
"""

from itertools import islice

import numpy as np

from langpose_rt.formats.clip import DEMO_CLIP
from langpose_rt.formats.readers import read_clip
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.pipeline.offline import CAMERA, RIG, frames_of_clip
from langpose_rt.pipeline.pipeline import Pipeline
from langpose_rt.protocol.messages import encode_keypoints
from langpose_rt.runtime.backend import Backend

_FRAMES = 3


def warm_up_pipeline(backend: Backend, config: PipelineConfig) -> None:
    """Lift the beginning of the demo clip with a pipeline of its own, and reset the backend.

    Args:
        backend: Has no people in its windows, before and after.
        config: Options of the pipeline that will serve.
    """
    pipeline = Pipeline(backend, config)
    frames = frames_of_clip(read_clip(DEMO_CLIP), RIG, CAMERA, epoch=1)
    for frame in islice(frames, _FRAMES):
        pipeline.receive(encode_keypoints(frame), frame.t_ns)
        pipeline.step(frame.t_ns)
    pipeline.flush(frame.t_ns)
    backend.reset(np.arange(backend.slots, dtype=np.int32))
