"""Wire protocol lprt/1: all messages of rigs and server, byte for byte.

This docstring is the specification; an implementation needs nothing else of this package.
`langpose_rt/assets/golden/` holds one message of every kind as bytes. Everything here is bytes in,
values out and back: no sockets and no clock.

Transport
=========
ZeroMQ (ZMTP 3.x) multipart messages over TCP, or ipc:// in a folder of the server's machine. The
server binds, all others connect; a rig that binds a PUB itself is configured in the server.

    port      server socket   peer                 use
    5555      SUB             rig: PUB             2D keypoints in
    5556      XPUB            consumer: SUB        3D poses, heartbeats, schemas, events out
    5557      ROUTER          DEALER or REQ        control: `ctl/1`, see `control.py`

Send with the no-wait flag and never set CONFLATE: it keeps the last part instead of the last
message. A full queue drops the newest message, so a slow consumer should read all that is waiting
and use the newest of every topic. A rig sets HEARTBEAT_IVL 500 and HEARTBEAT_TIMEOUT 1500 (ms); a
SUB that connects must not, or libzmq may abort its process once it reads slowly [libzmq#3937].

Keys
====
A server with keys speaks CURVE [https://rfc.zeromq.org/spec/26] on all three ports and lets in the
public keys of its folder only. There `<name>.key` pins a key to a name: it publishes
"kp2d/<name>/..." and as no other rig, subscribes to everything, and may request everything but
reload, cameras and drain, see `control.py`. Reasons for rejected clients:
    not_encrypted     connected without keys
    wrong_server_key  encrypted for another server
    unknown_key       a key that is not in the folder; accepted at the next attempt once it is there
    no_handshake      left, or was silent for 2 s, before the end of the handshake; one without keys
                      may do so too
    revoked_key       a message or request with a key that was taken out since it connected
    spoofed_rig       a message of another rig than the one its key is named after
A server without keys reports peers whose type of socket does not fit the port (wrong_socket).
The first four are of connections and have no subject; a stranger's key and address are in the
server's log, never in an event. A consumer whose key is taken out hears on until it reconnects.

Parts of a message
==================
    [0]   topic     ASCII, ends in "/":  kp2d/<rig>/<camera>/    pose3d/<rig>/<camera>/
                    hb/<server>/         schema/<format>/        event/<kind>/
    [1]   header    one msgpack map with string keys, at most 8 KiB
    [2]   payload   one array, little-endian, C order, nothing before, between or after
                    (absent in hb, schema and event)
    [3..] extra     further arrays, one for every entry of header.extra, in its order

A sender of a longer message is disconnected by ZeroMQ before the message is delivered: nothing of
it is counted or reported, and no other client is affected. The sender must reconnect.

Names are 1 to 64 of the characters A-Z a-z 0-9 _ . - and nothing else. All parts of a message
together are at most 1 MiB, and there are at most 16. To subscribe to one rig, subscribe to
"pose3d/<rig>/" with the slash: prefixes without it match "rig10" for "rig1".

Types in headers: `uint` is an integer from 0 to 2^53 - 1, so that JavaScript holds it exactly.
`time` is an integer count of nanoseconds between -(2^62 - 1) and 2^62 - 1, or the same as a string
of decimal digits. `float` may also be written as an integer; an integer may not be written as a
float, nor either of them as a string. Unknown keys are ignored. Optional keys may be absent or nil.

Every header begins with
    p      string   "lprt"
    v      int      1
    s      string   what this message is, such as "kp2d/1"

kp2d/1: the people one camera saw in one frame
==============================================
    epoch  uint     random number, drawn at every start of the publisher
    seq    uint     0 for the first frame, then one more for every frame of this topic
    t      time     when the image was captured, in the clock `clk`
    clk    string   "unix", "ptp" or "mono:<boot id>"; the server estimates the offset
    fmt    string   keypoint format: "coco17", "halpe26", "body25", "body25b", "h36m17" ...
    unit   string   "px": pixels from the top-left corner of the image, x right, y down;
                    "norm": the same divided by width and height
    wh     [int]*2  width and height of that image in pixels, 1 to 65536
    shape  [uint]*3 [P, K, 3]: people, joints of the format, and x, y, score
    dtype  string   "<f4", IEEE 754 single precision, little-endian
    ids    [int]*P  the rig's number for every person, 0 to 2^53 - 1; -1: the server tracks
  optional
    fps    float    nominal frame rate in Hz, 0.01 to 10000
    person_height_m float  standing height of the people, 0.3 to 3.0
    bones_m [[float]*16]*P  measured bone lengths of every person in metres, 0.01 to 1.5; nil where
                    those of the person's earlier frames hold, or none are known. Frames are lost,
                    so send them with every one; those of many people as 32-bit floats, for the
                    header has a limit. A bone has the name of the joint it ends in, in the order of
                    `skel` of pose3d/1 without Hip. It begins in the joint before it; RHip, LHip and
                    Spine begin in Hip, LShoulder and RShoulder in Thorax
    cam    map, every key optional:
        k            [float]*4   fx, fy (0.02 to 200 image sizes), cx, cy in pixels of the image
        dist         [float]*n   OpenCV distortion, n of 0, 4, 5, 8, 12, 14; at most 1e4 each
        undistorted  bool        the keypoints are undistorted already
        T_wc         [float]*16  rigid transform camera to world, 4 x 4 row by row, metres
        gravity      [float]*3   direction in which things fall, in camera axes; of any length
                                 from 0.1 to 100
    sync   {offset: time, unc: uint}: what a rig found by `clock` requests (`control.py`):
           what to add to `t` to have the server's unix nanoseconds, and how wrong that may be; the
           clocks drift apart, so ask again every few seconds
    names  [string]*P the tracker's texts for the people, nil without one; at most 64 characters
    via    {epoch: uint, ids: [int]*P, next: uint}: added by the front of a cluster, never by a rig:
           number of the assignment of this stream to this server; the ids that another server
           gave the people of this frame (or none); the least id of a new person
    bbox   reserved and not read

Payload: P * K * 3 floats, person by person, joint by joint. P = 0 is legal (an empty payload part)
and keeps time moving; send it for every frame without people.

Missing joints: a NaN among the three, a score of 0 or less, or x and y of exactly 0. Impossible
numbers: infinite, or a coordinate beyond 10 image sizes; that joint is missing and counted. Scores
above 1 count as 1. Of more than 64 people the 64 with the best mean score are lifted, the others
counted. An id that comes a second time in a frame becomes -1. A `cam` that no camera has refuses
the message.

Order: frames belong together by topic and epoch. A frame with the `seq` of the one before is a
duplicate, one with a lower `seq` is late; both are dropped and counted. A gap is counted and time
goes on. A new epoch restarts the stream, so a restarted rig must draw a new one. `clk` may be
any steady clock; a step of more than 1 s ahead, or back past the frame before, is flagged and
counted, and the receive clock times that frame instead.

JSON instead of msgpack
=======================
`[topic, JSON]` is accepted on the same topic; the first byte of part 1, one of "{" and "[" or white
space, tells. UTF-8, null for a missing number. One of
    {"keypoints": [[[x, y, score], ...], ...], ...}   with any of the keys of kp2d/1
    {"people": [{"pose_keypoints_2d": [x, y, score, ...], "person_id": [-1]}, ...]}      OpenPose
    [{"keypoints": [x, y, score, ...], "idx": 1}, ...]                                   AlphaPose
    {"instances": [{"keypoints": [[x, y], ...], "keypoint_scores": [...]}, ...]}         MMPose
    {"landmarks": [[{"x": 0.5, "y": 0.5, "visibility": 0.9}, ...], ...]}              MediaPipe
`scores` beside `keypoints` of two columns are those of rtmlib; a landmark may stand for any
[x, y, score]. NaN and Infinity are null, a byte order mark is passed over, and `t`, `wh` and `ids`
may be floats without a fraction; an id that is a text gets a number and becomes the name. Objects
may add any key of kp2d/1. What is left out is filled in:
`t` is the time of receipt, `epoch` and `seq` are numbered by the server (unless both are given),
`ids` are -1, `fmt` follows the number of joints (17 coco17, 18 openpose18, 25 body25, 26 halpe26,
33 blazepose33, 133 coco133, 135 body135, 136 halpe136), `wh` comes from the server's camera file.
One message is one frame.

pose3d/1: the 3D people of that frame
=====================================
    epoch, seq      of the server, as above
    src             {epoch: uint, seq: uint, t: time} of the rig's frame that was lifted
    t_srv           time    src.t in unix nanoseconds of the server
    t_unc_ns        uint    with a `sync` of the rig that can be true, its `unc`: t_srv is no
                    further wrong. Without: t_srv is late by the least delay on the way, which
                    cannot be seen one way, and this is how much the delay varied beyond it lately;
                    0 where an epoch has only begun
    lat             {rx, win, lift, post, tx}: nanoseconds the server spent waiting in its queue,
                    filling the window, lifting, finishing and sending; int
    model           {id, sha256, precision, backend}: strings
    skel            "h36m17": Hip RHip RKnee RAnkle LHip LKnee LAnkle Spine Thorax Nose Head
                    LShoulder LElbow LWrist RShoulder RElbow RWrist
    frame           "camera" or "world": the axes of payload and root
    unit            "m"
    axes            what those axes are: "x-right,y-down,z-forward" where frame is "camera", and
                    "x,y,z as in the calibration's world" where it is "world"
    shape, dtype    [P, 17, 4] and "<f4"
    root            P triples of float: the hip in metres, or nil if it is not known
    scale_src       what the metres rest on: "given", the person_height_m of the rig, or known bone
                    lengths of everybody in the message; "height", the stature the server was
                    started with; "prior", one of 1.70 m; "focal" is reserved and not sent
    ids             [int]*P; those of the frame, in its order, then the coasting people
    state           [string]*P of "warmup", "ok", "held" (not in this frame of the rig, but lately
                    in one: carried on for at most coast_ms), "predicted" (in the frame, without a
                    joint), "lost" (nor with one for longer than the server waits). Other people are
                    not in the message, and keep their id for track_timeout_s
    win             {frames: uint, filled: [uint]*P, lookahead_ns: uint}: frames a window holds,
                    how many every person has, and the lookahead of this message
    drop            {late, dup, gap, shed}: uint, frames lost since the last message, and
                    failed: uint, those of a step in which the backend failed; absent if 0
    extra           list of {name: string, shape: [uint], dtype: string}, one for each part from [3]
  optional
    names           [string]*P: the tracker's texts for the people, nil without one; left out where
                    the header would exceed its limit
    actions         for every person a list of [label, score], best first; shortened where the
                    header would exceed its limit
    via             uint: `via.epoch` of the frame that was lifted
    gravity         [float]*3, the unit vector that points down, in the axes of `frame`
    level_src       what gravity rests on: "given", by the rig or the server's options;
                    "calibration", the world of the server's camera file; "estimated", from the
                    feet and trunks of the people this camera has seen; absent without gravity
    fused           in the poses of a capture volume: {cameras: [string], live: uint, fmt: string,
                    wait_ns: uint}: the names of its cameras, of which bit n of every mask stands
                    for the n-th; the mask of those that had a picture of this instant; the format
                    of the extra array "keypoints"; and the time from the arrival of the frame that
                    set the instant until it was fused

Fused poses come on the topic pose3d/<volume>/fused/, one message for every instant; a rig cannot
have that name. `frame` is "world", `src` is {epoch and seq of this message, t: the instant in unix
nanoseconds of the server}, `t_srv` the same, `scale_src` "given" (by the calibration), and the
numbers of `win` are 0 but the lookahead. `state` is "ok" for a person whom a camera sees and "held"
for one whom none sees; a joint is measured if a camera sees it.

Payload: for every joint X, Y, Z in metres relative to the root (joint 0), in the axes of `frame`,
and the predicted standard deviation of the joint in metres. Absolute position = payload + root.
Every number is finite. The server publishes a message for every frame it lifts, P = 0 included.

Extra arrays: "flags" |u1 [P, 17], always there, with the bits 1 measured, 2 imputed, 4 predicted.
With `fused` also "views" <u4 [P, 17], the mask of the cameras a joint rests on; "residual_px" <f4
[P, 17], its root mean square distance from those views in pixels, 0 without one; "covariance_m2"
<f4 [P, 17, 6], its covariance as xx xy xz yy yz zz; "bones_m" <f4 [P, 16], bone lengths estimated
so far; "keypoints" <f4 [P, K, 4], every keypoint of `fused.fmt` as in the payload, all 0 where it
is not known; and "keypoint_views" <u4 [P, K].
Reserved, and not sent by the server: bit 8 of "flags"; "embedding" <f4 [P, E], the motion
embedding; "echo" <f4 [P, 17, 3], the 2D keypoints in pixels with their score. A reader skips names
it does not know.

hb/1: the server is alive, once a second
========================================
    server string, epoch uint, seq uint, t time (unix, integer), state "starting" | "ready" |
    "degraded" | "draining", uptime_s float, streams uint, persons uint, fps float (poses per
    second), p99_ms float (latency the server added), model (as above, or nil),
    counters {name: uint} since the start

schema/1: a keypoint format as data, every 5 s and on request
=============================================================
    name string, joints [string], edges [[a, b]], pairs [[left, right]],
    to_h36m: for every one of the 17 joints a list of [keypoint, weight]

event/1: an event that a person may want to know
=================================================
    kind string (as in the topic), epoch uint, seq uint, t time (unix, integer), subject string
    (a topic, or ""), reason string, detail string, count uint (times since the last report)

event/reject/ carries the reasons of `RejectReason`, rate-limited; event/drain/ announces the end;
event/clock/ a step of a rig's clock; event/model/ has the reason "changed" when another model is
active, and "model_refused" when one could not be and the old one stays; event/camera/ reports once
per stream, as assumed_intrinsics, that its lens is not known, so that distances are guesses;
event/volume/ reports of a capture volume, by the topic of its poses: camera_asleep, camera_awake,
camera_moved, camera_settled, calibrated, two_streams, formats_differ, no_agreement; and, by the
topic of its keypoints, a stream that is in none: not_in_volume;
event/record/ reports that a recording has ended before the server, as "disk", "too_slow" or
"fault"; event/suspect/ reports once per stream and reason that numbers cannot be what they are said
to be (bad_clock, fractions, wrong_size, other_format: rejected) or are odd (odd_clock, small_size,
outside, upside_down, gravity_up, far_camera, inverse_camera, bad_focal, odd_focal, odd_centre,
odd_distortion, odd_bones, large_scores, thousandths, far_out,
no_keypoints, other_format of a named format: used), that the ids of a rig do not last and are the
server's from now on (ids_do_not_last), and that JSON without `fmt` was taken for a usual format
(format_guessed).

Versions
========
A new optional key keeps `v`. Anything else is v + 1; a server speaks its version and the one
before. A message with another `v`, `s` or `fmt` is dropped, counted and reported.

A whole header
==============
This is the header of a frame without people, in hexadecimal; its payload is empty:

    de000da170a46c707274a17601a173a66b7032642f31a565706f636801a373657100a174cf17979c
    fe362a0000a3636c6ba4756e6978a3666d74a6636f636f3137a4756e6974a27078a2776892cd0780
    cd0438a5736861706593001103a56474797065a33c6634a369647390
"""

from collections.abc import Mapping, Sequence

from langpose_rt.protocol.camera_info import RigCamera
from langpose_rt.protocol.header import RejectReason, reject, topic_names, topic_of
from langpose_rt.protocol.keypoints import (
    KeypointMessage,
    encode_keypoints,
    keypoints_from_msgpack,
)
from langpose_rt.protocol.keypoints_json import JSON_FIRST_BYTES, JsonNumbering, keypoints_from_json
from langpose_rt.protocol.poses import (
    Drops,
    JointFlag,
    Latency,
    ModelStamp,
    PoseMessage,
    Source,
    WindowFill,
    decode_pose,
    encode_pose,
)
from langpose_rt.protocol.status import (
    Event,
    Heartbeat,
    SchemaMessage,
    decode_status,
    encode_status,
    schema_from_skeleton,
)

__all__ = [
    "Drops",
    "Event",
    "Heartbeat",
    "JointFlag",
    "JsonNumbering",
    "KeypointMessage",
    "Latency",
    "ModelStamp",
    "PoseMessage",
    "RejectReason",
    "RigCamera",
    "SchemaMessage",
    "Source",
    "WindowFill",
    "decode_keypoints",
    "decode_pose",
    "decode_status",
    "encode_keypoints",
    "encode_pose",
    "encode_status",
    "schema_from_skeleton",
    "topic_names",
    "topic_of",
]


_EXPECTED = (
    'expected the parts "kp2d/<rig>/<camera>/", header and keypoints, or the topic and JSON, with '
    "send_multipart"
)
_NEWEST_PICKLE = 5


def decode_keypoints(
    parts: Sequence[bytes],
    *,
    now_ns: int,
    numbering: JsonNumbering | None = None,
    sizes: Mapping[str, tuple[int, int]] | None = None,
) -> KeypointMessage:
    """Decode 2D keypoints, as msgpack or as JSON.

    Args:
        parts: The parts of one message as they came from the network.
        now_ns: Receive time in unix nanoseconds, for JSON that has no time of its own.
        numbering: Numbers JSON messages; without it JSON is refused.
        sizes: Width and height in pixels by "rig/camera" or "camera", for JSON without `wh`.

    Returns:
        A message that owns its arrays.

    Raises:
        MessageError: If the message is not acceptable; its reason is one of RejectReason.
    """
    if len(parts) < 2 or parts[1][:1] not in JSON_FIRST_BYTES or not parts[1]:
        _check_layout(parts)
        return keypoints_from_msgpack(parts)
    if numbering is None:
        raise reject(RejectReason.JSON_REFUSED, "got JSON where only msgpack is accepted")
    return keypoints_from_json(parts, now_ns=now_ns, numbering=numbering, sizes=sizes)


def _check_layout(parts: Sequence[bytes]) -> None:
    """Refuse a message of other parts, naming what they look like.

    Raises:
        MessageError: bad_parts.
    """
    last = parts[-1] if parts else b""
    pickled = last[:1] == b"\x80" and last[-1:] == b"." and 2 <= last[1] <= _NEWEST_PICKLE
    if len(parts) <= 2 and pickled:
        found = "a Python pickle, which is never read, as send_pyobj sends it"
    elif len(parts) == 1 and last.startswith(b"kp2d/"):
        found = "one part that begins with the topic"
    elif len(parts) == 1 and last[:1] in JSON_FIRST_BYTES and last:
        found = "one part of JSON without a topic, as send_json sends it"
    elif len(parts) == 2 and parts[0].startswith(b"kp2d/"):
        found = "two parts, of which the second is no JSON; is the payload missing?"
    else:
        return
    raise reject(RejectReason.BAD_PARTS, f"got {found}; {_EXPECTED}")
