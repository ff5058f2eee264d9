"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector) => [...document.querySelectorAll(selector)];
  const theme = () => {
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  };
  const fold = (open) => all("details").forEach((item) => { item.open = open; });
  const search = document.getElementById("search");
  const filter = () => {
    const words = (search ? search.value : "").toLowerCase().split(/\s+/).filter(Boolean);
    const off = new Set(all("input[data-kind]").filter((box) => !box.checked).map((box) => box.dataset.kind));
    all("details.call").forEach((call) => {
      const text = words.length ? call.textContent.toLowerCase() : "";
      call.hidden = off.has(call.dataset.kind) || !words.every((word) => text.includes(word));
    });
    all("details.turn").forEach((turn) => {
      const calls = [...turn.querySelectorAll("details.call")];
      const ownText = words.length ? turn.textContent.toLowerCase() : "";
      turn.hidden = words.length > 0 && !words.every((word) => ownText.includes(word));
      if (words.length && calls.some((call) => !call.hidden)) turn.open = true;
    });
  };
  const step = (by) => {
    const turns = all("details.turn").filter((turn) => !turn.hidden);
    const at = turns.findIndex((turn) => turn.contains(document.activeElement));
    const next = turns[Math.min(turns.length - 1, Math.max(0, at + by))];
    if (next) next.querySelector("summary").focus();
  };
  // Of a long outline the part around the place; it has no height before its place is unfolded.
  const centre = (within) => within.querySelectorAll(".outline ol").forEach((list) => {
    const at = list.querySelector(".at") || [...list.querySelectorAll(".around")].pop();
    if (at) list.scrollTop = at.offsetTop - list.clientHeight / 2;
  });
  centre(document);
  document.addEventListener("toggle", (event) => centre(event.target), true);
  document.getElementById("theme").addEventListener("click", theme);
  document.getElementById("open").addEventListener("click", () => fold(true));
  document.getElementById("close").addEventListener("click", () => fold(false));
  if (search) search.addEventListener("input", filter);
  all("input[data-kind]").forEach((box) => box.addEventListener("change", filter));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target === search) {
      if (event.key === "Escape") { search.value = ""; filter(); search.blur(); }
      return;
    }
    const act = {
      t: theme, e: () => fold(true), c: () => fold(false), j: () => step(1), k: () => step(-1),
      "/": () => search && search.focus(),
    }[event.key];
    if (act) { event.preventDefault(); act(); }
  });
})();
