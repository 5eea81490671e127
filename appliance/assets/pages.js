// Makes waiting pleasanter. Every page works without this file.
//
// A code's life is counted down; a message that is on its way is followed until it has left; a page that waits for
// the phone moves on by itself, without a reload; the key of an app can be copied;
// a sheet can be printed.
"use strict";

const ANSWER_MS = 60000; // longest wait for an answer
const PAUSE_MS = 2000; // between two looks
const LOOKS_MAX = 30; // looks in vain, one after the other, before the page leaves it to its button

const pause = () => new Promise((done) => setTimeout(done, PAUSE_MS));

function look(path) {
  return fetch(path, { redirect: "manual", cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) });
}

// Takes over what another look at the same page says above its form, and what else it offers now.
async function takeOver(answer) {
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const [offered, offers] = [document, page].map((found) => found.querySelector("form.others"));
  if (offered && offers && offered.elements.length !== offers.elements.length) offered.replaceWith(offers);
  const [now, next] = [document, page].map((found) => found.getElementById("notices"));
  if (now && next && now.textContent.trim() !== next.textContent.trim()) {
    now.replaceWith(next);
    countDown();
  }
}

function countDown() {
  const timer = document.querySelector("[data-left]");
  if (!timer) return;
  const end = performance.now() + Number(timer.dataset.left) * 1000;
  const tick = () => {
    if (!timer.isConnected) return;
    const left = Math.round((end - performance.now()) / 1000);
    if (left > 0) {
      timer.textContent = Math.floor(left / 60) + ":" + String(left % 60).padStart(2, "0");
      setTimeout(tick, 1000);
      return;
    }
    const over = timer.parentElement;
    over.setAttribute("role", "status");
    over.textContent = over.dataset.over;
  };
  tick();
}

// The path is held by the server until the phone has decided, or for half a minute. A redirect means that the flow is at
// another step: the browser goes there itself.
async function waitForPhone(held) {
  for (let inVain = 0; inVain < LOOKS_MAX; inVain++) {
    try {
      const answer = await look(held);
      if (answer.ok) {
        await takeOver(answer);
        inVain = -1;
        continue;
      }
      if (answer.status !== 429 && answer.status < 500) return location.replace(location.pathname);
    } catch {
      // Nobody answers: once more after a while.
    }
    await pause();
  }
}

async function followMessage() {
  for (let looks = 0; looks < LOOKS_MAX && document.querySelector("#notices[data-more]"); looks++) {
    await pause();
    try {
      const answer = await look(location.pathname);
      if (answer.ok) await takeOver(answer);
    } catch {
      // Once more after a while.
    }
  }
}

function offerCopy() {
  const button = document.querySelector("[data-copy]");
  if (!button || !navigator.clipboard) return; // only where the page came over TLS
  button.hidden = false;
  button.addEventListener("click", async () => {
    const key = document.querySelector("[data-secret]");
    try {
      await navigator.clipboard.writeText(key.textContent.replaceAll(" ", ""));
      button.textContent = button.dataset.done;
    } catch {
      getSelection().selectAllChildren(key); // the browser does not allow it: ready for the user's own copy
    }
  });
}

function offerPrint() {
  const button = document.querySelector("[data-print]");
  if (!button) return;
  button.hidden = false;
  const hint = document.querySelector("[data-print-hint]"); // says how to do without the button
  if (hint) hint.hidden = true;
  button.addEventListener("click", () => print());
}

countDown();
offerCopy();
offerPrint();
followMessage();
const waits = document.querySelector("#notices[data-waits]");
if (waits) waitForPhone(waits.dataset.waits);
