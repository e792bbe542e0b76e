// Citations, files that are dropped, and verdicts on answers.
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
