"""Mutated messages into every decoder: whatever comes, nothing but a MessageError goes out.

python -m tests.benchmarks.fuzz_messages --messages 1000000 --seed 0

Every message is a valid one with bytes overwritten, cut, doubled or swapped between parts, with
header values replaced, or with JSON in its place. An exception that escapes ends the run with its
traceback, and the seed and number of the message repeat it. Prints messages per second and how
often every reason was given.
"""

import argparse
import random
import time
from collections import Counter
from collections.abc import Callable

import msgspec
import numpy as np

from langpose_rt.errors import MessageError
from langpose_rt.protocol.messages import (
    JsonNumbering,
    KeypointMessage,
    PoseMessage,
    decode_keypoints,
    decode_pose,
    decode_status,
)
from tests.benchmarks.origin import origin
from tests.protocol.samples import encoded_samples, keypoint_sample

Parts = list[bytes]

ODD_VALUES = [
    None,
    True,
    0,
    -1,
    1 << 31,
    (1 << 53) - 1,
    1 << 53,
    (1 << 64) - 1,
    -(1 << 63),
    0.5,
    float("nan"),
    float("inf"),
    "",
    "lprt",
    "x" * 300,
    "9" * 400,
    b"\x00\xff",
    [],
    [[]],
    [1, 17, 3],
    [1 << 40, 1 << 40, 3],
    [-1] * 65,
    {},
    {"k": [float("nan")] * 4},
    {"T_wc": [1e300] * 16, "gravity": [0, 0, 0]},
]
JSON_PIECES = [
    b"{", b"}", b"[", b"]", b",", b":", b"null", b"1e999", b"-1e308", b"9" * 40, b'"\\ud800"',
    b"\xff", b"true", b'"keypoints"', b'"people"', b'"wh"', b"[[[1,2,3]]]", b"[" * 2000,
]  # fmt: skip


def main() -> None:
    """Run, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    command = f"fuzz_messages --messages {options.messages} --seed {options.seed}"
    print(origin(f"python -m tests.benchmarks.{command}"), flush=True)
    start_s = time.perf_counter()
    outcomes = fuzz(options.messages, options.seed)
    elapsed_s = time.perf_counter() - start_s
    print(f"{options.messages} messages, {options.messages / elapsed_s:.0f} a second; none escaped")
    for outcome, count in outcomes.most_common():
        print(f"{count:>10}  {outcome}")


def fuzz(messages: int, seed: int) -> Counter[str]:
    """How often every outcome came; what escapes says which message it was."""
    chance = random.Random(seed)
    valid = _valid_messages()
    numbering = JsonNumbering(0)
    decoders: list[Callable[[Parts], object]] = [
        lambda parts: decode_keypoints(parts, now_ns=0, numbering=numbering),
        decode_pose,
        decode_status,
    ]
    outcomes: Counter[str] = Counter()
    for number in range(messages):
        kind, parts = chance.choice(valid)
        mutated = chance.choice(MUTATIONS)(chance, parts)
        try:
            outcomes[_outcome(decoders[kind], mutated)] += 1
        except Exception as error:
            found = f"message {number} of seed {seed} let it escape: {mutated!r:.2000}"
            raise AssertionError(found) from error
    return outcomes


def _valid_messages() -> list[tuple[int, Parts]]:
    """Valid messages, each with the number of the decoder that reads it."""
    samples = encoded_samples()
    keypoints = keypoint_sample().keypoints.tolist()
    flat = [number for point in keypoints[0] for number in point]
    documents = [
        {"keypoints": keypoints, "wh": [640, 480], "ids": [1, 2], "t": "1700000000000000000"},
        {"people": [{"pose_keypoints_2d": flat, "person_id": [-1]}], "wh": [640, 480]},
        {"instances": [{"keypoints": keypoints[0], "track_id": 1}], "wh": [640, 480]},
        [{"keypoints": flat, "idx": 1, "image_id": "0.jpg"}],
    ]
    topic = samples["kp2d"][0]
    texts: list[tuple[int, Parts]] = [(0, [topic, msgspec.json.encode(doc)]) for doc in documents]
    decoders = {"kp2d": 0, "pose3d": 1, "hb": 2, "schema": 2, "event": 2}
    kinds = [(name.partition("_")[0], parts) for name, parts in samples.items()]
    return [(decoders[kind], parts) for kind, parts in kinds if kind in decoders] + texts


def _outcome(decode: Callable[[Parts], object], parts: Parts) -> str:
    try:
        message = decode(parts)
    except MessageError as error:
        return error.reason
    if isinstance(message, KeypointMessage) and not np.isfinite(message.keypoints).all():
        raise AssertionError("a keypoint is not finite")
    if isinstance(message, PoseMessage) and not np.isfinite(message.poses).all():
        raise AssertionError("a pose is not finite")
    return "read"


def _overwritten(chance: random.Random, parts: Parts) -> Parts:
    changed = list(parts)
    for _ in range(chance.randint(1, 4)):
        part = chance.randrange(len(changed))
        raw = bytearray(changed[part])
        start = chance.randrange(len(raw) + 1)
        raw[start : start + chance.randint(0, 8)] = chance.randbytes(chance.randint(0, 8))
        changed[part] = bytes(raw)
    return changed


def _rearranged(chance: random.Random, parts: Parts) -> Parts:
    changed = list(parts)
    first, second = chance.randrange(len(parts)), chance.randrange(len(parts))
    action = chance.randrange(4)
    if action == 0:
        changed[first], changed[second] = changed[second], changed[first]
    elif action == 1:
        changed[first] = changed[first][: chance.randrange(len(changed[first]) + 1)]
    elif action == 2:
        changed.insert(first, changed[second] * chance.choice([1, 2, 40]))
    else:
        del changed[first]
    return changed


def _with_odd_values(chance: random.Random, parts: Parts) -> Parts:
    if parts[1][:1] in b"{[":
        return _with_json_pieces(chance, parts)
    header = msgspec.msgpack.decode(parts[1])
    for _ in range(chance.randint(1, 3)):
        header[chance.choice(list(header))] = chance.choice(ODD_VALUES)
    return [parts[0], msgspec.msgpack.encode(header), *parts[2:]]


def _with_json_pieces(chance: random.Random, parts: Parts) -> Parts:
    text = parts[1] if parts[1][:1] in b"{[" else b'{"keypoints":[[1,2,3]],"wh":[9,9]}'
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(text) + 1)
        text = text[:start] + chance.choice(JSON_PIECES) + text[start + chance.randint(0, 6) :]
    return [parts[0], text]


def _noise(chance: random.Random, parts: Parts) -> Parts:
    return [
        chance.choice([parts[0], chance.randbytes(12)]),
        chance.randbytes(chance.randint(0, 90)),
    ]


MUTATIONS = [_overwritten, _rearranged, _with_odd_values, _with_json_pieces, _noise]

if __name__ == "__main__":
    main()
