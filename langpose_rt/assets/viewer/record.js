// Saves what the server publishes while the button is pressed, as the file that `langpose-rt record` writes.
const MOST_BYTES = 512 << 20, OWN = { "X-Langpose": "viewer" };
const button = document.getElementById("record"), said = document.getElementById("recorded");
let token = null, asked = false;  // asked to end

button.addEventListener("click", () => {
  if (token) {
    asked = true;
    fetch(`/recording?${token}`, { headers: OWN }).catch(() => {});  // the rest of the file follows
  } else if (button.getAttribute("aria-pressed") === "false") record();
});
async function record() {
  const pieces = [], begun = Date.now();
  let bytes = 0, sentence = "";
  asked = false;
  show(true, 0);
  try {
    const answer = await fetch("/recording", { headers: OWN });
    if (!answer.ok) throw new Error(answer.statusText);
    token = answer.headers.get("X-Recording");
    const reader = answer.body.getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      pieces.push(part.value);
      bytes += part.value.length;
      show(true, Math.floor((Date.now() - begun) / 1000));
      if (bytes > MOST_BYTES) {
        sentence = "The recording has reached 512 MB. ";
        await reader.cancel();
      }
    }
    if (!asked && !sentence) sentence = "The server has ended the recording. ";
  } catch (error) {
    sentence = `The recording has ended: ${error.message}. `;
  }
  token = null;
  show(false, 0);
  said.textContent = sentence + (bytes ? `Saved ${save(new Blob(pieces))}.` : "Nothing was recorded.");
}
function show(recording, seconds) {
  button.setAttribute("aria-pressed", String(recording));
  button.textContent = recording ? `Stop and save · ${seconds} s` : "Record";
  if (recording) said.textContent = "";
}
function save(blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `langpose-${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}.mcap`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  return link.download;
}
