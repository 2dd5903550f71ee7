"""The pipeline as tables of (time, message) -> messages: no socket, no sleep, no clock."""

import re
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from langpose_rt.config import PRESETS
from langpose_rt.errors import ConfigError
from langpose_rt.formats.gallery_npz import Gallery
from langpose_rt.geometry.camera import Camera
from langpose_rt.geometry.length_channels import length_channels
from langpose_rt.geometry.skeleton import REFERENCE_BONES_M, REFERENCE_STATURE_M
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.pipeline.model_swap import warm_up_backend
from langpose_rt.pipeline.pipeline import Pipeline
from langpose_rt.protocol.messages import (
    Event,
    Heartbeat,
    JointFlag,
    RigCamera,
    SchemaMessage,
    decode_pose,
    decode_status,
)
from tests.fakes import LENS, MS, POSE, FakeBackend, keypoint_parts, person_px
from tests.pipeline.bench import PADDING_SLOT, Bench, bench

# What comes out -----------------------------------------------------------------------------------


def test_a_person_comes_out_where_they_stand_in_metres() -> None:
    test = bench()
    for frame in range(30):
        root_m = (-1.0 + 0.05 * frame, 0.2, 3.0 + 0.05 * frame)
        (message,) = test.feed(person_px(root_m), seq=frame, at_ms=20 * frame)
        np.testing.assert_allclose(message.poses[0, :, :3], POSE, atol=1e-5)
        assert message.root is not None
        np.testing.assert_allclose(message.root[0], root_m, atol=2e-3)
    assert (message.rig, message.camera, message.frame) == ("rig0", "cam0", "camera")
    assert (message.src.epoch, message.src.seq, message.src.t) == (7, 29, 580 * MS)
    assert (message.epoch, message.seq, message.t_srv) == (11, 29, 580 * MS)
    assert message.win.filled == (16,)
    assert message.model.id == "fake"


def test_everybody_of_every_stream_is_lifted_in_one_call() -> None:
    test = bench()
    places = {"a": [(-1.0, 0, 4), (1.0, 0, 4)], "b": [(0.3, 0.1, 5.0)], "c": []}
    for frame in range(3):
        for camera, people in places.items():
            keypoints = [person_px(root) for root in people]
            test.receive(*keypoints, camera=camera, seq=frame, at_ms=20 * frame)
        messages = test.step(20 * frame)
    assert test.backend.encodes == [3, 3, 3]
    assert {message.camera for message in messages} == {"a", "b", "c"}
    for message in messages:
        assert len(message.ids) == len(places[message.camera])
        assert message.root is not None
        expected = np.array(places[message.camera], np.float32).reshape(-1, 3)
        np.testing.assert_allclose(message.root, expected, atol=2e-3)


def test_nobodys_pose_depends_on_who_shares_the_step() -> None:
    def run(others: int) -> list[np.ndarray]:
        test, found = bench(smoothing="low"), []
        for frame in range(20):
            for other in range(others):
                people = [person_px((0.5 * other, 0, 5)), person_px((0, 0.3, 6))]
                test.receive(*people, rig=f"rig{other + 1}", seq=frame, at_ms=20 * frame)
            walker = person_px((-1 + 0.02 * frame, 0, 4))
            messages = test.feed(walker, seq=frame, at_ms=20 * frame)
            own = next(message for message in messages if message.rig == "rig0")
            assert own.root is not None
            found.append(np.concatenate([own.poses[0, :, :3], own.root]))
        return found

    np.testing.assert_allclose(run(0), run(3), atol=1e-6)


def test_a_known_height_scales_pose_root_and_sigma() -> None:
    tall = REFERENCE_STATURE_M * 1.25
    (message,) = bench().feed(person_px((0.4, 0, 5), scale=1.25), at_ms=0, person_height_m=tall)
    assert message.scale_src == "given"
    np.testing.assert_allclose(message.poses[0, :, :3], POSE * 1.25, atol=1e-5)
    np.testing.assert_allclose(message.poses[0, :, 3], 0.02 * 1.25, rtol=1e-5)
    assert message.root is not None
    np.testing.assert_allclose(message.root[0], (0.4, 0, 5), atol=2e-3)
    (option,) = bench(person_height_m=tall).feed(person_px((0.4, 0, 5)), at_ms=0)
    assert option.scale_src == "height"
    np.testing.assert_allclose(option.poses, message.poses, atol=1e-6)
    (unknown,) = bench().feed(person_px((0.4, 0, 5)), at_ms=0)
    assert unknown.scale_src == "prior"


def bones(*factors: float) -> np.ndarray:
    """Bone lengths of people of the reference proportions."""
    return np.outer(factors, REFERENCE_BONES_M).astype(np.float32)


@pytest.mark.parametrize("length_input", [False, True])
def test_known_bone_lengths_scale_each_person_unless_the_height_is_given(
    length_input: bool,
) -> None:
    test = bench(length_input=length_input, person_height_m=1.7 * 0.9, bone_steadiness=0.0)
    people = person_px((-0.4, 0, 5)), person_px((0.4, 0, 5))
    sent = {"ids": [1, 2], "bones_m": bones(1.25, 1.1)}
    (both,) = test.feed(*people, seq=0, at_ms=0, **sent)
    assert both.scale_src == "given"
    np.testing.assert_allclose(both.poses[..., :3], [POSE * 1.25, POSE * 1.1], atol=1e-5)
    (later,) = test.feed(*people, seq=1, at_ms=20, ids=[1, 2])
    assert later.scale_src == "given"
    np.testing.assert_allclose(later.poses[..., :3], both.poses[..., :3], atol=1e-5)
    (tall,) = test.feed(*people, seq=2, at_ms=40, person_height_m=1.7 * 1.5, **sent)
    np.testing.assert_allclose(tall.poses[..., :3], [POSE * 1.5] * 2, atol=1e-5)
    sent = {"ids": [1, 3], "bones_m": bones(1.25, np.nan)}
    (some,) = test.feed(*people, seq=3, at_ms=60, **sent)
    assert some.scale_src == "height", "the size of one of them is not given"
    np.testing.assert_allclose(some.poses[:2, :, :3], [POSE * 1.25, POSE * 0.9], atol=1e-5)


def test_a_model_gets_the_lengths_of_everybody_also_of_those_who_are_missing_from_a_frame() -> None:
    test = bench(length_input=True, coast_ms=500.0)
    people = [person_px((x, 0, 5)) for x in (-1.0, 0.0, 1.0)]
    bones_m = bones(1.0, 1.0, 1.0)
    bones_m[:, 1] *= (1.1, 1.2, np.nan)
    for frame in range(10):
        test.feed(*people, seq=frame, at_ms=20 * frame, ids=[5, 6, 7], bones_m=bones_m)
    hidden = np.zeros((17, 3), np.float32)  # a person without a slot keeps no row
    (message,) = test.feed(
        hidden,
        people[1],
        seq=10,
        at_ms=200,
        ids=[9, 6],
        bones_m=bones_m[:2] * np.float32([[0.5], [1.0]]),
    )
    assert message.ids.tolist() == [6, 5, 7]
    inputs = {
        round(float(np.tan(past[-1][1][0]) * 5)): past[-1][1][7:]
        for past in test.backend.history
        if past
    }
    np.testing.assert_allclose([inputs[-1]], length_channels(bones_m[:1]), atol=1e-6)
    np.testing.assert_allclose([inputs[0]], length_channels(bones_m[1:2]), atol=1e-6)
    assert not inputs[1].any(), "nothing is known of the third person"


def test_the_lengths_of_somebody_who_left_are_not_those_of_the_next() -> None:
    test = bench(slots=1, length_input=True, track_timeout_s=0.1, coast_ms=0.0)
    (first,) = test.feed(person_px((0, 0, 5)), at_ms=0, ids=[1], bones_m=bones(1.25))
    assert first.scale_src == "given"
    for frame in range(1, 15):
        test.feed(seq=frame, at_ms=20 * frame)
    (second,) = test.feed(person_px((0, 0, 5)), seq=15, at_ms=300, ids=[2])
    assert second.scale_src == "prior"
    np.testing.assert_allclose(second.poses[0, :, :3], POSE, atol=1e-5)
    assert not test.backend.history[0][-1][1][7:].any()


def test_world_axes_are_given_where_the_cameras_place_is_known() -> None:
    turn = np.array([[0.0, 0, 1, 4], [1, 0, 0, 5], [0, 1, 0, 6], [0, 0, 0, 1]])
    cameras = {"cam0": Camera(name="cam0", intrinsics=LENS, T_world_camera=turn)}
    test = bench(cameras=cameras, axes="world")
    (message,) = test.feed(person_px((0.4, 0, 5)), at_ms=0)
    assert message.frame == "world"
    np.testing.assert_allclose(message.poses[0, :, :3], POSE @ turn[:3, :3].T, atol=1e-5)
    assert message.root is not None
    np.testing.assert_allclose(message.root[0], (5 + 4, 0.4 + 5, 0 + 6), atol=2e-3)
    (other,) = test.feed(person_px((0.4, 0, 5)), camera="cam1", at_ms=0)
    assert other.frame == "camera"


def test_joints_say_whether_they_were_measured() -> None:
    test = bench()
    half = person_px((0, 0, 4))
    half[11:] = 0
    flags = [
        test.feed(person, seq=seq, at_ms=20 * seq)[0].flags[0]
        for seq, person in enumerate((half, PADDING_SLOT))
    ]
    assert set(flags[0][:11]) == {JointFlag.MEASURED}
    assert set(flags[0][11:]) == {JointFlag.IMPUTED}
    assert set(flags[1]) == {JointFlag.PREDICTED}


def test_states_follow_what_was_seen_of_a_person() -> None:
    test, states = bench(frames=64), []
    for frame in range(150):
        seen = person_px((0, 0, 4)) if not 40 <= frame < 110 else PADDING_SLOT
        (message,) = test.feed(seen, seq=frame, at_ms=20 * frame)
        states += message.state or ("gone",)
    changes = [(0, "warmup"), (25, "ok"), (40, "predicted"), (90, "gone"), (110, "warmup")]
    changes += [(135, "ok")]
    assert [(i, s) for i, s in enumerate(states) if i == 0 or s != states[i - 1]] == changes


def test_the_filter_smooths_what_is_published_and_never_what_the_model_sees() -> None:
    rng, rows = np.random.default_rng(0), {}
    for smoothing in ("off", "high"):
        rng, test, roots = np.random.default_rng(0), bench(smoothing=smoothing), []
        for frame in range(60):
            noisy = person_px((0, 0, 4))
            noisy[:, :2] += rng.normal(0, 2, (17, 2))
            (message,) = test.feed(noisy, seq=frame, at_ms=20 * frame)
            assert message.root is not None
            roots.append(message.root[0, 2])
        rows[smoothing] = np.array(test.backend.history[0][-1][1]), np.std(np.diff(roots))
    np.testing.assert_array_equal(rows["off"][0], rows["high"][0])
    assert rows["high"][1] < 0.5 * rows["off"][1]


# What it says of itself ---------------------------------------------------------------------------


def test_it_says_heartbeats_schemas_and_the_end() -> None:
    test, person = bench(name="studio"), person_px((0, 0, 4))
    assert test.pipeline.state == "starting"
    test.tick(0)
    for frame in range(50):
        test.feed(person, seq=frame, at_ms=20 * frame)
    (beat,) = (reply for reply in test.tick(1000) if isinstance(reply, Heartbeat))
    assert (beat.server, beat.state, beat.streams, beat.persons) == ("studio", "ready", 1, 1)
    assert beat.fps == pytest.approx(50)
    assert beat.counters["frames"] == 50
    assert beat.model is not None
    assert beat.model.id == "fake"
    names = [reply.name for reply in test.tick(5000) if isinstance(reply, SchemaMessage)]
    assert "h36m17" in names
    (goodbye,) = (decode_status(parts) for parts in test.pipeline.drain(6000 * MS))
    assert isinstance(goodbye, Event)
    assert goodbye.kind == "drain"
    assert test.pipeline.state == "draining"


def test_an_assumed_lens_is_said_once_per_stream_and_in_the_snapshot() -> None:
    test, person = bench(fov_deg=None), person_px((0, 0, 4))
    said = []
    for frame in range(100):
        test.feed(person, seq=frame, at_ms=100 * frame)
        test.feed(person, camera="cam1", cam=RigCamera(k=(900.0, 900.0, 640.0, 360.0)), seq=frame,
                  at_ms=100 * frame)  # fmt: skip
        said += test.events(100 * frame)
    (event,) = said
    assert (event.kind, event.reason) == ("camera", "assumed_intrinsics")
    assert (event.subject, event.count) == ("kp2d/rig0/cam0/", 1)
    assert re.search(r"60 degrees.*send k.*--cameras.*--fov-deg", event.detail)
    streams = test.pipeline.snapshot(0).streams
    assert [(s.camera, s.assumed_intrinsics) for s in streams] == [("cam0", True), ("cam1", False)]
    test.feed(person, cam=RigCamera(k=(900.0, 900.0, 640.0, 360.0)), seq=100, at_ms=10_000)
    assert not any(stream.assumed_intrinsics for stream in test.pipeline.snapshot(0).streams)


def test_stages_are_timed_by_the_clock_it_is_given() -> None:
    ticks = iter(range(0, 10**9, MS))
    pipeline = Pipeline(FakeBackend(), PipelineConfig(), epoch=1, clock=lambda: next(ticks))
    pipeline.receive(keypoint_parts(person_px((0, 0, 4))), 0)
    (parts,) = pipeline.step(0)
    lat = decode_pose(parts).lat
    assert (lat.rx, lat.tx) == (0, MS)
    assert all(stage > 0 for stage in (lat.win, lat.lift, lat.post))
    assert pipeline.snapshot(0).p50_ms > 0


def test_json_is_served_like_anything_else() -> None:
    keypoints = person_px((0, 0, 4)).ravel().tolist()
    body = {"people": [{"pose_keypoints_2d": keypoints}], "wh": [1280, 720], "fmt": "h36m17"}
    test = bench()
    assert test.pipeline.receive([b"kp2d/web/cam0/", msgspec.json.encode(body)], 0)
    (message,) = test.step(0)
    np.testing.assert_allclose(message.poses[0, :, :3], POSE, atol=1e-5)


def test_a_model_that_cannot_be_served_live_is_refused_before_anything_starts() -> None:
    backend = FakeBackend()
    config = PRESETS["lite"].to_dict()
    backend.manifest = msgspec.structs.replace(backend.manifest, config=config)
    with pytest.raises(ConfigError, match="serve a live model"):
        Pipeline(backend)


def test_warming_up_leaves_no_trace() -> None:
    test = bench()
    warm_up_backend(test.pipeline.model)
    assert test.backend.history[0] == []
    (message,) = test.feed(person_px((0, 0, 4)), at_ms=0)
    assert message.win.filled == (1,)


def test_with_a_gallery_everybody_is_doing_what_is_nearest() -> None:
    backend = FakeBackend()
    config = replace(backend.manifest.model_config, embedding=4).to_dict()
    card = {"text_sha256": "abc"}
    backend.manifest = msgspec.structs.replace(backend.manifest, card=card, config=config)
    backend.embedding = np.array([0, 3, 4, 0], np.float32)
    axes = np.eye(4, dtype=np.float32)
    gallery = Gallery(labels=("bow", "run", "walk", "wave"), embeddings=axes, text_sha256="abc")
    found = Bench(backend, Pipeline(backend, gallery=gallery))
    (message,) = found.feed(person_px((0, 0, 4)), person_px((1, 0, 4)), at_ms=0)
    assert message.actions is not None
    assert [[label for label, _ in best] for best in message.actions] == [
        ["walk", "run", "bow"], ["walk", "run", "bow"],
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="not aligned with text"):
        found.pipeline.check_model(FakeBackend().manifest)
    backend = FakeBackend()
    (message,) = Bench(backend, Pipeline(backend)).feed(person_px((0, 0, 4)), at_ms=0)
    assert message.actions is None
