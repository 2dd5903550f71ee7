"""A consumer: prints where everybody's joints are, in metres and the axes of the camera."""

import sys

from langpose_rt import PoseSubscriber

server = sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5556"
with PoseSubscriber(server, rig="rig0", latest=True) as poses:
    for message in poses:
        joints_m = message.poses[..., :3]  # [person, joint, (X, Y, Z)], relative to the hip
        if message.root is not None:
            joints_m = joints_m + message.root[:, None]
        for person, joints in zip(message.ids, joints_m, strict=True):
            places = " ".join(f"({x:.2f} {y:.2f} {z:.2f})" for x, y, z in joints)
            print(message.src.seq, person, places, flush=True)
