// Questions that a row asks, and names that are written in it.
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
