// All pages work without this. It lets counters move, looks at choices as soon as they are made, and closes menus.
"use strict";

document.documentElement.classList.add("has-scripts");

const SAID = 5000; // milliseconds between two things said to a screen reader

const focusable = (part) => [...part.querySelectorAll("a, button, input, select, summary, [tabindex]")];

// Put the parts of a page that are marked with data-part in the place of those that are shown; the focus stays.
function takeParts(page) {
  for (const part of document.querySelectorAll("[data-part]")) {
    const fresh = page.getElementById(part.id);
    if (!fresh) continue;
    if (part.innerHTML !== fresh.innerHTML) {
      const focused = focusable(part).indexOf(document.activeElement);
      part.replaceChildren(...fresh.childNodes);
      focusable(part)[focused]?.focus({ preventScroll: true });
    }
    if (!fresh.hasAttribute("data-moves")) part.removeAttribute("data-moves");
  }
}

async function load(address, sent) {
  const answer = await fetch(address, { method: sent ? "POST" : "GET", body: sent, credentials: "same-origin" });
  if (answer.redirected) throw new Error("another page");
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

let said = 0;
function say(page) {
  const here = document.querySelector("[data-said]");
  const fresh = here && page.getElementById(here.id);
  const ended = !document.querySelector("[data-moves]");
  if (!fresh || here.textContent === fresh.textContent || (!ended && Date.now() - said < SAID)) return;
  here.textContent = fresh.textContent;
  said = Date.now();
}

// What moves says in data-moves how many seconds to wait until the next look.
function follow() {
  const moving = document.querySelector("[data-moves]");
  if (moving) setTimeout(lookAgain, 1000 * moving.getAttribute("data-moves"));
}

async function lookAgain() {
  try {
    if (!document.hidden) {
      const page = await load(location.href);
      takeParts(page);
      say(page);
    }
  } catch {
    // the server may be there again the next time
  }
  follow();
}
follow();

let looks = 0;
async function look(form) {
  const mine = ++looks;
  const fields = new URLSearchParams(new FormData(form));
  fields.set(form.getAttribute("data-checked"), "yes"); // form.dataset is its field of that name
  const address = form.action;
  try {
    const page = await (form.method === "post" ? load(address, fields) : load(`${address}?${fields}`));
    if (mine === looks) takeParts(page);
  } catch {
    // the button says what is wrong
  }
}
for (const form of document.querySelectorAll("form[data-checked]")) {
  form.addEventListener("change", () => look(form));
}

const menus = () => document.querySelectorAll("details.menu[open]");
document.addEventListener("click", (event) => {
  for (const menu of menus()) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of menus()) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});
