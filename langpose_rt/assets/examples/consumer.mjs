// A consumer in JavaScript; npm install zeromq @msgpack/msgpack
import { decode } from "@msgpack/msgpack";
import { Subscriber } from "zeromq";

const socket = new Subscriber();
socket.connect(process.argv[2] ?? "tcp://127.0.0.1:5556");
socket.subscribe("pose3d/rig0/");
for await (const [, header, payload] of socket) {
  const { src, ids, root } = decode(header, { useBigInt64: true });
  const numbers = new Float32Array(new Uint8Array(payload).buffer); // [person][17][X, Y, Z, sigma]
  const joint = (person, k) => [...numbers.subarray(4 * (17 * person + k)).slice(0, 3)];
  ids.forEach((id, p) => console.log(src.seq, id, "hip", root?.[p], "head", joint(p, 10)));
}
