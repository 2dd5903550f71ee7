"""What encoding and decoding a message costs, at 1, 8 and 64 people.

python -m tests.benchmarks.codec

Prints machine, commit and command with the figures; asserts nothing.
"""

import time
from collections.abc import Callable

import msgspec

from langpose_rt.protocol.messages import (
    JsonNumbering,
    decode_keypoints,
    decode_pose,
    encode_keypoints,
    encode_pose,
)
from tests.benchmarks.origin import origin
from tests.protocol.samples import forged, keypoint_sample, pose_sample

PEOPLE = (1, 8, 64)
CALLS, ROUNDS = 20, 300


def main() -> None:
    """Print the table."""
    print(origin("python -m tests.benchmarks.codec"))
    print(f"microseconds per message, best of {ROUNDS} rounds")
    print(f"{'':<14}" + "".join(f"{f'{people} people':>12}" for people in PEOPLE))
    columns = [_calls(people) for people in PEOPLE]
    for name in columns[0]:
        cells = "".join(f"{_best_us(column[name]):>12.1f}" for column in columns)
        print(f"{name:<14}{cells}", flush=True)


def _calls(people: int) -> dict[str, Callable[[], object]]:
    """Every operation on a message of so many people, without embedding and actions."""
    keypoints = keypoint_sample(people)
    poses = forged(pose_sample(people), actions=None, embedding=None, echo=None)
    keypoint_parts, pose_parts = encode_keypoints(keypoints), encode_pose(poses)
    document = {"keypoints": keypoints.keypoints.tolist(), "wh": keypoints.wh}
    json_parts = [keypoint_parts[0], msgspec.json.encode(document)]
    numbering = JsonNumbering(0)
    return {
        "kp2d encode": lambda: encode_keypoints(keypoints),
        "kp2d decode": lambda: decode_keypoints(keypoint_parts, now_ns=0),
        "kp2d of JSON": lambda: decode_keypoints(json_parts, now_ns=0, numbering=numbering),
        "pose3d encode": lambda: encode_pose(poses),
        "pose3d decode": lambda: decode_pose(pose_parts),
    }


def _best_us(call: Callable[[], object]) -> float:
    """The fastest of several rounds: other load on the machine only ever adds."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter_ns()
        for _ in range(CALLS):
            call()
        best = min(best, time.perf_counter_ns() - start)
    return best / CALLS / 1e3


if __name__ == "__main__":
    main()
