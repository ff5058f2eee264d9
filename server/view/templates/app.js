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
  const send = (message) => parent.postMessage({ jsonrpc: "2.0", ...message }, "*");
  const setTheme = (context) => {
    if (context && (context.theme === "dark" || context.theme === "light")) root.dataset.theme = context.theme;
  };
  const fold = (open) => document.querySelectorAll("details").forEach((item) => { item.open = open; });
  const fact = (name, value) => make("li", "", `${name} `, make("b", "", String(value)));
  const citation = (each) => {
    const place = make("code", "", make("bdi", "", each.path), `:${each.start}-${each.end}`);
    const summary = make("summary", "", place, make("span", "", each.reason || ""));
    const made = make("details", "citation", summary, make("div", "inside", make("pre", "", each.evidence || "")));
    made.open = true;
    return made;
  };
  const show = (found) => {
    if (!found || !Array.isArray(found.citations)) return;
    get("question").textContent = spelled(found.query || "");
    get("answer").textContent = spelled(found.answer || "") || (found.citations.length ? "" : "No place was found.");
    get("answer").className = "";
    get("facts").replaceChildren(
      fact("by the", found.engine === "scout" ? "scout" : "model"), fact("because", found.engine_reason),
      ...(found.confidence ? [fact("confidence", found.confidence)] : []), fact("stopped:", found.stop_reason),
      ...(found.turns ? [fact("turns", found.turns), fact("calls", found.tool_calls)] : []),
      fact("seconds", found.elapsed_s),
    );
    get("citations").replaceChildren(...found.citations.map(citation));
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
      show(params.structuredContent);
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
