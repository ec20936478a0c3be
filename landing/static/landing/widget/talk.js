// @ts-check
/** The conversation: sends questions, shows answers as they are written, restores both after a reload. */
import { AnswerView } from "../../conversations/answer.js";
import { JobsClient } from "../../jobs/client.js";
import { request, submitOnce } from "../../jobs/http.js";
import { ANSWER, element, part, QUESTION, template } from "./markup.js";
import { keep, recall } from "./memory.js";

/** @typedef {import("../../jobs/client.js").ApiError} ApiError */
/** @typedef {import("../../jobs/client.js").Connection} Connection */
/** @typedef {import("../../jobs/client.js").JobEvent} JobEvent */
/** @typedef {import("../../conversations/transcript.js").Message} Message */
/** @typedef {{jobId: string, answer: AnswerView, unfollow: () => void}} Turn */
/**
 * @typedef {object} Listener
 * @property {(isBusy: boolean) => void} onBusy whether an answer is being written
 * @property {() => void} onGrown
 * @property {(text: string) => void} announce
 * @property {(state: Connection) => void} onConnection
 */

const URL = "/api/landing-assistant/query";
const STEPS = { searching: "Looking it up", answering: "Writing the answer" };
const answerTemplate = template(ANSWER);

export class Talk {
  /** @type {JobsClient | null} */ #client = null;
  /** @type {Turn | null} the turn whose answer is being written */ #active = null;
  #stopWhenAccepted = false;

  /** @param {HTMLElement} list @param {Listener} listener */
  constructor(list, listener) {
    this.list = list;
    this.listener = listener;
  }

  get conversationId() {
    return recall();
  }

  /** Sends a question and follows its answer. Throws ApiError if the question was refused. @param {string} question */
  async ask(question) {
    const asked = this.#showQuestion(question);
    const turn = this.#addTurn("");
    this.#setActive(turn);
    this.listener.announce("Thinking");
    const named = this.conversationId && { conversationId: this.conversationId };
    try {
      const { jobId, conversationId } = await submitOnce(URL, { question, ...named });
      keep(conversationId);
      turn.jobId = jobId;
    } catch (error) {
      asked.remove();
      turn.answer.element.remove();
      this.#setActive(null);
      if (/** @type {ApiError} */ (error).status === 404) this.forget();
      throw error;
    }
    this.#follow(turn);
    if (this.#stopWhenAccepted) await this.stop();
  }

  /** Restores the earlier conversation, if any, and follows its active job. */
  async resume() {
    if (!this.conversationId) return;
    try {
      const { messages } = await request("GET", `/api/conversations/${this.conversationId}`);
      const turns = this.#restore(messages);
      for (const turn of turns) if (!turn.answer.isOver) this.#follow(turn);
    } catch (caught) {
      const { status } = /** @type {ApiError} */ (caught);
      if (status === 401 || status === 404) this.forget();
      else throw caught;
    }
  }

  async stop() {
    this.#stopWhenAccepted = !this.#active?.jobId;
    if (!this.#active?.jobId) return;
    try {
      await this.#jobs.cancel(this.#active.jobId);
    } catch (error) {
      // 409: the job has just ended; its last event will arrive.
      if (/** @type {ApiError} */ (error).status !== 409) throw error;
    }
  }

  /** Makes the next question start a new conversation. */
  forget() {
    this.#active?.unfollow();
    this.#setActive(null);
    keep("");
    this.list.replaceChildren();
  }

  /** Opens the socket with the first job: before that there may be no visitor cookie to authenticate it. */
  get #jobs() {
    this.#client ??= new JobsClient({ onConnection: this.listener.onConnection });
    return this.#client;
  }

  /** @param {Message[]} messages @returns {Turn[]} */
  #restore(messages) {
    /** @type {Turn[]} */
    const turns = [];
    for (const { role, text, jobId, status, error, retryable } of messages) {
      if (role === "user") {
        this.#showQuestion(text);
        const turn = this.#addTurn(jobId ?? "");
        turns.push(turn);
        if (status === "failed") turn.answer.fail(error, retryable ?? true);
        if (status === "cancelled") turn.answer.cancel("");
        continue;
      }
      const turn = turns.find((asked) => asked.jobId === jobId) ?? turns.at(-1);
      // Ignore the partial text of a stopped answer while it is being written again.
      if (!turn || status === "pending" || status === "running") continue;
      if (turn.answer.state === "cancelled") turn.answer.cancel(text);
      else turn.answer.complete(text, []);
    }
    return turns;
  }

  /** @param {string} text */
  #showQuestion(text) {
    const question = element(QUESTION);
    part(question, "text").textContent = text;
    this.list.append(question);
    return question;
  }

  /** @param {string} jobId @returns {Turn} */
  #addTurn(jobId) {
    const { onGrown, announce } = this.listener;
    const onRetry = () => this.#retry(turn);
    const answer = new AnswerView(answerTemplate, { address: () => "", onRetry, onGrown, announce, steps: STEPS });
    const turn = { jobId, answer, unfollow: () => {} };
    this.list.append(answer.element);
    onGrown();
    return turn;
  }

  /** @param {Turn} turn */
  #follow(turn) {
    this.#setActive(turn);
    turn.unfollow = this.#jobs.watch(turn.jobId, { onEvent: (event, text) => this.#show(turn, event, text) });
  }

  /** @param {Turn} turn @param {JobEvent} event @param {string} text */
  #show(turn, event, text) {
    turn.answer.show(event, text);
    if (!turn.answer.isOver) return this.#setActive(turn);
    if (this.#active === turn) this.#setActive(null);
    this.listener.onGrown();
    this.listener.announce(turn.answer.spoken);
  }

  /** @param {Turn} turn */
  async #retry(turn) {
    turn.answer.think();
    this.#setActive(turn);
    try {
      turn.unfollow = await this.#jobs.retry(turn.jobId, (event, text) => this.#show(turn, event, text));
    } catch (error) {
      this.#setActive(null);
      turn.answer.fail(/** @type {ApiError} */ (error), true);
    }
  }

  /** @param {Turn | null} turn */
  #setActive(turn) {
    this.#active = turn;
    if (!turn) this.#stopWhenAccepted = false;
    this.listener.onBusy(turn !== null);
  }
}
