// Sending a question, and the list of conversations.
// The box is empty once its question is on the way, not when it is accepted: what is typed meanwhile stays. Questions go one after the other, for the
// first of a new chat opens the conversation that the next one belongs to. One that nobody took comes back, also after Gradio's reload of a page
// whose server was away and after a new sign-in of the same person.
const composer = {
  line: [], // questions that were sent and not accepted yet, the first of them on its way
  chats: 0, // counts how often another conversation was opened
  user: () => find(".rail")?.dataset.user,
  next: null, // what the box is to hold, from what it holds
  set: (next) => {
    const before = composer.next;
    composer.next = before ? (now) => next(before(now)) : next;
    setTimeout(() => send("under", "click"));
  },
  typed: (now) => {
    const { next } = composer;
    composer.next = null;
    return next ? next(now) : now;
  },
  sent: (composed, place) => {
    const last = composer.line.at(-1), question = { ...composed, place, chat: composer.chats };
    if (last && !place && !last.place && last.chat === question.chat) question.after = last;
    composer.line.push(question);
    composer.keep();
    composer.set(() => ({ text: "", files: [] }));
    return question;
  },
  turn: (question) => new Promise((go) => {
    question.go = () => {
      go();
      setTimeout(() => { if (composer.line[0] === question) composer.ended(); }, 30_000); // should no answer come; files take up to 12 s
    };
    if (composer.line[0] === question) question.go();
  }),
  ended: () => {
    composer.line.shift();
    composer.line[0]?.go();
  },
  keep: () => {
    const text = composer.line.map((one) => one.text).join("\n");
    if (text) sessionStorage.setItem("unsent", JSON.stringify({ user: composer.user(), text }));
    else sessionStorage.removeItem("unsent");
  },
  taken: (under) => { // what became of the first: the line under the composer says it
    const [question] = composer.line, told = (name) => under.match(`data-${name}="([^"]*)"`)?.[1];
    if (!question) return;
    question.went = told("took");
    if (told("back")) composer.back({ ...question, files: told("back") === "files" ? question.files : [] });
    composer.ended();
    composer.keep();
  },
  unsent: () => { // kept beside the page too, which Gradio may load anew
    if (composer.line.length) composer.back(composer.line[0]);
    composer.ended();
  },
  back: ({ text, files }) => { // in front of what was typed since
    const both = (now) => ({ text: [text, now.text].filter(Boolean).join("\n"), files: [...files, ...now.files] });
    composer.set((now) => (text && !files.length && now.text.startsWith(text) ? now : both(now)));
  },
  again: () => { // once the page is drawn, which Gradio may load more than once; kept until a question is taken
    const { user, text } = JSON.parse(sessionStorage.getItem("unsent") || "{}");
    if (user !== composer.user()) sessionStorage.removeItem("unsent");
    else if (text) composer.back({ text, files: [] });
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
  composer.chats += 1;
  list.act({ do: what, id });
};
