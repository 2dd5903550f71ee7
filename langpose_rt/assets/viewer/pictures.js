// The rigs' keypoints as received, one picture per stream in the order of the list; asked for only while shown.
const panel = document.getElementById("pictures");
const NARROW_FROM = 3;  // streams in one column; more stand in two
const COLOUR = { L: "#ff8a5c", R: "#4cb8ff", "": "#93a1b7" };
const byName = new Intl.Collator("en", { numeric: true }).compare;
const shown = new Map();
let source = null, formats = {};

function connect() {
  source = new EventSource("/live/2d");
  source.addEventListener("formats", (e) => { formats = JSON.parse(e.data); });
  source.addEventListener("keypoints", (e) => JSON.parse(e.data).forEach(show));
  source.addEventListener("error", () => {
    source.close();
    clear();
    const mine = source;
    setTimeout(() => { if (source === mine) connect(); }, 1000);
  });
}
function clear() {
  for (const name of [...shown.keys()]) drop(name);
}
function drop(name) {
  shown.get(name)?.figure.remove();
  shown.delete(name);
  panel.classList.toggle("narrow", shown.size >= NARROW_FROM);
}
// Streams that the server no longer knows leave.
export function keepPictures(names) {
  for (const name of [...shown.keys()]) if (!names.has(name)) drop(name);
}
// Returns true if the pictures are shown now.
export function togglePictures() {
  panel.hidden = source !== null;
  if (source) { source.close(); source = null; clear(); } else connect();
  return source !== null;
}
function pictureOf(name) {
  let found = shown.get(name);
  if (found) return found;
  const figure = document.createElement("figure"), caption = document.createElement("figcaption");
  const canvas = document.createElement("canvas");
  caption.textContent = name;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `2D keypoints of ${name}`);
  figure.append(canvas, caption);
  figure.dataset.name = name;
  const after = [...panel.children].find((c) => byName(c.dataset.name, name) > 0);
  panel.insertBefore(figure, after ?? null);
  found = { figure, canvas };
  shown.set(name, found);
  panel.classList.toggle("narrow", shown.size >= NARROW_FROM);
  return found;
}
function show(message) {
  const { figure, canvas } = pictureOf(message.name), [w, h] = message.wh;
  figure.style.setProperty("--shape", `${w} / ${h}`);
  const pen = canvas.getContext("2d"), dots = Math.max(devicePixelRatio, 1);
  const scale = dots * Math.min((canvas.clientWidth || w) / w, (canvas.clientHeight || h) / h);
  canvas.width = Math.max(Math.round(w * scale), 1);
  canvas.height = Math.max(Math.round(h * scale), 1);
  pen.scale(canvas.width / w, canvas.height / h);
  pen.lineCap = "round";
  const thin = dots / scale;  // one pixel of the page
  let drawn = 0;
  for (const person of message.people) drawn += draw(pen, formats[message.format], person, thin) > 0;
  figure.dataset.people = drawn;
}
// Limbs and keypoints of one person, fainter the lower the score; returns the keypoints drawn.
function draw(pen, { edges, sides }, numbers, thin) {
  const point = (k) => ({ x: numbers[3 * k], y: numbers[3 * k + 1], score: numbers[3 * k + 2] / 100, side: sides[k] });
  const points = sides.map((_, k) => point(k));
  for (const [a, b] of edges.map(([a, b]) => [points[a], points[b]])) {
    if (!a.score || !b.score) continue;
    pen.globalAlpha = faint(Math.min(a.score, b.score));
    pen.strokeStyle = COLOUR[b.side || a.side];
    pen.lineWidth = 2 * thin;
    pen.beginPath();
    pen.moveTo(a.x, a.y);
    pen.lineTo(b.x, b.y);
    pen.stroke();
  }
  for (const p of points) {
    if (!p.score) continue;
    pen.globalAlpha = faint(p.score);
    pen.fillStyle = COLOUR[p.side];
    pen.beginPath();
    pen.arc(p.x, p.y, 2.2 * thin, 0, 2 * Math.PI);
    pen.fill();
  }
  return points.filter((p) => p.score).length;
}
const faint = (score) => 0.1 + 0.9 * score;
