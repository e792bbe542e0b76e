// What the page does in the browser by itself: pages, menu, drawer, citations, filters, drop zones, keys. What needs the server goes through `send`.
(() => {
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
    const lost = () => { if (String(asked[0]).includes("/queue/join")) composer.unsent(); };
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
  // What the documents page shows: sent with each of its events, and by the clock, so that a redraw shows the same.
  const view = { find: "", kind: "all", after: "", opened: "", letters: "", drawn: "" };
  const look = (changes = {}, done = {}) => {
    clearTimeout(seeker.timer); // what was typed just now goes along
    if (seeker.text !== null) view.find = seeker.text;
    send("documents", "select", { do: "show", ...Object.assign(view, changes), ...done });
  };
  const seeker = { timer: 0, on: false, text: null, at: [0, 0] }; // the search box: what is typed and the cursor outlive a redraw, which brings another box
  const SEEKER = "#documents [data-find]";
  const seek = (input) => {
    seeker.text = input.value;
    clearTimeout(seeker.timer);
    seeker.timer = setTimeout(() => look({ after: "" }), 200);
  };
  const sought = (box) => {
    if (seeker.text !== null) box.value = seeker.text;
    if (!seeker.on) return;
    const [start, end] = seeker.at;
    box.focus({ preventScroll: true });
    box.setSelectionRange(start, end);
  };
  document.addEventListener("focusin", (event) => { seeker.on = Boolean(event.target.matches?.(SEEKER)); });
  document.addEventListener("compositionend", (event) => { if (event.target.matches?.(SEEKER)) seek(event.target); });
  document.addEventListener("pointerdown", (event) => { if (!event.target.matches?.(SEEKER)) seeker.on = false; }, true);
  document.addEventListener("selectionchange", () => {
    const box = document.activeElement;
    if (box?.matches?.(SEEKER)) seeker.at = [box.selectionStart, box.selectionEnd];
    if (box?.matches?.(".renaming input")) begun.at = [box.selectionStart, box.selectionEnd];
  });
  const age = (time, words, language) => {
    const at = new Date(time.dataset.at * 1000), now = new Date(), minutes = Math.floor((now - at) / 60_000);
    const days = Math.round((new Date(now.toDateString()) - new Date(at.toDateString())) / 86_400_000);
    if (minutes < 1) return words.just_now;
    if (minutes < 60) return words.minutes_ago.replace("{n}", minutes);
    if (days < 1) return words.hours_ago.replace("{n}", Math.floor(minutes / 60));
    if (days === 1) return words.yesterday.toLowerCase();
    return at.toLocaleDateString(language, language === "vi" ? {} : { day: "numeric", month: "short", ...(at.getFullYear() === now.getFullYear() ? {} : { year: "numeric" }) });
  };
  const ages = () => {
    const page = find("[data-ages]"), words = page && JSON.parse(page.dataset.ages);
    page?.querySelectorAll("time[data-at]").forEach((time) => {
      const text = age(time, words, page.lang === "vi" ? "vi" : "en-GB");
      if (time.textContent !== text) time.textContent = text;
    });
  };
  setInterval(ages, 15_000);
  const drawer = (wanted) => {
    document.body.classList.toggle("src-open", wanted);
    find("[data-drawer]")?.setAttribute("aria-expanded", document.body.classList.contains("src-open"));
  };
  const cite = (number) => {
    const card = document.getElementById(`src-${number}`);
    if (!card) return;
    document.querySelectorAll(".card.chosen").forEach((one) => one.classList.remove("chosen"));
    card.classList.add("chosen");
    card.open = true;
    const phone = matchMedia("(max-width: 860px)").matches;
    if (phone) drawer(true);
    // On a phone once the drawer stands: its height decides what is in view.
    setTimeout(() => { card.focus({ preventScroll: true }); card.scrollIntoView({ block: phone ? "start" : "nearest" }); }, phone ? 220 : 30);
  };
  const citation = (link) => {
    const [, number, reply] = /^#src-(\d+)-(\w+)$/.exec(link.getAttribute("href")) || [];
    document.querySelectorAll("#chat a.chosen").forEach((one) => one.classList.remove("chosen"));
    link.classList.add("chosen");
    if (find(".sources")?.dataset.reply === reply) cite(number);
    else { open.cite = number; send("sources", "select", { reply, number }); }
  };
  const give = (target, files) => {
    const input = find(target === "chat" ? "#composer input[type=file]" : "#library-upload input[type=file]");
    if (!input || !files.length) return;
    const carried = new DataTransfer();
    [...files].forEach((file) => carried.items.add(file));
    input.files = carried.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
    if (target === "chat") find("#composer textarea")?.focus();
    else {
      Object.assign(view, { find: "", kind: "all", after: "" }); // the new ones must not be filtered away
      seeker.text = "";
    }
  };
  const choose = (target) => {
    const picker = Object.assign(document.createElement("input"), { type: "file", multiple: true });
    picker.onchange = () => give(target, picker.files);
    picker.click();
  };
  // Gradio 6.31's chat takes no block of ours under a message: each answer's buttons are copied there, whenever it has drawn itself anew.
  const judged = () => {
    const made = document.querySelectorAll("#verdicts .verdict");
    document.querySelectorAll("#chat .bot-row").forEach((answer, at) => {
      const bar = answer.nextElementSibling?.matches(".message-buttons-left") && answer.nextElementSibling, wanted = made[at]?.dataset.reply && made[at];
      if (!bar) return;
      const there = bar.querySelector(".verdict");
      if (!wanted) return there?.remove();
      if (there?.drawn === wanted.outerHTML) return; // what is being typed into it stays
      const copy = Object.assign(wanted.cloneNode(true), { drawn: wanted.outerHTML }), focused = there?.contains(document.activeElement) && document.activeElement;
      if (open.commenting === wanted.dataset.reply) commenting(copy, true);
      there ? there.replaceWith(copy) : bar.append(copy);
      if (focused) (copy.querySelector(focused.dataset.verdict ? `[data-verdict=${focused.dataset.verdict}]` : "[data-comment]") || copy.firstChild).focus();
    });
  };
  const commenting = (entry, shown) => {
    const form = entry.querySelector(".commenting");
    if (form) { form.hidden = !shown; entry.querySelector(".comment-link").hidden = shown; }
  };
  const judge = (button) => {
    const entry = button.closest(".verdict"), reply = entry.dataset.reply, back = button.getAttribute("aria-pressed") === "true";
    open.commenting = back ? null : reply;
    // What was said of the answer stays with it when the thumb turns.
    send("verdicts", "select", { reply, verdict: back ? "" : button.dataset.verdict, comment: back ? "" : entry.querySelector("textarea")?.value || "" });
  };
  // Documents to ask: the server finds them by a part of their name, for the header's form, after an @ in the composer, and for "why not mine?".
  const LISTED = 20, PAUSE_MS = 120, BEFORE_CURSOR = /(?:^|[\s(\[{"'“‘«,;:–—])@("[^"\n]*|[^\s@"]*)$/;
  const names = async (q, anywhere) => {
    try {
      const answer = await fetch(`/v1/documents/names?${new URLSearchParams({ q: q.slice(0, 200), anywhere, conversation_id: address().get("c") || "" })}`);
      return answer.ok ? await answer.json() : [];
    } catch { return []; } // the server restarts; the next letter asks again
  };
  const asking = (anywhere, show) => { // asks once typing pauses; an answer that comes after the next question is passed over
    let turn = 0, timer;
    return (typed, ...more) => {
      const mine = ++turn;
      clearTimeout(timer);
      if (typed !== null) timer = setTimeout(async () => { const found = await names(typed, anywhere); if (mine === turn) show(found, ...more); }, PAUSE_MS);
    };
  };
  const whereOf = (one) => { // its title, when the file's name is not that, and the folder or collection it stands in
    const folder = one.source.split("/").at(-2) || one.collection || find(".choose fieldset").dataset.attached;
    return one.title === one.name ? folder : `${one.title} · ${folder}`;
  };
  const choosing = { open: false, typed: "", ticked: new Map() }; // what is done in the header's form, until it is sent or closed: a redraw takes none of it
  const boxOf = (one, checked) => {
    const row = document.createElement("label"), box = Object.assign(document.createElement("input"), { type: "checkbox", value: one.id, checked });
    row.dataset.document = one.id;
    row.append(box, Object.assign(document.createElement("span"), { textContent: one.name }), Object.assign(document.createElement("small"), { textContent: whereOf(one) }));
    row.named = one;
    return row;
  };
  const listNames = asking(true, (found, fieldset) => {
    const rows = fieldset.querySelector(".rows"), typed = fieldset.querySelector("[data-find-document]").value.trim();
    rows.querySelectorAll("[data-document]").forEach((row) => { if (!row.querySelector("input").checked) row.remove(); });
    const there = new Set([...rows.children].map((row) => row.dataset.document));
    rows.append(...found.filter((one) => !there.has(one.id)).map((one) => boxOf(one, false)));
    fieldset.querySelector("[data-none]").hidden = found.length > 0 || !typed;
    fieldset.querySelector("[data-more]").hidden = found.length < LISTED;
  });
  const chooseAgain = (element) => { // after a redraw of the header
    const details = element.querySelector(".searched"), input = element.querySelector("[data-find-document]");
    if (!choosing.open || !details) return;
    details.open = true;
    element.querySelectorAll(".choose > label input").forEach((box) => { box.checked = choosing.ticked.get(box.value)?.checked ?? box.checked; });
    if (!input) return;
    const rows = input.closest("fieldset").querySelector(".rows");
    rows.querySelectorAll("input").forEach((box) => { box.checked = choosing.ticked.get(box.value)?.checked ?? box.checked; });
    const there = new Set([...rows.children].map((row) => row.dataset.document));
    choosing.ticked.forEach(({ checked, named }, id) => { if (checked && named && !there.has(id)) rows.append(boxOf(named, true)); });
    input.value = choosing.typed;
    listNames(input.value, input.closest("fieldset"));
  };
  document.addEventListener("toggle", (event) => {
    if (!event.target.matches?.(".searched") || !event.target.isConnected) return;
    choosing.open = event.target.open;
    const input = event.target.querySelector("[data-find-document]");
    if (!choosing.open) { choosing.typed = ""; choosing.ticked.clear(); listNames(null); } else if (input) listNames(input.value, input.closest("fieldset"));
  }, true);
  document.addEventListener("change", (event) => {
    const box = event.target;
    if (box.matches?.(".choose [type=checkbox]")) choosing.ticked.set(box.value, { checked: box.checked, named: box.closest("label").named });
  });
  const offer = { box: null, list: null, from: 0, at: 0 };
  const withdraw = () => {
    offer.list?.remove();
    offer.list = null;
    for (const name of ["aria-controls", "aria-autocomplete", "aria-activedescendant"]) offer.box?.removeAttribute(name);
  };
  const point = (at) => {
    const rows = [...offer.list.children];
    offer.at = (at + rows.length) % rows.length;
    rows.forEach((one, number) => one.setAttribute("aria-selected", number === offer.at));
    offer.box.setAttribute("aria-activedescendant", rows[offer.at].id);
    rows[offer.at].scrollIntoView({ block: "nearest" });
  };
  const typedName = (box) => BEFORE_CURSOR.exec(box.value.slice(0, box.selectionStart))?.[1];
  const showNames = (found, box) => {
    const typed = typedName(box);
    withdraw();
    if (typed === undefined || document.activeElement !== box) return;
    const fits = new Map(); // documents of one name are asked together
    found.forEach((one) => fits.set(one.name, [...(fits.get(one.name) || []), whereOf(one)]));
    if (!fits.size || (fits.size === 1 && fold(found[0].name) === fold(typed.replace(/^"/, "")))) return;
    offer.box = box;
    offer.from = box.selectionStart - typed.length - 1;
    offer.list = Object.assign(document.createElement("ul"), { id: "named", className: "named" });
    offer.list.setAttribute("role", "listbox");
    offer.list.setAttribute("aria-label", find(".choose fieldset").dataset.names);
    [...fits].forEach(([name, where], number) => {
      const item = Object.assign(document.createElement("li"), { id: `named-${number}` });
      item.setAttribute("role", "option");
      item.dataset.offered = name;
      for (const [tag, text] of [["span", name], ["small", where.join(", ")]]) item.append(Object.assign(document.createElement(tag), { textContent: text }));
      offer.list.append(item);
    });
    const place = find("#composer").getBoundingClientRect();
    Object.assign(offer.list.style, { left: `${place.left}px`, bottom: `${innerHeight - place.top + 6}px`, maxWidth: `${place.width}px` });
    document.body.append(offer.list);
    box.setAttribute("aria-controls", "named");
    box.setAttribute("aria-autocomplete", "list");
    point(0);
    offer.list.scrollTop = 0;
  };
  const askNames = asking(false, showNames);
  const offerNames = (box) => {
    withdraw(); // else Enter takes a name that does not fit any more
    const typed = find(".choose fieldset") ? typedName(box) : undefined;
    askNames(typed === undefined ? null : typed.replace(/^"/, ""), box);
  };
  const takeName = (name) => {
    const { box, from } = offer;
    box.setRangeText(/[\s“”]/.test(name) ? `@"${name}" ` : `@${name} `, from, box.selectionStart, "end");
    box.dispatchEvent(new Event("input", { bubbles: true }));
    withdraw();
    box.focus();
  };
  document.addEventListener("keydown", (event) => { // before Gradio's own, for which Enter sends the question
    if (!offer.list || event.target !== offer.box || event.isComposing) return;
    const steps = { ArrowDown: 1, ArrowUp: -1 }, done = ["Enter", "Tab"].includes(event.key) && !event.shiftKey;
    if (steps[event.key]) point(offer.at + steps[event.key]);
    else if (done) takeName(offer.list.children[offer.at].dataset.offered);
    else if (event.key === "Escape") withdraw();
    else return;
    event.preventDefault(); event.stopImmediatePropagation();
  }, true);
  document.addEventListener("pointerdown", (event) => { if (event.target.closest?.("[data-offered]")) event.preventDefault(); }, true); // the cursor stays in the box
  window.addEventListener("resize", () => { if (offer.list) offerNames(offer.box); }); // a phone turned, or its keyboard came
  const offerWhy = asking(true, (found, input) => input.list?.replaceChildren(...[...new Set(found.map((one) => one.name))].map((name) => new Option(name, name))));
  document.addEventListener("focusin", (event) => { if (event.target.matches?.(".why input")) offerWhy(event.target.value, event.target); });
  document.addEventListener("focusout", (event) => { if (event.target === offer.box) withdraw(); });
  const begun = { where: "", typed: null, at: [0, 0] }; // the question that a row asks or the name written in it: both outlive a redraw of its panel
  const row = (element, name, shown) => { // one of: nothing, renaming, deleting
    const item = element.closest("li, .act"), id = element.closest("[data-id]")?.dataset.id;
    [...item.children].forEach((one) => { one.hidden = one.matches(".renaming, .deleting") ? one !== name : shown; });
    const which = name?.matches(".deleting") ? `.deleting:has([data-do="${name.querySelector(".danger").dataset.do}"])` : ".renaming";
    begun.where = shown ? `${id ? `[data-id="${CSS.escape(id)}"] ` : ""}${which}` : "";
    begun.typed = null;
  };
  const ask = (element, name) => {
    row(element, name, true);
    (name.querySelector("[data-do=keep]") || name.firstChild).focus();
    name.firstChild.select?.();
  };
  const askAgain = (element) => {
    const { where, typed, at } = begun, name = where && element.querySelector(where);
    if (!name) return;
    const focused = document.activeElement === document.body;
    if (focused) ask(name, name); else row(name, name, true);
    if (typed === null) return;
    Object.assign(begun, { typed, at });
    name.firstChild.value = typed;
    if (focused) name.firstChild.setSelectionRange(...at);
  };
  // The box is empty once its question is on the way, not when it is accepted: what is typed meanwhile stays. A question that nobody took
  // comes back, also after Gradio's reload of a page whose server was away and after a new sign-in.
  const composer = {
    question: null, // on its way
    typed: (now) => now, // what the box holds next
    set: (typed) => { composer.typed = typed; setTimeout(() => send("under", "click")); },
    sent: (question) => {
      composer.question = question;
      sessionStorage.setItem("unsent", question.text);
      composer.set(() => ({ text: "", files: [] }));
    },
    taken: () => { composer.question = null; sessionStorage.removeItem("unsent"); },
    unsent: (question = composer.question) => {
      composer.question = null;
      if (question) composer.set((now) => (now.text || now.files.length ? now : question));
    },
    again: () => { // once the page is drawn, which Gradio may load more than once; kept until a question is taken
      const text = sessionStorage.getItem("unsent");
      if (text) composer.unsent({ text, files: [] });
    },
  };
  // What the list of conversations was told to do, until it is done: a question that is sent meanwhile waits for it.
  const list = {
    asked: 0,
    opens: null, // the conversation, "" for a new one
    waiting: [],
    act: (detail) => { list.asked += 1; send("rail", "select", detail); },
    ended: () => {
      list.asked = Math.max(0, list.asked - 1);
      if (list.asked) return;
      list.opens = null;
      list.waiting.splice(0).forEach((go) => go());
    },
    done: () => new Promise((go) => { if (!list.asked) return go(); list.waiting.push(go); setTimeout(go, 5000); }), // should no answer come
  };
  const converse = (what, id = "") => { // "open" or "new"
    go("chat");
    drawer(false);
    list.opens = id;
    list.act({ do: what, id });
  };
  const acts = (button) => {
    const item = button.closest("[data-id]"), id = item?.dataset.id || "", what = button.dataset.do;
    const acting = ACTING.find((name) => button.closest(`#${name}`));
    if (acting) return act(acting, { do: what, ...around(button) });
    const panel = button.closest("#documents") ? "documents" : button.closest("#attached") ? "attached" : button.closest(".only") ? "header" : "rail";
    if (what === "ask-delete") ask(button, button.parentElement.querySelector(".deleting"));
    else if (what === "keep") row(button, null, false);
    else if (what === "rename") ask(button, item.querySelector(".renaming"));
    else {
      if (button.closest(".deleting")) begun.where = "";
      if (panel === "rail") return what === "delete" ? list.act({ do: what, id }) : converse(what, id);
      if (panel !== "documents") return send(panel, "select", { do: what, id });
      open.turned = what === "turn";
      open.pressed = `${id ? `[data-id="${CSS.escape(id)}"] ` : ""}[data-do=${what}]`;
      const changes = { steps: { opened: view.opened === id ? "" : id }, letters: { letters: view.letters ? "" : "1" }, turn: { after: button.dataset.after } };
      look(changes[what], { do: what, id });
    }
  };

  const copy = async (button) => {
    const secret = button.closest(".made").querySelector("[data-secret]");
    secret.select();
    // Browsers offer the clipboard only to pages that came by HTTPS or from this machine.
    const done = await (navigator.clipboard?.writeText(secret.value).then(() => true, () => false) ?? document.execCommand("copy"));
    button.textContent = done ? button.dataset.copy : button.dataset.selected;
    if (done) button.focus();
  };

  document.addEventListener("click", (event) => {
    const hit = (selector) => event.target.closest?.(selector);
    const link = hit('a[href^="#src-"], a[href^="#again-"]');
    if (link) {
      event.preventDefault(); event.stopPropagation();
      const href = link.getAttribute("href");
      return href.startsWith("#again-") ? send("sources", "retry", { again: href.slice(7) }) : citation(link);
    }
    if (hit("[data-menu]")) return document.body.classList.toggle("rail-open");
    if (hit("[data-drawer]")) return drawer(!document.body.classList.contains("src-open"));
    const inside = hit("#rail, #sources-col");
    if (!inside && document.body.classList.contains("rail-open")) { event.preventDefault(); return document.body.classList.remove("rail-open"); }
    if (!inside && document.body.classList.contains("src-open")) { event.preventDefault(); return drawer(false); }
    document.querySelectorAll(".searched[open]").forEach((one) => { if (!one.contains(event.target)) one.open = false; });
    let one;
    if ((one = hit("[data-page]")) && one !== root) go(one.dataset.page);
    else if ((one = hit("[data-do]"))) acts(one);
    else if ((one = hit("[data-copy]"))) copy(one);
    else if ((one = hit("[data-offered]"))) takeName(one.dataset.offered);
    else if ((one = hit("[data-verdict]"))) judge(one);
    else if ((one = hit("[data-comment]"))) {
      const entry = one.closest(".verdict"), opens = one.matches(".comment-link");
      commenting(entry, opens);
      open.commenting = opens ? entry.dataset.reply : null;
      entry.querySelector(opens ? "textarea" : ".comment-link").focus();
    } else if ((one = hit("[data-ask]"))) send("empty", "select", { ask: one.dataset.ask });
    else if ((one = hit("[data-drop]"))) choose(one.dataset.drop);
    else if ((one = hit("[data-filter]"))) {
      one.parentElement.querySelectorAll("[data-filter]").forEach((other) => other.setAttribute("aria-pressed", other === one));
      open.pressed = `[data-filter=${one.dataset.filter}]`;
      look({ kind: one.dataset.filter, after: "" });
    } else if ((one = hit("[data-theme]"))) { store.setItem("theme", one.dataset.theme); theme(); }
    else if ((one = hit("[data-language]"))) { cookie("maisale_language", one.dataset.language); send("account", "apply", { language: one.dataset.language }); }
  }, true);

  document.addEventListener("input", (event) => {
    const input = event.target.closest?.("[data-find]");
    if (event.target.matches?.("#composer textarea")) offerNames(event.target);
    if (event.target.matches?.(".why input")) offerWhy(event.target.value, event.target);
    if (event.target.matches?.(".renaming input")) begun.typed = event.target.value;
    if (event.target.matches?.("[data-find-document]")) { choosing.typed = event.target.value; listNames(event.target.value, event.target.closest("fieldset")); }
    if (input?.closest("#documents")) { if (!event.isComposing) seek(input); } // a redraw would break off a syllable that an input method composes
    else if (input) { open[["rail", "people"].find((name) => input.closest(`#${name}`))] = input.value; filter(input); }
  });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.matches("[data-act]")) {
      event.preventDefault();
      const sent = {};
      for (const [name, value] of new FormData(form)) sent[name] = name in sent ? `${sent[name]}\n${value}` : value;
      form.querySelectorAll("[type=password]").forEach((one) => { one.value = ""; });
      act(ACTING.find((name) => form.closest(`#${name}`)), { ...sent, do: form.dataset.act, ...around(form) });
    } else if (form.matches(".renaming")) {
      event.preventDefault();
      begun.where = "";
      list.act({ do: "rename", id: form.closest("[data-id]").dataset.id, title: form.firstChild.value });
    } else if (form.matches(".commenting")) {
      event.preventDefault();
      const entry = form.closest(".verdict"), reply = entry.dataset.reply;
      open.commenting = null;
      send("verdicts", "select", { reply, verdict: entry.querySelector("[aria-pressed=true]").dataset.verdict, comment: form.querySelector("textarea").value });
    } else if (form.matches(".why")) {
      event.preventDefault();
      send("sources", "select", { reply: form.closest("[data-reply]").dataset.reply, why: form.elements.why.value });
    } else if (form.matches(".choose")) {
      event.preventDefault();
      const checked = (boxes) => [...form.querySelectorAll(`${boxes} input:checked`)].map((box) => box.value).join("\n");
      form.closest("details").open = false; // and so nothing that was ticked here comes back with the redraw
      send("header", "select", { names: checked(":scope > label"), documents: checked("fieldset") });
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches?.("[data-find-document]")) return event.preventDefault(); // it filters; its form's button chooses
    const typing = event.target.matches?.("input, textarea, select, [contenteditable]");
    if (event.key === "Escape") {
      if (event.target.closest?.(".renaming")) row(event.target, null, false);
      else if (event.target.closest?.(".commenting")) event.target.closest(".commenting").querySelector("[data-comment]").click();
      else if (event.target.closest?.(".confirm")) event.target.closest(".confirm").querySelector("[data-do=back]")?.click();
      else if (document.body.matches(".rail-open, .src-open")) { document.body.classList.remove("rail-open"); drawer(false); }
      else if (find(".searched[open]")) find(".searched[open]").open = false;
      else find("#composer .stop-button")?.click();
    } else if (!typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      if (event.key === "/") { event.preventDefault(); go("chat"); find("#composer textarea")?.focus(); }
      else if (event.key === "n" && !event.target.closest?.("summary, button, a")) { converse("new"); find("#composer textarea")?.focus(); }
    }
  });
  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      const zone = event.target.closest?.("[data-drop]");
      if (!zone) return;
      event.preventDefault(); event.stopPropagation();
      zone.classList.toggle("over", kind === "dragover");
      if (kind === "drop") give(zone.dataset.drop, event.dataTransfer.files);
    }, true);
  }
  document.addEventListener("scroll", (event) => { if (event.target.dataset?.scroll) open[`${event.target.dataset.scroll}-top`] = event.target.scrollTop; }, true);

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
    if (panel === "under" && element.querySelector(".under") && !open.drawn) { open.drawn = true; composer.again(); }
    if (panel === "documents" && !element.querySelector(".documents-page") && root.dataset.page === "documents") look();
  };
  window.maisale = {
    panel: (name, element, trigger, watch) => { triggers[name] = trigger; redrawn(name, element); watch("value", () => redrawn(name, element)); },
    opened: (id) => { write({ c: id }, address().has("c") || !id); },
    asked: () => address().get("c") || "",
    sent: async (composed, here, choice) => {
      composer.sent(composed);
      const place = list.opens ?? here; // nobody waits to type before a new chat is drawn
      await list.done();
      return [composed, place, choice];
    },
    listed: list.ended,
    taken: composer.taken,
    unsent: () => composer.unsent(),
    typed: (now) => composer.typed(now),
    page: () => (root.dataset.page === "documents" ? `documents ${JSON.stringify(view)}` : root.dataset.page),
  };
})();
