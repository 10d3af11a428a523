"use strict";
// New decisions on top of the list, as the server sends them.

const MOST = 200;
const bar = document.getElementById("live");
const state = document.getElementById("live-state");
const pause = document.getElementById("pause");
const rows = document.getElementById("rows");
const known = new Set([...rows.querySelectorAll("tr")].map((row) => row.dataset.id));
let waiting = [];
let paused = false;

function show(html) {
  const holder = document.createElement("template");
  holder.innerHTML = html; // made by our server, which escapes everything in it
  const row = holder.content.querySelector("tr");
  row.classList.add("new");
  window.supervisorLocal(row);
  rows.prepend(row);
  document.getElementById("none")?.remove();
  while (rows.rows.length > MOST) rows.lastElementChild.remove();
}

function say(text) {
  if (state.textContent !== text) state.textContent = text;
}

bar.hidden = false;
const stream = new EventSource(bar.dataset.stream);
stream.addEventListener("open", () => say(paused ? "Paused" : "Live"));
stream.addEventListener("trouble", (event) => say(event.data));
stream.addEventListener("error", () => {
  say(stream.readyState === EventSource.CLOSED ? "Not live: reload the page" : paused ? "Paused" : "Live");
});
stream.addEventListener("decision", (event) => {
  const { id, html } = JSON.parse(event.data);
  if (known.has(String(id))) return;
  known.add(String(id));
  if (!paused) {
    say("Live");
    show(html);
    return;
  }
  waiting.push(html);
  waiting = waiting.slice(-MOST);
  say(`Paused, ${waiting.length} new`);
});

pause.addEventListener("click", () => {
  paused = !paused;
  pause.setAttribute("aria-pressed", String(paused));
  if (!paused) {
    waiting.forEach(show);
    waiting = [];
  }
  say(paused ? "Paused" : "Live");
});
window.addEventListener("pagehide", () => stream.close());
