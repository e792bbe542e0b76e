// Sending a question, and the list of conversations.
// The box is empty once its question is on the way, not when it is accepted: what is typed meanwhile stays. A question that nobody took
// comes back, also after Gradio's reload of a page whose server was away and after a new sign-in of the same person.
const composer = {
  question: null, // on its way
  opened: "", // the conversation that took the last one
  waiting: [],
  user: () => find(".rail")?.dataset.user,
  next: null, // what the box is to hold, from what it holds
  set: (next) => { composer.next = next; setTimeout(() => send("under", "click")); },
  typed: (now) => {
    const { next } = composer;
    composer.next = null;
    return next ? next(now) : now;
  },
  free: () => new Promise((go) => { // one question after the other: the first of a new chat opens the conversation that the next belongs to
    if (!composer.question) return go();
    composer.waiting.push(go);
    setTimeout(go, 5000); // should no answer come
  }),
  emptied: () => composer.set(() => ({ text: "", files: [] })),
  sent: (question) => {
    composer.question = question;
    sessionStorage.setItem("unsent", JSON.stringify({ user: composer.user(), text: question.text }));
  },
  ended: () => {
    composer.question = null;
    composer.waiting.splice(0).forEach((go) => go());
  },
  taken: (conversation, under = "") => {
    const back = under.match(/data-back="(\w+)"/)?.[1], { question } = composer;
    composer.opened = conversation;
    sessionStorage.removeItem("unsent");
    if (back && question) composer.unsent({ ...question, files: back === "files" ? question.files : [] });
    else composer.ended();
  },
  unsent: (question = composer.question) => { // in front of what was typed since
    const both = (now) => ({ text: [question.text, now.text].filter(Boolean).join("\n"), files: [...question.files, ...now.files] });
    if (question) composer.set((now) => (question.text && now.text.startsWith(question.text) ? now : both(now)));
    composer.ended();
  },
  again: () => { // once the page is drawn, which Gradio may load more than once; kept until a question is taken
    const { user, text } = JSON.parse(sessionStorage.getItem("unsent") || "{}");
    if (user !== composer.user()) sessionStorage.removeItem("unsent");
    else if (text) composer.unsent({ text, files: [] });
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
  done: () => new Promise((go) => {
    if (!list.asked) return go();
    list.waiting.push(go);
    setTimeout(() => { if (list.waiting.includes(go)) { list.asked = 0; list.ended(); } }, 5000); // should no answer come: the next question does not wait again
  }),
};
const converse = (what, id = "") => { // "open" or "new"
  go("chat");
  drawer(false);
  list.opens = id;
  list.act({ do: what, id });
};
