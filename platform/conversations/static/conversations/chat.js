// @ts-check
/** A page's conversation: sends questions, shows answers as they are written, restores both after a reload. */
import { JobsClient } from "../jobs/client.js";
import { request } from "../jobs/http.js";
import { citationAddress } from "./citations.js";
import { Composer } from "./composer.js";
import { Follower } from "./follow.js";
import { addToHistory, wireHistory } from "./history.js";
import { explain } from "./problems.js";
import { showQuota } from "./quota.js";
import { announce, showConnection, tellWhenBack } from "./status.js";
import { Transcript } from "./transcript.js";

/** @typedef {import("../jobs/client.js").ApiError} ApiError */
/** @typedef {import("../jobs/client.js").JobEvent} JobEvent */
/** @typedef {import("./transcript.js").Turn} Turn */
/** @typedef {{jobId: string, conversationId: string, messageId: string}} Accepted the 202 body */
/**
 * @typedef {object} Surface what differs between surfaces
 * @property {string} kind of the jobs that answer, such as "assistant.answer"
 * @property {string} url to post questions to
 * @property {string} name key of the unsent question
 * @property {() => object} [body] extra fields to post with a question
 * @property {() => Record<string, string>} [parameters] extra parameters of the page's URL
 * @property {Record<string, string>} [steps] labels of progress steps
 * @property {() => void} [onEnd] an answer has ended
 */

/** The chat of a page that extends conversations/chat.html. */
export class Chat {
  /** @type {Turn | null} the one whose answer is being written */ #active = null;
  #isSending = false;
  #stopWhenAccepted = false;

  /** @param {Surface} surface */
  constructor(surface) {
    this.surface = surface;
    const { lessonUrl = "", pageUrl = "", conversationId = "" } = byId("chat").dataset;
    this.pageUrl = pageUrl;
    this.conversationId = conversationId;
    this.follower = new Follower(/** @type {HTMLButtonElement} */ (byId("jump")));
    this.transcript = new Transcript(byId("messages"), {
      address: (citation) => citationAddress(lessonUrl, citation),
      steps: surface.steps ?? {},
      onRetry: (turn) => this.#retry(turn),
      onRate: (turn, rating, reason) => this.#rate(turn, rating, reason),
      onSuggestion: (question) => this.ask(question),
      onGrown: () => this.follower.grown(),
      announce,
    });
    this.composer = new Composer(/** @type {HTMLFormElement} */ (byId("composer")), {
      onSend: (question) => this.ask(question),
      onStop: () => this.#stop(),
      draftKey: () => `${surface.name}:${this.conversationId}`,
    });
    this.client = new JobsClient({
      onConnection: showConnection,
      onUnwatched: (event) => this.#noticeElsewhere(event),
    });
    this.#begin();
  }

  /** Whether an answer is being written. Meanwhile, questions are refused. */
  get isBusy() {
    return this.#active !== null || this.#isSending;
  }

  /** Sends a question and follows its answer. @param {string} question */
  async ask(question) {
    this.#isSending = true;
    const turn = this.transcript.add(question);
    this.composer.hold();
    this.#setActive(turn);
    this.follower.jump();
    announce("Thinking");
    try {
      const named = this.conversationId && { conversationId: this.conversationId };
      const body = { question, ...this.surface.body?.(), ...named };
      this.#accept(turn, await this.client.submit(this.surface.url, body), question);
    } catch (error) {
      this.#refuse(turn, /** @type {ApiError} */ (error), question);
    } finally {
      this.#isSending = this.#stopWhenAccepted = false;
    }
  }

  #begin() {
    wireHistory(() => location.assign(this.pageUrl));
    showQuota();
    byId("load-again").addEventListener("click", () => this.#load());
    for (const button of document.querySelectorAll("[data-part=suggestion]")) {
      button.addEventListener("click", () => this.composer.giveBack(button.textContent?.trim() ?? ""));
    }
    if (this.conversationId) this.#load();
    // On a touch screen, focusing would open the keyboard over the page.
    if (matchMedia("(pointer: fine)").matches) this.composer.focus();
  }

  /** @param {Turn} turn @param {Accepted} job @param {string} question */
  #accept(turn, job, question) {
    this.composer.accepted();
    if (!this.conversationId) {
      this.conversationId = job.conversationId;
      const parameters = new URLSearchParams({ conversation: this.conversationId, ...this.surface.parameters?.() });
      history.replaceState(null, "", `${this.pageUrl}?${parameters}`);
      addToHistory(this.conversationId, `${this.pageUrl}?conversation=${this.conversationId}`, question);
    }
    turn.jobId = job.jobId;
    turn.messageId = job.messageId;
    this.#follow(turn);
    if (this.#stopWhenAccepted) this.#stop();
  }

  /** @param {Turn} turn @param {ApiError} error @param {string} question */
  #refuse(turn, error, question) {
    this.transcript.remove(turn);
    this.#setActive(null);
    this.composer.giveBack(question);
    this.#showProblem(error);
    // Another tab asked first: show that question and its answer.
    if (error.status === 409 && this.conversationId) this.#load();
  }

  /** @param {Turn} turn */
  #follow(turn) {
    this.#setActive(turn);
    turn.unfollow = this.client.watch(turn.jobId, { onEvent: (event, text) => this.#show(turn, event, text) });
  }

  /** @param {Turn} turn @param {JobEvent} event @param {string} text */
  #show(turn, event, text) {
    turn.answer.show(event, text);
    if (!turn.answer.isOver) return this.#setActive(turn);
    if (this.#active === turn) this.#setActive(null);
    this.composer.showError("");
    this.follower.grown();
    announce(turn.answer.spoken);
    tellWhenBack();
    showQuota();
    this.surface.onEnd?.();
  }

  /** @param {Turn} turn */
  async #retry(turn) {
    turn.answer.think();
    this.#setActive(turn);
    this.composer.showError("");
    this.composer.takeFocus();
    try {
      turn.unfollow = await this.client.retry(turn.jobId, (event, text) => this.#show(turn, event, text));
    } catch (caught) {
      const error = /** @type {ApiError} */ (caught);
      this.#setActive(null);
      turn.answer.fail({ code: "retry", message: explain(error).message }, true);
      // Another tab asked first: show its answer.
      if (error.status === 409) this.#load();
    }
  }

  /** @param {Turn} turn @param {import("./rating.js").Rating} rating @param {string} reason */
  async #rate({ messageId }, rating, reason) {
    const payload = JSON.stringify({ rating, reason });
    await request("PUT", `/api/conversations/${this.conversationId}/messages/${messageId}/rating`, { payload });
  }

  async #stop() {
    if (!this.#active?.jobId) {
      this.#stopWhenAccepted = true;
      return;
    }
    try {
      await this.client.cancel(this.#active.jobId);
    } catch (error) {
      const { status } = /** @type {ApiError} */ (error);
      // 409: the job has just ended; its last event will arrive.
      if (status !== 409) this.composer.showError("The answer could not be stopped. Please try again.");
      this.composer.setRunning(this.#active !== null);
    }
  }

  /** Loads and shows the conversation, and follows its active job. */
  async #load() {
    byId("load-error").hidden = true;
    byId("loading").hidden = false;
    try {
      const { messages } = await request("GET", `/api/conversations/${this.conversationId}`);
      this.#setActive(null);
      for (const turn of this.transcript.replace(messages)) this.#follow(turn);
      this.follower.jump();
    } catch (error) {
      byId("load-error").hidden = false;
      this.#showProblem(/** @type {ApiError} */ (error));
    } finally {
      byId("loading").hidden = true;
    }
  }

  /** Handles events of jobs that this page does not follow: suggestions for the newest answer, or a question that
   * another tab asked in this conversation. @param {JobEvent} event */
  #noticeElsewhere({ type, kind, result }) {
    if (type === "job.completed" && result?.suggestions && result.conversationId === this.conversationId) {
      return this.transcript.suggest(result.jobId, result.suggestions);
    }
    const isIdle = this.conversationId && !this.#active && !this.#isSending;
    if (type === "job.started" && kind === this.surface.kind && isIdle) this.#load();
  }

  /** @param {Turn | null} turn */
  #setActive(turn) {
    this.#active = turn;
    byId("welcome").hidden = turn !== null || this.conversationId !== "";
    this.composer.setRunning(turn !== null);
  }

  /** @param {ApiError} error */
  #showProblem(error) {
    const { message, ...more } = explain(error);
    this.composer.showError(message, more);
  }
}

/** @param {string} id */
function byId(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}
