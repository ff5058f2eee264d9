"use strict";
(() => {
  // A view of MCP Apps: JSON-RPC with the host over postMessage. Texts become text nodes only.
  const root = document.documentElement;
  const get = (id) => document.getElementById(id);
  // What would not be seen or would turn text around is written as an escape.
  const spelled = (text) => text.replace(/(?![\n\t])[\p{Cc}\p{Cf}\p{Cs}\p{Co}]/gu, (char) => {
    const code = char.codePointAt(0).toString(16);
    return code.length > 4 ? `\\U${code.padStart(8, "0")}` : `\\u${code.padStart(4, "0")}`;
  });
  const make = (tag, className, ...children) => {
    const made = document.createElement(tag);
    if (className) made.className = className;
    made.append(...children.map((each) => (typeof each === "string" ? spelled(each) : each)));
    return made;
  };
  // Of a long outline the part around the place; it has no height before its place is unfolded.
  const centre = (within) => within.querySelectorAll(".outline ol").forEach((list) => {
    const at = list.querySelector(".at") || [...list.querySelectorAll(".around")].pop();
    if (at) list.scrollTop = at.offsetTop - list.clientHeight / 2;
  });
  document.addEventListener("toggle", (event) => centre(event.target), true);
  const send = (message) => parent.postMessage({ jsonrpc: "2.0", ...message }, "*");
  const setTheme = (context) => {
    if (context && (context.theme === "dark" || context.theme === "light")) root.dataset.theme = context.theme;
  };
  const fold = (open) => document.querySelectorAll("details").forEach((item) => { item.open = open; });
  const fact = (name, value) => make("li", "", `${name} `, make("b", "", String(value)));
  const row = (number, pieces) =>
    make("span", "row", make("span", "n", String(number)), make("span", "", ...pieces));
  // The pieces of a line by kind and length, such as k3_1f8; "_" has no colour.
  const coloured = (line, runs) => {
    const chars = [...line];
    const pieces = [...(runs || "").matchAll(/([a-z_])(\d+)/g)].map(([, kind, length]) => {
      const text = chars.splice(0, Number(length)).join("");
      return kind === "_" ? text : make("span", kind, text);
    });
    return [...pieces, chars.join("")];
  };
  const code = (each, colours) => {
    const rows = [];
    let next = each.start;
    each.code.forEach((excerpt, at) => {
      if (excerpt.start > next) rows.push(row("...", []));
      excerpt.lines.forEach((line, nth) => {
        rows.push(row(excerpt.start + nth, coloured(line, colours[at] && colours[at][nth])));
      });
      next = excerpt.start + excerpt.lines.length;
    });
    if (next <= each.end) rows.push(row("...", []));
    return rows;
  };
  const outline = (each, entries) => {
    const list = make("ol", "", ...entries.map(({ name, start, end, depth }) => {
      const mark = start >= each.start && start <= each.end ? " at" : "";
      const around = start < each.start && end >= each.start ? " around" : "";
      const item = `d${Math.min(depth, 4)}${mark}${around}`;
      return make("li", item, make("bdi", "", name), make("span", "quiet", String(start)));
    }));
    const made = make("nav", "outline", list);
    made.setAttribute("aria-label", "Outline of the file");
    return made;
  };
  const citation = (each, nth, extras) => {
    const place = make("code", "", make("bdi", "", each.path), `:${each.start}-${each.end}`);
    const summary = make("summary", "", place, make("b", "", each.name || ""), make("span", "", each.reason || ""));
    const links = (each.links || []).map(({ relation, path, line, name }) =>
      make("li", "", `${relation} `, make("code", "", make("bdi", "", path), `:${line} ${name}`)));
    const isShown = Boolean(each.code && each.code.length);
    const text = isShown ? code(each, extras.colours[nth] || []) : [each.evidence || ""];
    const inside = make("div", "inside", make("div", "code", make("pre", "", ...text)));
    const entries = isShown && extras.outlines[each.path];
    if (entries) {
      inside.classList.add("outlined");
      inside.append(outline(each, entries));
    }
    if (links.length) inside.firstChild.append(make("ul", "quiet", ...links));
    const made = make("details", "citation", summary, inside);
    made.open = isShown || nth === 0;
    return made;
  };
  const show = (found, meta) => {
    if (!found || !Array.isArray(found.citations)) return;
    const extras = { colours: [], outlines: {}, ...(meta && meta.fastcontext) };
    get("question").textContent = spelled(found.query || "");
    get("answer").textContent = spelled(found.answer || "") || (found.citations.length ? "" : "No place was found.");
    get("answer").className = "";
    get("facts").replaceChildren(
      fact("by the", found.engine === "scout" ? "scout" : "model"), fact("because", found.engine_reason),
      ...(found.confidence ? [fact("confidence", found.confidence)] : []), fact("stopped:", found.stop_reason),
      ...(found.turns ? [fact("turns", found.turns), fact("calls", found.tool_calls)] : []),
      fact("seconds", found.elapsed_s),
    );
    get("citations").replaceChildren(...found.citations.map((each, nth) => citation(each, nth, extras)));
    centre(document);
    const notes = (found.notes || []).map((note) => make("li", "", note));
    const heading = make("h2", "", "Notes");
    get("notes").replaceChildren(...(notes.length ? [heading, make("ul", "", ...notes)] : []));
  };
  addEventListener("message", (event) => {
    if (event.source !== parent || !event.data || event.data.jsonrpc !== "2.0") return;
    const { id, method, params, result } = event.data;
    if (id === "hello" && result) {
      setTheme(result.hostContext);
      send({ method: "ui/notifications/initialized", params: {} });
    } else if (method === "ui/notifications/tool-input" && params && params.arguments) {
      get("question").textContent = spelled(String(params.arguments.query || ""));
    } else if (method === "ui/notifications/tool-result" && params) {
      show(params.structuredContent, params._meta);
    } else if (method === "ui/notifications/host-context-changed") {
      setTheme(params);
    } else if (method === "ui/resource-teardown" || method === "ping") {
      send({ id, result: {} });
    }
  });
  get("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
  get("open").addEventListener("click", () => fold(true));
  get("close").addEventListener("click", () => fold(false));
  new ResizeObserver(() => {
    const { scrollWidth: width, scrollHeight: height } = root;
    send({ method: "ui/notifications/size-changed", params: { width, height } });
  }).observe(document.body);
  send({
    id: "hello", method: "ui/initialize",
    params: {
      protocolVersion: "2026-01-26", appCapabilities: {},
      appInfo: { name: "fastcontext", version: "1" },
    },
  });
})();
