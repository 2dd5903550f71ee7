"""A pipeline over the fake backend, fed and read in one call."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from langpose_rt.geometry.camera import Camera
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.pipeline.pipeline import Pipeline
from langpose_rt.protocol.messages import (
    Event,
    Heartbeat,
    PoseMessage,
    SchemaMessage,
    decode_pose,
    decode_status,
)
from tests.fakes import MS, FakeBackend, keypoint_parts

PADDING_SLOT = np.zeros((17, 3), np.float32)


@dataclass
class Bench:
    """A pipeline over the fake backend, with decoded messages."""

    backend: FakeBackend
    pipeline: Pipeline

    def feed(self, *people: np.ndarray, at_ms: float, **fields: Any) -> list[PoseMessage]:
        """One frame in, captured and received at that time, and one step."""
        self.receive(*people, at_ms=at_ms, **fields)
        return self.step(at_ms)

    def receive(self, *people: np.ndarray, at_ms: float, **fields: Any) -> bool:
        fields = {"t_ms": at_ms} | fields
        return self.pipeline.receive(keypoint_parts(*people, **fields), round(at_ms * MS))

    def step(self, at_ms: float) -> list[PoseMessage]:
        return [decode_pose(parts) for parts in self.pipeline.step(round(at_ms * MS))]

    def flush(self, at_ms: float) -> list[PoseMessage]:
        return [decode_pose(parts) for parts in self.pipeline.flush(round(at_ms * MS))]

    def tick(self, at_ms: float) -> list[Heartbeat | SchemaMessage | Event | PoseMessage]:
        outgoing = self.pipeline.tick(round(at_ms * MS))
        return [
            decode_pose(parts) if parts[0].startswith(b"pose3d/") else decode_status(parts)
            for parts in outgoing
        ]

    def events(self, at_ms: float) -> list[Event]:
        return [message for message in self.tick(at_ms) if isinstance(message, Event)]

    def counter(self, name: str) -> int:
        return self.pipeline.snapshot(0).counters[name]


def bench(
    slots: int = 8,
    frames: int = 16,
    cameras: dict[str, Camera] | None = None,
    *,
    length_input: bool = False,
    **options: Any,
) -> Bench:
    backend = FakeBackend(slots, frames, length_input=length_input)
    config = PipelineConfig(**{"smoothing": "off", "fov_deg": 60.0} | options)
    return Bench(backend, Pipeline(backend, config, cameras, epoch=11))


def seqs(messages: Sequence[PoseMessage]) -> list[int]:
    return [message.src.seq for message in messages]
