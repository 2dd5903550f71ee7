"""A rig: publishes the keypoints of everybody in a picture; here those of the clip that ships."""

import sys
import time

from langpose_rt.client.subscriber import RigPublisher
from langpose_rt.formats.clip import DEMO_CLIP
from langpose_rt.formats.readers import read_clip

server = sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5555"
clip = read_clip(DEMO_CLIP)
with RigPublisher(server, "rig0", "cam0", skeleton=clip.skeleton.name, size=clip.size) as rig:
    rig.wait_for_server(timeout_s=10)
    for people in clip.keypoints:  # [person, joint, (x px, y px, score)]
        rig.publish(people)
        time.sleep(1 / 60)
