// The documents page: its search, its filters and the age of what it shows.
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
