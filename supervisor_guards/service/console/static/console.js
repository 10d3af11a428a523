"use strict";
// Times in the reader's zone, countdowns, and arrow keys between the rows of a list. Pages work without it.

const two = (number) => String(number).padStart(2, "0");
const day = (date) => `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
const clock = (date) => `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;

function local(within) {
  const today = day(new Date());
  for (const time of within.querySelectorAll("time[datetime]:not([data-until], [data-local])")) {
    const date = new Date(time.dateTime);
    time.textContent = day(date) === today ? clock(date) : `${day(date)} ${clock(date)}`;
    time.dataset.local = "";
  }
  for (const label of within.querySelectorAll("text[data-moment]")) {
    const date = new Date(label.dataset.moment);
    label.textContent = ["1h", "24h"].includes(label.dataset.window)
      ? clock(date).slice(0, 5)
      : date.toLocaleDateString("en", { day: "numeric", month: "short" });
  }
}

function left(milliseconds) {
  let seconds = Math.floor(milliseconds / 1000);
  const parts = [];
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]]) {
    const count = Math.floor(seconds / size);
    seconds -= count * size;
    if (count) parts.push(`${count} ${unit}`);
    else if (parts.length) break;
  }
  return parts.slice(0, 2).join(" ");
}

function countDown() {
  for (const time of document.querySelectorAll("time[data-until]")) {
    const rest = new Date(time.dateTime) - Date.now();
    time.textContent = rest > 0 ? left(rest) || "0 s" : "expired";
  }
}

document.addEventListener("keydown", (event) => {
  const link = event.target;
  if (!(link instanceof HTMLAnchorElement) || !link.matches("[data-rows] a.row")) return;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const links = [...link.closest("[data-rows]").querySelectorAll("a.row")];
  const at = links.indexOf(link);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: links.length - 1 }[event.key];
  if (to === undefined || !links[to]) return;
  event.preventDefault();
  links[to].focus();
});

window.supervisorLocal = local;
local(document);
countDown();
setInterval(countDown, 1000);
for (const pan of document.querySelectorAll(".pan")) pan.scrollLeft = pan.scrollWidth; // what is newest
