// After each redraw of a panel; and what the page's events call.
const acted = (panel, element) => {
  const asked = open.acting?.panel === panel && open.acting, page = document.getElementById(panel);
  if (element.querySelector("[data-gone]")) return location.reload();
  if (panel === "people" && !element.querySelector(".people-page") && root.dataset.page === "people") return act("people", { do: "show" });
  if (!asked) return;
  open.acting = null;
  page.inert = false;
  // Else to where the act began.
  const row = asked.id ? `:is([data-id="${CSS.escape(asked.id)}"], [data-key-id="${CSS.escape(asked.id)}"])` : "", opener = `[data-step="${open.opener}"]`;
  const places = ["[data-focus]", row && `${row} ${opener}`, row && `${row} .button`, asked.back && opener];
  places.filter(Boolean).map((place) => element.querySelector(place)).find(Boolean)?.focus();
};
const drawn = (element, search) => { // the documents page
  view.drawn = element.querySelector("[data-drawn]")?.dataset.drawn || "";
  ages();
  if (search) sought(search);
  if (open.turned) element.querySelector(".filters")?.scrollIntoView({ block: "start" });
  if (open.pressed && document.activeElement === document.body) element.querySelector(open.pressed)?.focus({ preventScroll: true }); // for who has no mouse
  open.turned = false;
  open.pressed = "";
};
const redrawn = (panel, element) => {
  const search = element.querySelector("[data-find]"), list = element.querySelector("[data-scroll]");
  if (search && open[panel]) { search.value = open[panel]; filter(search); }
  if (panel === "documents") drawn(element, search);
  if (list) list.scrollTop = open[`${panel}-top`] || 0;
  if (panel === "sources" && open.cite) { cite(open.cite); open.cite = null; }
  if (panel === "header") chooseAgain(element);
  askAgain(element);
  const language = element.querySelector("[lang]")?.lang;
  if (language) root.lang = language;
  if (panel === "account") theme();
  if (ACTING.includes(panel)) acted(panel, element);
  if (panel === "verdicts") judged();
  if (panel === "rail" && composer.user() && !open.drawn) { open.drawn = true; composer.again(); }
  if (panel === "documents" && !element.querySelector(".documents-page") && root.dataset.page === "documents") look();
};
window.maisale = {
  panel: (name, element, trigger, watch) => { triggers[name] = trigger; redrawn(name, element); watch("value", () => redrawn(name, element)); },
  opened: (id) => { write({ c: id }, address().has("c") || !id); },
  asked: () => address().get("c") || "",
  sent: async (composed, here, choice) => {
    const place = list.opens ?? here, question = composer.sent(composed, place); // nobody waits to type before a new chat is drawn
    await composer.turn(question);
    await list.done();
    return [composed, place || question.after?.went || "", choice];
  },
  listed: list.ended,
  taken: composer.taken,
  unsent: () => composer.unsent(),
  typed: composer.typed,
  page: () => (root.dataset.page === "documents" ? `documents ${JSON.stringify(view)}` : root.dataset.page),
};
