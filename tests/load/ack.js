// `python -m maisale bench ack` as a k6 script: how soon a question is acknowledged when a crowd asks, and whether all are answered.
//
//   RATE_LIMIT=1000 X_API_KEY_ADMIN=... python app.py &
//   X_API_KEY_ADMIN=... k6 run tests/load/ack.js        (URL, USERS, SECONDS and ROUNDS may be set)
//
// The admin makes the whole crowd, so the limit of one person's work is raised; each of the crowd stays far below the usual one.
import exec from "k6/execution";
import http from "k6/http";
import { check, fail, sleep } from "k6";
import { Counter, Trend } from "k6/metrics";

const URL = __ENV.URL || "http://127.0.0.1:7860";
const USERS = Number(__ENV.USERS || 100);
const SECONDS = Number(__ENV.SECONDS || 30);
const ROUNDS = Number(__ENV.ROUNDS || 20);
const ENDED_WITHIN_S = 60;
const QUESTIONS = [
  "Can several people use it at the same time?",
  "Can I close the browser while the AI is still writing?",
  "Does uploading many files slow down the chat?",
  "What happens to background jobs when the worker is killed?",
  "How do I export or download my data?",
  "Where are my chats and uploaded files stored?",
  "What happens to my question, step by step?",
  "Upload nhiều file có làm chat bị chậm không?",
  "Mở chung một đoạn chat ở hai tab được không?",
  "Làm sao dừng câu trả lời đang viết?",
];

const ack = new Trend("ack", true);
const lost = new Counter("lost");

export const options = {
  setupTimeout: "5m",
  scenarios: {
    thinking: { executor: "constant-vus", vus: USERS, duration: `${SECONDS}s`, gracefulStop: `${ENDED_WITHIN_S}s`, exec: "thinking" },
    burst: {
      executor: "per-vu-iterations",
      vus: USERS,
      iterations: ROUNDS,
      startTime: `${SECONDS + ENDED_WITHIN_S}s`,
      maxDuration: `${ROUNDS + 2 * ENDED_WITHIN_S}s`,
      exec: "burst",
    },
  },
  thresholds: {
    "ack{scenario:thinking}": ["p(95)<200"],
    "ack{scenario:burst}": ["p(95)<200"],
    http_req_failed: ["rate==0"],
    checks: ["rate==1"],
    lost: ["count==0"],
  },
  summaryTrendStats: ["med", "p(95)", "p(99)", "max"],
};

function made(key, path, body) {
  const answer = http.post(`${URL}${path}`, JSON.stringify(body), { headers: { "X-API-Key": key, "Content-Type": "application/json" } });
  if (answer.status !== 201) fail(`POST ${path} was refused with ${answer.status}: ${answer.body}`);
  return answer.json();
}

// A tenant of its own, with the keys of its people.
export function setup() {
  const fresh = made(__ENV.X_API_KEY_ADMIN, "/v1/keys/fresh", {}).key;
  const tenant = made(fresh, "/v1/tenants", { name: `load ${Date.now()}` }).name;
  const keys = [];
  for (let number = 0; number < USERS; number++) {
    const user = made(fresh, "/v1/users", { name: `person ${number}`, tenant: tenant }).user;
    keys.push(made(fresh, `/v1/users/${user.id}/keys`, {}).key);
  }
  return keys;
}

const own = (keys) => keys[(exec.vu.idInTest - 1) % USERS];
const question = () => QUESTIONS[Math.floor(Math.random() * QUESTIONS.length)];
const looked = { responseType: "text", tags: { name: "reply" } };

// The reply's id; null when the question was not accepted.
function ask(key, conversation) {
  const answer = http.post(`${URL}/v1/conversations/${conversation}/messages`, JSON.stringify({ text: question() }), {
    headers: { "X-API-Key": key, "Content-Type": "application/json" },
    tags: { name: "messages" },
  });
  if (!check(answer, { "accepted with 202": (one) => one.status === 202 })) return null;
  ack.add(answer.timings.duration);
  return answer.json("reply_id");
}

function isWhole(key, reply, until) {
  for (;;) {
    const found = http.get(`${URL}/v1/replies/${reply}`, { ...looked, headers: { "X-API-Key": key } }).json();
    if (found.done || Date.now() > until) return found.state === "done" && found.text.trim() !== "";
    sleep(1);
  }
}

let talk = null; // of this person, in the load with thinking

// Sends, reads the reply's events to their end, and thinks 0-2 s.
export function thinking(keys) {
  const key = own(keys);
  talk = talk || made(key, "/v1/conversations", {}).id;
  const reply = ask(key, talk);
  if (reply) {
    const events = http.get(`${URL}/v1/replies/${reply}/events`, { ...looked, headers: { "X-API-Key": key }, timeout: `${ENDED_WITHIN_S}s` });
    if (!events.body || !events.body.includes("event: done")) lost.add(1);
  }
  sleep(Math.random() * 2);
}

const asked = [];

// All at the same instant, a second later again; after the last round each looks through its replies.
export function burst(keys) {
  const key = own(keys);
  const conversation = made(key, "/v1/conversations", {}).id;
  const round = exec.vu.iterationInScenario;
  sleep(Math.max(0, (exec.scenario.startTime + (round + 1) * 1000 - Date.now()) / 1000));
  const reply = ask(key, conversation);
  if (reply) asked.push(reply);
  if (round === ROUNDS - 1) {
    const until = Date.now() + ENDED_WITHIN_S * 1000;
    asked.filter((one) => !isWhole(key, one, until)).forEach(() => lost.add(1));
  }
}
