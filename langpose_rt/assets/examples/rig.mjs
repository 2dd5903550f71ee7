// A rig in JavaScript, in JSON; npm install zeromq
import { setTimeout } from "node:timers/promises";
import { Publisher } from "zeromq";

const xs = [0, 10, -10, 25, -25, 60, -60, 80, -80, 85, -85, 40, -40, 40, -40, 40, -40];
const ys = [200, 190, 190, 200, 200, 290, 290, 400, 400, 500, 500, 520, 520, 700, 700, 880, 880];
const socket = new Publisher({ sendHighWaterMark: 64 });
socket.connect(process.argv[2] ?? "tcp://127.0.0.1:5555");
for (let frame = 0; ; frame++) {
  const person = xs.map((x, joint) => [960 + x + 20 * Math.sin(frame / 30), ys[joint], 1]);
  const t = `${Date.now()}000000`; // nanoseconds, as a string: a number would not be exact
  const message = { fmt: "coco17", wh: [1920, 1080], t, keypoints: [person] };
  await socket.send(["kp2d/rig0/cam0/", JSON.stringify(message)]);
  await setTimeout(1000 / 60);
}
