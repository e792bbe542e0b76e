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
