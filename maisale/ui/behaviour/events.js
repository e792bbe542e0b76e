// What people click, type, send, press and drop. What needs the server goes through `send`.
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

// A panel may be drawn anew between press and release, every tenth of a second while an answer is written. The browser then clicks on nothing.
const pressed = { button: null, was: "" };
const known = (button) => `${button.closest("[data-id]")?.dataset.id}${button.outerHTML}`;
const buttonAt = (place) => place?.closest?.("button, summary, a[href]");
document.addEventListener("pointerdown", (event) => {
  pressed.button = event.pointerType === "mouse" && event.button === 0 ? buttonAt(event.target) : null;
  pressed.was = pressed.button ? known(pressed.button) : "";
}, true);
document.addEventListener("pointerup", (event) => {
  const { button, was } = pressed, now = button && !button.isConnected && buttonAt(document.elementFromPoint(event.clientX, event.clientY));
  pressed.button = null;
  if (now && known(now) === was) now.click();
}, true);

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
  if (form.matches("[action='/logout']")) sessionStorage.removeItem("unsent");
  else if (form.matches("[data-act]")) {
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
