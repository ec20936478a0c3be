// @ts-check
/** The course assistant's page: sends questions, shows answers as they are written, restores both after a reload. */
import { JobsClient } from "../jobs/client.js";
import { request } from "../jobs/http.js";
import { citationAddress } from "./citations.js";
import { Composer } from "./composer.js";
import { Follower } from "./follow.js";
import { addToHistory, wireHistory } from "./history.js";
import { explain } from "./problems.js";
import { announce, showConnection, tellWhenBack } from "./status.js";
import { Transcript } from "./transcript.js";

/** @typedef {import("../jobs/client.js").ApiError} ApiError */
/** @typedef {import("../jobs/client.js").JobEvent} JobEvent */
/** @typedef {import("./transcript.js").Turn} Turn */

const { courseId = "", lessonUrl = "", pageUrl = "", conversationId: opened = "" } = byId("chat").dataset;
let conversationId = opened;
/** @type {Turn | null} the one whose answer is being written */
let active = null;
let isSending = false;
let stopWhenAccepted = false;

const follower = new Follower(/** @type {HTMLButtonElement} */ (byId("jump")));
const transcript = new Transcript(byId("messages"), {
  address: (citation) => citationAddress(lessonUrl, citation),
  onRetry: retry,
  onGrown: () => follower.grown(),
  announce,
});
const composer = new Composer(/** @type {HTMLFormElement} */ (byId("composer")), {
  onSend: ask,
  onStop: stop,
  draftKey: () => `assistant:draft:${courseId}:${conversationId}`,
});
const client = new JobsClient({ onConnection: showConnection, onUnwatched: noticeElsewhere });

wireHistory();
byId("load-again").addEventListener("click", load);
for (const button of document.querySelectorAll("[data-part=suggestion]")) {
  button.addEventListener("click", () => composer.giveBack(button.textContent?.trim() ?? ""));
}
if (conversationId) load();
// On a touch screen this would open the keyboard over the page.
if (matchMedia("(pointer: fine)").matches) composer.focus();

/** @param {string} question */
async function ask(question) {
  isSending = true;
  const turn = transcript.add(question);
  composer.hold();
  setActive(turn);
  follower.jump();
  announce("Thinking");
  try {
    const body = { courseId, question, ...(conversationId && { conversationId }) };
    accept(turn, await client.submit("/api/assistant/query", body), question);
  } catch (error) {
    refuse(turn, /** @type {ApiError} */ (error), question);
  } finally {
    isSending = stopWhenAccepted = false;
  }
}

/** @param {Turn} turn @param {{jobId: string, conversationId: string}} job @param {string} question */
function accept(turn, job, question) {
  composer.accepted();
  if (!conversationId) {
    conversationId = job.conversationId;
    const address = `${pageUrl}?conversation=${conversationId}`;
    history.replaceState(null, "", address);
    addToHistory(address, question);
  }
  turn.jobId = job.jobId;
  follow(turn);
  if (stopWhenAccepted) stop();
}

/** @param {Turn} turn @param {ApiError} error @param {string} question */
function refuse(turn, error, question) {
  transcript.remove(turn);
  setActive(null);
  composer.giveBack(question);
  showProblem(error);
  // Another tab asked first: show that question and its answer.
  if (error.status === 409 && conversationId) load();
}

/** @param {Turn} turn */
function follow(turn) {
  setActive(turn);
  turn.unfollow = client.watch(turn.jobId, { onEvent: (event, text) => show(turn, event, text) });
}

/** @param {Turn} turn @param {JobEvent} event @param {string} text */
function show(turn, event, text) {
  turn.answer.show(event, text);
  if (!turn.answer.isOver) return setActive(turn);
  if (active === turn) setActive(null);
  composer.showError("");
  follower.grown();
  announce(turn.answer.spoken);
  tellWhenBack();
}

/** @param {Turn} turn */
async function retry(turn) {
  turn.answer.think();
  setActive(turn);
  composer.showError("");
  composer.takeFocus();
  try {
    turn.unfollow = await client.retry(turn.jobId, (event, text) => show(turn, event, text));
  } catch (caught) {
    const error = /** @type {ApiError} */ (caught);
    setActive(null);
    turn.answer.fail({ code: "retry", message: explain(error).message }, true);
    // Another tab was first: show what is being written there.
    if (error.status === 409) load();
  }
}

async function stop() {
  if (!active?.jobId) {
    stopWhenAccepted = true;
    return;
  }
  try {
    await client.cancel(active.jobId);
  } catch (error) {
    const { status } = /** @type {ApiError} */ (error);
    // 409: it ended in the same moment, and its last event is on its way.
    if (status !== 409) composer.showError("The answer could not be stopped. Please try again.");
    composer.setRunning(active !== null);
  }
}

/** Shows the conversation as the server has it, and goes on with what is being written. */
async function load() {
  byId("load-error").hidden = true;
  byId("loading").hidden = false;
  try {
    const { messages } = await request("GET", `/api/conversations/${conversationId}`);
    setActive(null);
    for (const turn of transcript.replace(messages)) follow(turn);
    follower.jump();
  } catch (error) {
    byId("load-error").hidden = false;
    showProblem(/** @type {ApiError} */ (error));
  } finally {
    byId("loading").hidden = true;
  }
}

/** A job that this page does not follow has begun: perhaps a question asked in another tab of this conversation.
 * @param {JobEvent} event */
function noticeElsewhere(event) {
  if (event.type === "job.started" && conversationId && !active && !isSending) load();
}

/** @param {Turn | null} turn */
function setActive(turn) {
  active = turn;
  byId("welcome").hidden = turn !== null || conversationId !== "";
  composer.setRunning(turn !== null);
}

/** @param {ApiError} error */
function showProblem(error) {
  const { message, ...more } = explain(error);
  composer.showError(message, more);
}

/** @param {string} id */
function byId(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}
