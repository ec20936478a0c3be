// @ts-check
/** One answer on the page, in one of these states: thinking, streaming, waiting, completed, failed, cancelled. */
import { addCopyButtons } from "../site/copy.js";
import { GrowingMarkdown, settle } from "../site/growing.js";
import { answerParser, linkCitations, listSources } from "./citations.js";
import { RatingView } from "./rating.js";

/** @typedef {import("../jobs/watch.js").Citation} Citation */
/** @typedef {import("../jobs/watch.js").JobEvent} JobEvent */
/** @typedef {import("../jobs/watch.js").JobError} JobError */
/** @typedef {"thinking" | "streaming" | "completed" | "failed" | "cancelled"} State */
/**
 * @typedef {object} Surroundings
 * @property {(citation: Citation) => string} address returns the URL of a citation
 * @property {() => void} onRetry
 * @property {import("./rating.js").Rate} [onRate] needed where the template has the part "rating"
 * @property {(question: string) => void} [onSuggestion] one of the suggested questions was chosen
 * @property {() => void} onGrown the answer was redrawn
 * @property {Record<string, string>} steps labels of progress steps that replace the default ones
 * @property {(text: string) => void} announce to screen readers
 */

/** @type {Record<string, string>} */
const STEPS = {
  rewriting: "Understanding your question",
  searching: "Searching the course",
  answering: "Writing the answer",
};
const LONG_WAIT = 8_000;

export class AnswerView {
  #frame = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;

  /** @param {HTMLTemplateElement} template @param {Surroundings} surroundings */
  constructor(template, surroundings) {
    const copy = /** @type {DocumentFragment} */ (template.content.cloneNode(true));
    this.element = /** @type {HTMLElement} */ (copy.firstElementChild);
    this.surroundings = surroundings;
    this.body = this.#part("body");
    this.markdown = new GrowingMarkdown(this.body, answerParser);
    this.#part("retry").addEventListener("click", () => surroundings.onRetry());
    // Templates may omit ratings and suggestions.
    this.rating = surroundings.onRate && new RatingView(this.element, surroundings.onRate);
    this.think();
  }

  /** Shows that the job is waiting. */
  think() {
    this.#clear();
    this.#enter("thinking");
    this.#say("");
    this.#timer = setTimeout(() => this.#say("Still waiting; your question is kept"), LONG_WAIT);
  }

  /** Shows a job's event. @param {JobEvent} event @param {string} text all text of the attempt so far */
  show(event, text) {
    if (event.type === "job.started") return this.#start();
    if (event.type === "job.progress") return this.#progress(event.step ?? "");
    if (event.type === "job.delta") return this.#stream(text);
    if (event.type === "job.retrying") return this.#wait(event, text);
    if (event.type === "job.completed") return this.complete(event.answer ?? text, event.citations ?? []);
    if (event.type === "job.failed") return this.fail(event.error, event.retryable ?? true);
    if (event.type === "job.cancelled") return this.cancel(text);
  }

  /** @param {string} text @param {Citation[]} citations */
  complete(text, citations) {
    this.#draw(text);
    linkCitations(this.body, citations, this.surroundings.address);
    listSources(this.#part("source-list"), citations, this.surroundings.address);
    this.#enter("completed");
    this.#part("sources").hidden = citations.length === 0;
  }

  /** @param {JobError | undefined} error @param {boolean} retryable */
  fail(error, retryable) {
    this.#clear();
    this.#enter("failed");
    this.#part("failure-text").textContent = error?.message || "The answer could not be written.";
    this.#part("retry").hidden = !retryable;
  }

  /** @param {string} text what had been written before the stop */
  cancel(text) {
    this.#draw(text);
    linkCitations(this.body, [], this.surroundings.address);
    this.#enter("cancelled");
  }

  /** Shows suggested questions; an empty list removes them. @param {string[]} questions */
  suggest(questions) {
    this.#hide("follow-ups", questions.length === 0);
    this.#part("follow-up-list")?.replaceChildren(
      ...questions.map((question) => {
        const button = Object.assign(document.createElement("button"), { type: "button", textContent: question });
        button.addEventListener("click", () => this.surroundings.onSuggestion?.(question));
        const item = document.createElement("li");
        item.append(button);
        return item;
      }),
    );
    this.surroundings.onGrown();
  }

  get state() {
    return /** @type {State | undefined} */ (this.element.dataset.state);
  }

  get isOver() {
    return this.state !== "thinking" && this.state !== "streaming";
  }

  /** The text for screen readers when the answer has ended. */
  get spoken() {
    const shown = this.state === "failed" ? this.#part("failure-text") : this.body;
    return (shown.textContent ?? "").trim();
  }

  #start() {
    this.#clear();
    this.#enter("thinking");
    this.#say("");
  }

  /** @param {string} step */
  #progress(step) {
    this.#say(this.surroundings.steps[step] ?? STEPS[step] ?? "");
  }

  /** @param {string} text */
  #stream(text) {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => {
      this.#enter("streaming");
      this.markdown.update(settle(text));
      this.surroundings.onGrown();
    });
  }

  /**
   * Keeps the shown text, such as links to passages, until the next attempt.
   * @param {JobEvent} event @param {string} text
   */
  #wait({ reason, retryAt }, text) {
    this.#draw(settle(text));
    this.#enter("thinking");
    const due = Date.parse(retryAt ?? "");
    this.surroundings.announce(`${reason}. It will be tried again soon.`);
    this.#countDown(reason ?? "", due);
  }

  /** @param {string} reason @param {number} due */
  #countDown(reason, due) {
    const seconds = Math.ceil((due - Date.now()) / 1000);
    const when = seconds > 0 ? `Trying again in ${seconds} s` : "Trying again now";
    this.#part("step").textContent = `${reason.trimEnd().replace(/\.$/, "")}. ${when}`;
    if (seconds > 0) this.#timer = setTimeout(() => this.#countDown(reason, due), 1000);
  }

  /** @param {string} step */
  #say(step) {
    clearTimeout(this.#timer);
    this.#part("step").textContent = step;
    if (step) this.surroundings.announce(step);
    this.surroundings.onGrown();
  }

  /** @param {string} text */
  #draw(text) {
    this.#stop();
    this.markdown.update(text);
    addCopyButtons(this.body);
  }

  #clear() {
    this.#stop();
    this.body.replaceChildren();
    this.markdown = new GrowingMarkdown(this.body, answerParser);
  }

  #stop() {
    clearTimeout(this.#timer);
    cancelAnimationFrame(this.#frame);
  }

  /** @param {State} state */
  #enter(state) {
    if (this.state === state) return;
    this.element.dataset.state = state;
    this.element.setAttribute("aria-busy", String(state === "thinking" || state === "streaming"));
    this.#part("thinking").hidden = state !== "thinking";
    this.#part("failure").hidden = state !== "failed";
    this.#part("sources").hidden = true;
    this.#part("stopped").hidden = state !== "cancelled";
    this.#part("mark").hidden = state === "thinking" || (state === "failed" && !this.body.hasChildNodes());
    this.#hide("rating", state !== "completed");
    this.#hide("reason", true);
    this.#hide("follow-ups", true);
  }

  /** @param {string} name of a part that a template may leave out @param {boolean} isHidden */
  #hide(name, isHidden) {
    const part = this.#part(name);
    if (part) part.hidden = isHidden;
  }

  /** @param {string} name */
  #part(name) {
    return /** @type {HTMLElement} */ (this.element.querySelector(`[data-part="${name}"]`));
  }
}
