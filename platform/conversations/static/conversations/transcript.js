// @ts-check
/** The questions and answers on the page, in order. */
import { AnswerView } from "./answer.js";

/** @typedef {import("./answer.js").Surroundings} Surroundings */
/**
 * @typedef {object} Message as returned by GET /api/conversations/{id}
 * @property {string} messageId
 * @property {"user" | "assistant"} role
 * @property {string} text
 * @property {string | null} jobId
 * @property {string | null} [status]
 * @property {import("../jobs/watch.js").Citation[]} [citations]
 * @property {import("../jobs/watch.js").JobError} [error]
 * @property {boolean} [retryable]
 * @property {import("./rating.js").Rating} [rating] of an answer
 * @property {string} [reason] the reason for the rating
 * @property {string[]} [suggestions] suggested follow-up questions
 */

/** A question with its answer. */
export class Turn {
  /** Stops following the job. */
  unfollow = () => {};
  /** The id of the message in the API; "" until the question was accepted. */
  messageId = "";

  /**
   * @param {string} jobId "" until the server has accepted the question
   * @param {HTMLElement} question @param {AnswerView} answer
   */
  constructor(jobId, question, answer) {
    this.jobId = jobId;
    this.question = question;
    this.answer = answer;
  }

  remove() {
    this.unfollow();
    this.question.remove();
    this.answer.element.remove();
  }
}

export class Transcript {
  /** @type {Turn[]} */ #turns = [];

  /**
   * @param {HTMLElement} list
   * @param {Omit<Surroundings, "onRetry" | "onRate"> & {
   *   onRetry: (turn: Turn) => void,
   *   onRate: (turn: Turn, rating: import("./rating.js").Rating, reason: string) => Promise<void>,
   * }} surroundings
   */
  constructor(list, surroundings) {
    this.list = list;
    this.surroundings = surroundings;
  }

  /** Shows a question, and its answer as thinking. @param {string} text @param {string} [jobId] */
  add(text, jobId = "") {
    for (const turn of this.#turns) turn.answer.suggest([]);
    const question = clone("question-template");
    const part = /** @type {HTMLElement} */ (question.querySelector("[data-part=text]"));
    part.textContent = text;
    /** @type {AnswerView} */
    const answer = new AnswerView(template("answer-template"), {
      ...this.surroundings,
      onRetry: () => this.surroundings.onRetry(turn),
      onRate: (rating, reason) => this.surroundings.onRate(turn, rating, reason),
    });
    const turn = new Turn(jobId, question, answer);
    this.list.append(question, answer.element);
    this.#turns.push(turn);
    return turn;
  }

  /** Shows suggestions for this job's answer if it is the newest.
   * @param {string} jobId @param {string[]} questions */
  suggest(jobId, questions) {
    const newest = this.#turns.at(-1);
    if (newest?.jobId === jobId && newest.answer.state === "completed") newest.answer.suggest(questions);
  }

  /** @param {Turn} turn */
  remove(turn) {
    turn.remove();
    this.#turns = this.#turns.filter((other) => other !== turn);
  }

  /** Replaces the transcript by this conversation; returns the turns without a final answer.
   * @param {Message[]} messages */
  replace(messages) {
    for (const turn of this.#turns) turn.remove();
    this.#turns = [];
    for (const message of messages) {
      if (message.role === "user") this.#addAsked(message);
      else this.#answer(message);
    }
    return this.#turns.filter((turn) => !turn.answer.isOver);
  }

  /** @param {Message} message */
  #addAsked({ messageId, text, jobId, status, error, retryable }) {
    const turn = this.add(text, jobId ?? "");
    turn.messageId = messageId;
    const { answer } = turn;
    if (status === "failed") answer.fail(error, retryable ?? true);
    if (status === "cancelled") answer.cancel("");
  }

  /** @param {Message} message */
  #answer({ messageId, text, jobId, status, citations, rating, reason, suggestions }) {
    const turn = this.#turns.find((asked) => asked.jobId === jobId) ?? this.#turns.at(-1);
    // Ignore the partial text of a stopped answer while it is being written again.
    if (!turn || status === "pending" || status === "running") return;
    if (turn.answer.state === "cancelled") turn.answer.cancel(text);
    else turn.answer.complete(text, citations ?? []);
    turn.messageId = messageId;
    turn.answer.rating?.show(rating ?? null, reason ?? "");
    if (suggestions?.length && turn === this.#turns.at(-1)) turn.answer.suggest(suggestions);
  }
}

/** @param {string} id */
function template(id) {
  return /** @type {HTMLTemplateElement} */ (document.getElementById(id));
}

/** @param {string} id */
function clone(id) {
  const copy = /** @type {DocumentFragment} */ (template(id).content.cloneNode(true));
  return /** @type {HTMLElement} */ (copy.firstElementChild);
}
