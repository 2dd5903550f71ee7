// Fused people of a capture volume; npm install zeromq @msgpack/msgpack
import { decode } from "@msgpack/msgpack";
import { Subscriber } from "zeromq";

const socket = new Subscriber();
socket.connect(process.argv[2] ?? "tcp://127.0.0.1:5556");
socket.subscribe(`pose3d/${process.argv[3] ?? "calib"}/fused/`);
for await (const [, raw, payload, ...extra] of socket) {
  const { src, ids, root, fused, extra: about } = decode(raw, { useBigInt64: true });
  const part = extra[about.findIndex(({ name }) => name === "views")];
  const views = new Uint32Array(new Uint8Array(part).buffer); // [person][17], a bit per camera
  const names = (mask) => fused.cameras.filter((_, bit) => (mask >>> bit) & 1).join(" ");
  ids.forEach((id, p) => console.log(src.seq, id, "hip", root[p], "seen by", names(views[17 * p])));
}
