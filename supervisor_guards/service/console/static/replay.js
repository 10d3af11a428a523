"use strict";
// A replay with its progress; without this the form leads to a page with the result.

const form = document.getElementById("replay-form");
const progress = document.getElementById("replay-progress");
const bar = progress.querySelector("progress");
const said = document.getElementById("replay-said");
const result = document.getElementById("replay-result");

async function lines(response, take) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    parts.forEach((part) => take(JSON.parse(part)));
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  progress.hidden = false;
  said.textContent = "Replaying";
  result.replaceChildren();
  let whole = false;
  try {
    const address = `${form.action}?${new URLSearchParams(new FormData(form))}`;
    const response = await fetch(address, { headers: { Accept: "application/x-ndjson" } });
    if (!response.ok) throw new Error(String(response.status));
    await lines(response, (line) => {
      if (line.html === undefined) {
        bar.max = line.expected;
        bar.value = line.done;
        return;
      }
      whole = true;
      result.innerHTML = line.html; // made by our server, which escapes everything in it
    });
    said.textContent = whole ? "Done" : "It ended before its end: try again";
  } catch {
    said.textContent = "It failed: load the page again, and sign in if you are asked to";
  }
  bar.max = 1;
  bar.value = whole ? 1 : 0;
  button.disabled = false;
  if (whole) result.focus();
});
