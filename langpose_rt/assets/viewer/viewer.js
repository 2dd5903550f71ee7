// The live viewer: one EventSource, instanced spheres and cylinders, labels as HTML.
import * as T from "/three.min.js";
import { keepPictures, togglePictures } from "/pictures.js";

const PARENTS = [-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15];
const LEFT = new Set([4, 5, 6, 11, 12, 13]), RIGHT = new Set([1, 2, 3, 14, 15, 16]);
const MOST_PEOPLE = 256, APART_M = 6, BEHIND_M = 8, DEFAULT_PLACE_MM = [0, 0, 4000], STALE_MS = 2000, FLOOR_MS = 650, SHORTEST_MS = 300, LABEL_PX = 22, EDGE_PX = 70, PHONE_PX = 640;
const FADE = { ok: 0, warmup: 0.45, held: 0.4, predicted: 0.6, lost: 0.85 };
const LEVEL = { none: " · camera taken for level", estimated: " · level estimated" };
const byName = new Intl.Collator("en", { numeric: true }).compare;
const $ = (id) => document.getElementById(id);

const canvas = $("stage");
const renderer = new T.WebGLRenderer({ canvas, antialias: true });
renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
const scene = new T.Scene();
const eye = new T.PerspectiveCamera(45, 1, 0.05, 200);
const controls = new T.OrbitControls(eye, canvas);
controls.enableDamping = true;
controls.maxPolarAngle = Math.PI * 0.52;
controls.listenToKeyEvents(canvas);
controls.addEventListener("start", () => { touched = true; });
const sun = new T.DirectionalLight(0xffffff, 1.8);
sun.position.set(3, 8, 5);
scene.add(new T.HemisphereLight(0xffffff, 0x8899aa, 1.9), sun);

function instances(geometry, material, count) {
  const mesh = new T.InstancedMesh(geometry, material, count);
  mesh.setColorAt(0, new T.Color());
  mesh.frustumCulled = false;
  mesh.count = 0;
  scene.add(mesh);
  return mesh;
}
const skin = new T.MeshStandardMaterial({ roughness: 0.55, fog: false });
const ball = new T.SphereGeometry(1, 14, 10);
const joints = instances(ball, skin, MOST_PEOPLE * 17);
const bones = instances(new T.CylinderGeometry(1, 1, 1, 10, 1), skin, MOST_PEOPLE * 16);
const doubts = instances(ball, new T.MeshBasicMaterial({ transparent: true, opacity: 0.1, depthWrite: false, fog: false }), MOST_PEOPLE * 17);
const shadows = instances(new T.CircleGeometry(1, 24).rotateX(-Math.PI / 2), new T.MeshBasicMaterial({ color: 0, transparent: true, depthWrite: false }), MOST_PEOPLE * 2);

let paper = new T.Color(), grid = null;
// Lines in pieces of 1 m: a long line that passes behind the eye is not drawn by every renderer.
function squares(reach) {
  const ends = [];
  for (let a = -reach; a <= reach; a++) {
    for (let b = -reach; b < reach; b++) ends.push(a, 0, b, a, 0, b + 1, b, 0, a, b + 1, 0, a);
  }
  return ends;
}
const dark = matchMedia("(prefers-color-scheme: dark)");
function dress() {
  paper = new T.Color(dark.matches ? "#0e131c" : "#f3f5f8");
  scene.background = paper;
  scene.fog = new T.Fog(paper);
  if (grid) scene.remove(grid);
  grid = new T.LineSegments(new T.BufferGeometry(), new T.LineBasicMaterial({ color: dark.matches ? 0x2c3a52 : 0xc9d1de }));
  grid.geometry.setAttribute("position", new T.Float32BufferAttribute(squares(24), 3));
  scene.add(grid);
  shadows.material.opacity = dark.matches ? 0.5 : 0.13;
}
dark.addEventListener("change", dress);
dress();

const streams = new Map(), labels = new Map(), volumes = new Map();
const NO_VIEW = new T.Color("#9aa4b2"), ONE_VIEW = new T.Color("#ffd166");  // provenance of a fused joint
let server = "connecting", reached = false, settled = false, touched = false, showLabels = true, showDoubt = true;

function streamNamed(name) {
  let stream = streams.get(name);
  if (stream) return stream;
  const frustum = new T.LineSegments(new T.BufferGeometry(), new T.LineBasicMaterial({ color: 0x8b9bb5 }));
  const [w, h, d] = [0.4, 0.25, 0.55], corners = [[-w, -h], [w, -h], [w, h], [-w, h]];
  const lines = corners.flatMap(([x, y], i) => {
    const [a, b] = corners[(i + 1) % 4];
    return [0, 0, 0, x, y, -d, x, y, -d, a, b, -d];
  });
  frustum.geometry.setAttribute("position", new T.Float32BufferAttribute(lines, 3));
  scene.add(frustum);
  stream = { name, frustum, ground: null, times: [], pose: null, offset: new T.Vector3(), latency: 0 };
  streams.set(name, stream);
  arrange();
  return stream;
}
const fusedName = (volume) => `${volume}/fused`;
// The poses of a camera of a volume are in the fused ones: they are not drawn a second time.
function isFused(name) {
  return [...volumes.values()].some((v) => streams.get(fusedName(v.name))?.pose && v.cameras.some((c) => c.stream === name));
}
// In the order of the list, in rows of four, on a phone of three, each row behind the one before.
const perRow = () => (innerWidth > PHONE_PX ? 4 : 3);
let arrangedFor = perRow();
function arrange() {
  const row = arrangedFor = perRow();
  const sides = [...streams.values()].filter((s) => !(s.pose && s.pose.world) && !isFused(s.name));
  sides.sort((a, b) => byName(a.name, b.name)).forEach((s, i) => {
    const rank = Math.floor(i / row), wide = Math.min(sides.length - row * rank, row);
    s.offset.set((i % row - (wide - 1) / 2) * APART_M, 0, -rank * BEHIND_M);
  });
  settled = false;
  $("note").textContent = sides.length > 1
    ? "These cameras share no world frame: they stand side by side, not where they are."
    : "Drag to turn, scroll to zoom, arrows to move. One square is 1 m.";
}
function forget(name) {
  scene.remove(streams.get(name).frustum);
  streams.delete(name);
  arrange();
}

// Millimetres in a level camera's axes (x right, y down, z forward) or a z-up world, to metres, y up.
function place(stream, x, y, z) {
  if (stream.pose.world) return new T.Vector3(x / 1000, z / 1000, -y / 1000);
  return new T.Vector3(x / 1000, -y / 1000 - (stream.ground ?? 0), -z / 1000).add(stream.offset);
}
function takePose(pose) {
  const stream = streamNamed(pose.name), now = performance.now();
  const turned = !stream.pose || stream.pose.world !== pose.world, sinceMs = now - (stream.heard ?? now);
  stream.pose = pose;
  if (turned) arrange();
  stream.heard = now;
  stream.latency = pose.latency_ms;
  stream.times.push([now, pose.seq]);
  while (now - stream.times[0][0] > 2000) stream.times.shift();
  if (!pose.ids.length || pose.world) return;
  const feet = pose.poses.map((p, i) => -(Math.max(p[13], p[25]) + rootOf(pose, i)[1]) / 1000 - 0.08).sort((a, b) => a - b);
  const floor = feet[feet.length >> 1];
  stream.ground = stream.ground === null ? floor : stream.ground + (1 - Math.exp(-sinceMs / FLOOR_MS)) * (floor - stream.ground);
}
const rootOf = (pose, i) => (pose.root ? pose.root[i] : [DEFAULT_PLACE_MM[0] + 900 * i, DEFAULT_PLACE_MM[1], DEFAULT_PLACE_MM[2]]);

const matrix = new T.Matrix4(), turn = new T.Quaternion(), size = new T.Vector3(), up = new T.Vector3(0, 1, 0), colour = new T.Color();
const warm = new T.Color("#ff8a5c"), cool = new T.Color("#4cb8ff");
function draw(now) {
  let people = 0, j = 0, b = 0, d = 0, f = 0;
  const told = [], feet = [];
  for (const stream of streams.values()) {
    const pose = stream.pose;
    stream.frustum.visible = false;
    if (!pose || isFused(stream.name)) continue;
    stream.frustum.position.copy(place(stream, 0, 0, 0));
    stream.frustum.visible = !pose.world;
    const r = pose.turn;  // of the camera: x right, y up, z backward here
    stream.frustum.quaternion.setFromRotationMatrix(matrix.set(r[0], -r[1], -r[2], 0, -r[3], r[4], r[5], 0, -r[6], r[7], r[8], 0, 0, 0, 0, 1));
    if (!pose.world) tell(stream.name, stream.name, "stream", stream.frustum.position, told);
    const stale = now - stream.heard > STALE_MS;
    for (let i = 0; i < pose.ids.length && people < MOST_PEOPLE; i++, people++) {
      const p = pose.poses[i], root = rootOf(pose, i), state = stale ? "lost" : pose.state[i];
      const own = new T.Color().setHSL((pose.ids[i] * 0.61803 + 0.12) % 1, 0.55, dark.matches ? 0.68 : 0.46);
      const points = PARENTS.map((_, k) => place(stream, root[0] + p[4 * k], root[1] + p[4 * k + 1], root[2] + p[4 * k + 2]));
      for (let k = 0; k < 17; k++) {
        colour.copy(own);
        if (LEFT.has(k)) colour.lerp(warm, 0.75);
        if (RIGHT.has(k)) colour.lerp(cool, 0.75);
        if (pose.views) [NO_VIEW, ONE_VIEW].slice(pose.views[i][k], pose.views[i][k] + 1).forEach((c) => colour.copy(c));
        colour.lerp(paper, FADE[state] ?? 0);
        matrix.compose(points[k], turn.identity(), size.setScalar(k === 10 ? 0.085 : 0.036));
        joints.setMatrixAt(j, matrix);
        joints.setColorAt(j++, colour);
        if (showDoubt) {
          matrix.compose(points[k], turn, size.setScalar(Math.max(p[4 * k + 3] / 1000, 0.001)));
          doubts.setMatrixAt(d, matrix);
          doubts.setColorAt(d++, colour);
        }
        if (PARENTS[k] < 0) continue;
        const from = points[PARENTS[k]], bone = points[k].clone().sub(from), length = bone.length() || 1e-6;
        turn.setFromUnitVectors(up, bone.divideScalar(length));
        matrix.compose(from.clone().addScaledVector(bone, length / 2), turn, size.set(0.026, length, 0.026));
        bones.setMatrixAt(b, matrix);
        bones.setColorAt(b++, colour);
      }
      for (const foot of [points[3], points[6]]) {  // on the floor, paler the higher the foot
        const spread = 0.16 + 0.25 * Math.max(foot.y, 0);
        matrix.compose(foot.clone().setY(0.003), turn.identity(), size.set(spread, 1, spread));
        shadows.setMatrixAt(f++, matrix);
        feet.push(Math.round(1000 * foot.y));
      }
      const marks = [state === "ok" ? "" : state, pose.root ? "" : "place unknown"].filter(Boolean).join(", ");
      const parts = [pose.names?.[i] ?? String(pose.ids[i]), marks, word(pose.actions?.[i])];
      tell(`${stream.name} ${pose.ids[i]}`, parts.filter(Boolean).join(" · "), "person", points[10].clone().setY(points[10].y + 0.22), told);
    }
  }
  for (const volume of volumes.values()) drawCameras(volume, told);
  for (const [mesh, count] of [[joints, j], [bones, b], [doubts, d], [shadows, f]]) {
    mesh.count = count;
    mesh.instanceMatrix.needsUpdate = mesh.instanceColor.needsUpdate = true;
  }
  write(told);
  document.body.dataset.skeletons = people;
  document.body.dataset.feet = feet.join();  // mm above the floor
  document.body.dataset.drawn = [...streams.values()].map((s) => `${s.name} ${s.pose?.seq}`).join();
}
// Streams that come and go are brought into view until somebody chooses a view.
function settle() {
  const seen = [...streams.values()];
  if (settled || touched || !seen.some((s) => s.pose?.ids.length && !isFused(s.name))) return;
  settled = true;
  look(seen);
}
const word = (action) => (action ? `${action[0]} ${action[1].toFixed(2)}` : "");
function wires(colour) {
  const frustum = new T.LineSegments(new T.BufferGeometry(), new T.LineBasicMaterial({ color: colour }));
  const [w, h, d] = [0.4, 0.25, 0.55], corners = [[-w, -h], [w, -h], [w, h], [-w, h]];
  const lines = corners.flatMap(([x, y], i) => {
    const [a, b] = corners[(i + 1) % 4];
    return [0, 0, 0, x, y, d, x, y, d, a, b, d];
  });
  frustum.geometry.setAttribute("position", new T.Float32BufferAttribute(lines, 3));
  scene.add(frustum);
  return frustum;
}
// Camera axes in a z-up world, as axes with y up.
const UPRIGHT = new T.Matrix4().set(1, 0, 0, 0, 0, 0, 1, 0, 0, -1, 0, 0, 0, 0, 0, 1);
function takeVolumes(found) {
  for (const [name, volume] of volumes) {
    if (found.some((v) => v.name === name)) continue;
    volume.wires.forEach((w) => scene.remove(w));
    volumes.delete(name);
  }
  for (const v of found) {
    const before = volumes.get(v.name);
    if (before && before.cameras.length !== v.cameras.length) before.wires.forEach((w) => scene.remove(w));
    const kept = before && before.cameras.length === v.cameras.length ? before.wires : v.cameras.map(() => wires(0x8b9bb5));
    v.cameras.forEach((c, i) => {
      kept[i].matrixAutoUpdate = false;
      kept[i].matrix.set(...c.T_world_camera).premultiply(UPRIGHT);
      kept[i].matrixWorldNeedsUpdate = true;
      kept[i].material.color.set(c.heard_ago_s === null || c.heard_ago_s > 1 ? "#c0392b" : "#3fa34d");
    });
    volumes.set(v.name, { ...v, wires: kept });
  }
}
function drawCameras(volume, told) {
  volume.cameras.forEach((c, i) => {
    const where = new T.Vector3().setFromMatrixPosition(volume.wires[i].matrix);
    const off = c.residual_mm === null ? "" : ` · ${c.residual_mm.toFixed(0)} mm`;
    tell(`camera ${volume.name} ${c.name}`, c.name + off, "stream", where.setY(where.y + 0.2), told);
  });
}
function tell(key, text, kind, where, told) {
  const seen = where.clone().project(eye);
  if (!showLabels || seen.z > 1) return;
  told.push({ key, text, kind, x: (seen.x + 1) / 2 * innerWidth, y: (1 - seen.y) / 2 * innerHeight, far: seen.z });
}
// Cameras first, then the nearest; who would cover another label moves up, and stays out where there is no room.
function write(told) {
  const placed = [], wanted = new Set();
  for (const t of told.sort((a, b) => (a.kind === b.kind ? a.far - b.far : a.kind === "stream" ? -1 : 1))) {
    const half = 9 + 3.4 * t.text.length;
    let tries = 0, hit;
    while ((hit = placed.find((p) => Math.abs(p.x - t.x) < p.half + half && Math.abs(p.y - t.y) < LABEL_PX)) && tries++ < 4) t.y = hit.y - LABEL_PX;
    if (hit || t.y < LABEL_PX / 2) continue;
    placed.push({ x: t.x, y: t.y, half });
    wanted.add(t.key);
    let label = labels.get(t.key);
    if (!label) { label = document.createElement("span"); label.className = t.kind; $("labels").append(label); labels.set(t.key, label); }
    if (label.textContent !== t.text) label.textContent = t.text;
    label.style.transform = `translate(${t.x.toFixed(1)}px, ${t.y.toFixed(1)}px) translate(-50%, -50%)`;
  }
  for (const [key, label] of labels) if (!wanted.has(key)) { label.remove(); labels.delete(key); }
}
// What the list leaves of the page: where it is, from the middle, and how wide and high.
const list = document.querySelector("aside"), pictures = $("pictures");
function stage() {
  const seen = pictures.getBoundingClientRect();
  if (innerWidth > PHONE_PX) return { x: 150 - seen.right / 2, y: 0, wide: innerWidth - 310 - seen.right, high: innerHeight };
  const covered = innerHeight - list.getBoundingClientRect().top;
  return { x: 0, y: (covered - seen.bottom) / 2, wide: innerWidth, high: innerHeight - covered - seen.bottom };
}
function look(chosen) {
  const spots = [...volumes.values()].flatMap((v) => v.wires.map((w) => new T.Vector3().setFromMatrixPosition(w.matrix)));
  const seen = chosen.filter((s) => !isFused(s.name)), whole = seen.some((s) => s.pose?.views);
  const eyes = seen.length > 1 ? seen.filter((s) => s.pose && !s.pose.world).map((s) => place(s, 0, 0, 0)) : [];
  const hips = (whole ? spots : []).concat(eyes, seen.flatMap((s) => (s.pose ? s.pose.ids.map((_, i) => place(s, ...rootOf(s.pose, i))) : [])));
  const { wide, high } = stage(), slope = Math.tan((eye.fov * Math.PI) / 360) / innerHeight;
  // rows behind one another are seen from above, on a high stage more so
  const [aside, above] = seen.length <= perRow() ? [0.3, 0.3] : high > wide ? [0.06, 0.8] : [0.2, 0.5];
  const from = new T.Vector3(aside, above, 0.9).normalize();
  const { target, back } = framed(hips, from, slope * Math.max(wide - EDGE_PX, 60), slope * high);
  controls.enableDamping = false;  // a drag that still swings out would carry the view on
  controls.update();
  controls.enableDamping = true;
  controls.target.copy(target);
  eye.position.copy(target).addScaledVector(from, back);
}
// Where to look, and from how far, that all spots are seen from a direction: half the stage is `wide` and `high` at 1 m.
function framed(spots, from, wide, high) {
  const right = new T.Vector3().crossVectors(up, from).normalize(), over = new T.Vector3().crossVectors(from, right);
  const ahead = new T.Vector3(-from.x, 0, -from.z).normalize(), target = new T.Vector3(0, 0.8, 0);
  spots.forEach((p) => target.addScaledVector(p.clone().setY(0), 1 / spots.length));
  let back = 1.5 / high;
  for (let round = 0; round < 8; round++) {
    const seen = spots.map((p) => p.clone().sub(target)).map((p) => ({ x: p.dot(right), y: p.dot(over), z: -p.dot(from) }));
    back = seen.reduce((most, { x, y, z }) => Math.max(most, (Math.abs(x) + 0.7) / wide - z, (Math.abs(y) + 1.5) / high - z), 1);
    const middle = (way) => { const all = seen.map((p) => p[way] / (back + p.z)); return all.length ? (Math.min(...all) + Math.max(...all)) / 2 : 0; };
    target.addScaledVector(right, 0.7 * back * middle("x")).addScaledVector(ahead, 0.7 * back * middle("y") / over.dot(ahead));
  }
  return { target, back };
}

function showStatus(status) {
  become(status.state, status.state === "ready" ? "" : `The server is ${status.state}.`);
  $("persons").textContent = status.persons;
  $("fps").textContent = Math.round(status.fps);
  $("p50").textContent = figure(status.p50_ms);
  $("p99").textContent = figure(status.p99_ms);
  const m = status.model;
  $("model").textContent = `${m.id} ${m.sha256.slice(0, 12)}, ${m.precision} on ${m.backend}. Weights: ${status.licence}`;
  $("empty").hidden = status.streams.length > 0;
  keepPictures(new Set(status.streams.map((s) => s.name)));
  takeVolumes(status.volumes);
  $("views").hidden = !status.volumes.length;
  for (const v of status.volumes) {
    status.streams.push({
      name: fusedName(v.name), persons: v.people, totals: {}, assumed_lens: false, heard_ago_s: 0, volume: v,
    });
  }
  const names = new Set(status.streams.map((s) => s.name));
  for (const name of [...streams.keys()]) if (!names.has(name)) forget(name);
  for (const row of [...$("streams").children]) if (!names.has(row.dataset.name)) row.remove();
  status.streams.sort((a, b) => byName(a.name, b.name)).forEach((s, i) => {
    const row = showStream(s), there = $("streams").children[i];
    if (row !== there) $("streams").insertBefore(row, there ?? null);  // a row that stays keeps its focus
  });
}
function showStream(status) {
  let row = [...$("streams").children].find((r) => r.dataset.name === status.name);
  if (!row) {
    row = document.createElement("li");
    row.dataset.name = status.name;
    const button = document.createElement("button");
    button.append(document.createElement("strong"), document.createElement("small"), document.createElement("small"));
    button.addEventListener("click", () => { touched = true; if (streams.has(status.name)) look([streams.get(status.name)]); });
    row.append(button);
  }
  const [name, first, second] = row.firstChild.children, stream = streams.get(status.name), t = status.totals;
  name.textContent = status.name;
  let rate = 0;
  if (stream && stream.times.length > 1 && status.heard_ago_s < 2) {
    const [a, z] = [stream.times[0], stream.times.at(-1)];
    if (z[0] - a[0] > SHORTEST_MS) rate = (z[1] - a[1]) / (z[0] - a[0]) * 1000;  // not of a burst after a pause of the page
  }
  const silent = 1000 * status.heard_ago_s > STALE_MS, ahead = stream?.pose?.lookahead_ms;
  row.classList.toggle("silent", silent);
  first.textContent = `${status.persons} ${status.persons === 1 ? "person" : "people"} · `
    + (silent ? `silent for ${Math.round(status.heard_ago_s)} s` : `${Math.round(rate)} fps · ${figure(stream?.latency ?? 0)} ms`)
    + (ahead ? ` + ${Math.round(ahead)} ms lookahead` : "");
  const lost = ["late", "dup", "gap", "shed", "failed"].filter((k) => t[k]).map((k) => `${k} ${t[k]}`).join(" · ");
  if (status.volume) {
    const live = status.volume.cameras.filter((c) => c.heard_ago_s !== null && c.heard_ago_s < 1).length;
    second.textContent = `${live} of ${status.volume.cameras.length} cameras live`;
    return row;
  }
  const suspects = Object.entries(status.suspects ?? {});
  second.textContent = [lost || "nothing lost", ...(status.assumed_lens ? ["lens assumed"] : []),
    ...suspects.map(([reason]) => reason.replaceAll("_", " "))].join(" · ") + (LEVEL[stream?.pose?.level_src] ?? "");
  second.title = suspects.map(([, sentence]) => sentence).join("\n");
  return row;
}
const figure = (ms) => (ms < 9.995 ? ms.toFixed(2) : ms < 99.95 ? ms.toFixed(1) : ms.toFixed(0));
// The state decides about chip, banner and people together: nobody is drawn while the server is not heard.
function become(state, text) {
  server = state;
  $("state").textContent = state;
  $("state").className = `chip ${state}`;
  $("banner").hidden = !text;
  if ($("banner").textContent !== text) $("banner").textContent = text;
  if (state === "unreachable") for (const name of [...streams.keys()]) forget(name);
  else reached = true;
}

function connect() {
  const source = new EventSource("/live");
  source.addEventListener("status", (e) => showStatus(JSON.parse(e.data)));
  source.addEventListener("poses", (e) => {
    if (server !== "unreachable") JSON.parse(e.data).forEach(takePose);  // a status comes first
  });
  source.addEventListener("error", () => {
    source.close();
    become("unreachable", reached ? "The server cannot be reached; trying again." : "No server answers, or four pages watch already; trying again.");
    setTimeout(connect, 1000);
  });
}
function toggle(id, change) {
  $(id).addEventListener("click", () => $(id).setAttribute("aria-pressed", String(change())));
}
toggle("label", () => (showLabels = !showLabels));
toggle("doubt", () => (showDoubt = !showDoubt));
toggle("twod", () => { settled = false; return togglePictures(); });
$("fold").addEventListener("click", () => {
  const folded = list.classList.toggle("folded");
  $("fold").setAttribute("aria-expanded", String(!folded));
  $("fold").textContent = folded ? "Show" : "Hide";
  settled = false;
});
function reset() { touched = false; look([...streams.values()]); }
$("reset").addEventListener("click", reset);
addEventListener("keydown", (e) => {
  if (e.key === "r" && !e.ctrlKey && !e.metaKey) reset();
  if (e.key.startsWith("Arrow")) touched = true;
});
function fit() {
  if (perRow() !== arrangedFor) arrange();
  renderer.setSize(innerWidth, innerHeight, false);
  eye.aspect = innerWidth / innerHeight;
  // the list covers an edge: the middle of the view is the middle of what is left
  const { x, y } = stage();
  eye.setViewOffset(innerWidth, innerHeight, x, y, innerWidth, innerHeight);
  eye.updateProjectionMatrix();
}
addEventListener("resize", fit);
for (const part of [list, pictures]) new ResizeObserver(() => { if (innerWidth <= PHONE_PX) settled = false; fit(); }).observe(part);
fit();
eye.position.set(2.5, 2.2, 4);
controls.target.set(0, 0.9, -2);
renderer.setAnimationLoop(() => {
  settle();  // before anything is drawn: labels are placed by the view of their own frame
  controls.update();
  eye.updateMatrixWorld();
  const far = eye.position.distanceTo(controls.target);
  [scene.fog.near, scene.fog.far] = [0.8 * far, 4 * far];
  draw(performance.now());
  renderer.render(scene, eye);
});
connect();
