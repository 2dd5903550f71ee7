"""A consumer: prints where everybody's joints are, in metres and the axes of the camera."""

import sys

from langpose_rt.client.subscriber import PoseSubscriber

server = sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5556"
with PoseSubscriber(server, rig="rig0", latest=True) as poses:
    for message in poses:
        joints_m = message.poses[..., :3]  # [person, joint, (X, Y, Z)], relative to the hip
        if message.root is not None:
            joints_m = joints_m + message.root[:, None]
        print(message.src.seq, message.ids, joints_m.round(2).tolist(), flush=True)
