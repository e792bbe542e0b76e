// Pages, addresses and themes; how panels reach the server.
const root = document.documentElement, store = window.localStorage;
const cookie = (name, value) => { document.cookie = `${name}=${value}; path=/; max-age=31536000; samesite=lax`; };
const fold = (text) => text.normalize("NFD").replace(/[\u0300-\u036f]/g, "").replace(/đ/gi, "d").toLowerCase().trim();
const find = (selector) => document.querySelector(selector);
const address = () => new URLSearchParams(location.search);
const triggers = {};
const send = (panel, event, detail) => triggers[panel]?.(event, detail);
const ACTING = ["account", "people"]; // panels whose acts stand in data-do and data-act, and which show secrets once
const open = {}; // what stands in a search box or how far a list is scrolled outlives a redraw of its panel

root.dataset.page = address().get("at") || "chat";
cookie("maisale_minutes", -new Date().getTimezoneOffset());

// A session that has ended answers 401; the gate then shows the sign-in page for the same address.
const fetched = window.fetch;
window.fetch = async (...asked) => {
  const lost = () => {
    const [question] = composer.line, sent = String(asked[0]).includes("/queue/join") && String(asked[1]?.body);
    if (question && sent && sent.includes(JSON.stringify(question.text))) composer.unsent();
  };
  const answer = await fetched(...asked).catch((problem) => { lost(); throw problem; });
  if (answer.status === 401) location.reload();
  if (!answer.ok) lost();
  return answer;
};

const theme = () => {
  const chosen = store.getItem("theme") || "system";
  const dark = chosen === "system" ? matchMedia("(prefers-color-scheme: dark)").matches : chosen === "dark";
  if (document.body.classList.contains("dark") !== dark) document.body.classList.toggle("dark", dark);
  root.classList.toggle("dark", dark);
  root.style.colorScheme = dark ? "dark" : "light";
  document.querySelectorAll("[data-theme]").forEach((one) => one.setAttribute("aria-pressed", one.dataset.theme === chosen));
};
document.addEventListener("DOMContentLoaded", () => {
  theme();
  // Gradio 6.31 sets its own choice when it starts, and at each change of the device's.
  new MutationObserver(theme).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", theme);
  new MutationObserver((changes) => { if (changes.some((one) => one.target.closest?.("#chat"))) judged(); }).observe(document.body, { childList: true, subtree: true });
});

const write = (changes, push = true) => {
  const now = address();
  for (const [name, value] of Object.entries(changes)) value ? now.set(name, value) : now.delete(name);
  const next = now.size ? `?${now}` : location.pathname;
  if (now.toString() !== address().toString()) history[push ? "pushState" : "replaceState"](null, "", next);
};
// What is typed must not go to a panel that is about to be drawn anew, and no act is done twice.
const act = (panel, detail) => {
  const element = document.getElementById(panel);
  open.acting = { panel, id: detail.key_id || detail.id, back: detail.do === "back" };
  if (detail.do === "step") open.opener = detail.step;
  if (detail.do === "new") open.people = ""; // whoever is new must not be filtered away
  if (element) { element.inert = true; setTimeout(() => { element.inert = false; }, 10_000); } // should no answer come
  send(panel, "select", detail);
};
const around = (element) => {
  const person = element.closest("[data-id]")?.dataset.id || "", key = element.closest("[data-key-id]")?.dataset.keyId || "";
  return { id: person, key_id: key, step: element.dataset.step || "" };
};
const forget = () => document.querySelectorAll("[data-secret]").forEach((one) => one.closest(".made").remove());
window.addEventListener("pagehide", forget);
const go = (page) => {
  const left = root.dataset.page, secret = document.querySelector(`#${left} [data-secret]`);
  if (secret && left !== page) { forget(); send(left, "select", { do: "show" }); } // else Gradio would hold it on
  root.dataset.page = page;
  document.body.classList.remove("rail-open", "src-open");
  write({ at: page === "chat" ? "" : page });
  if (page === "documents") look();
  if (ACTING.includes(page)) act(page, { do: "show" });
};
window.addEventListener("popstate", () => location.reload());

const filter = (input) => { // people and conversations, which the page holds all; documents are found by the server
  const scope = input.closest("nav, section"), wanted = fold(input.value);
  let seen = 0;
  scope.querySelectorAll("[data-folded]").forEach((row) => {
    row.hidden = !row.dataset.folded.includes(wanted);
    seen += !row.hidden;
  });
  scope.querySelectorAll(".day").forEach((day) => { day.hidden = !day.querySelector("[data-folded]:not([hidden])"); });
  scope.querySelectorAll("[data-none]").forEach((one) => { one.hidden = seen > 0 || !wanted; });
};
