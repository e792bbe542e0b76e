// Sending a question, and the list of conversations.
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
