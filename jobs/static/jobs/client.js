// @ts-check
/**
 * Browser client of the jobs API: submits jobs and follows their events. Events arrive over a WebSocket, with HTTP
 * polling as the fallback, so that every watch ends with job.completed, job.failed or job.cancelled.
 *
 *     const client = new JobsClient();
 *     const { jobId } = await client.submit("/api/assistant/query", { courseId, question });
 *     client.watch(jobId, { onEvent: (event, text) => show(event, text) });
 */
import { ApiError, request, submitOnce } from "./http.js";
import { LiveSocket } from "./socket.js";
import { JobWatch } from "./watch.js";

export { ApiError };
/** @typedef {import("./watch.js").JobEvent} JobEvent */
/** @typedef {import("./watch.js").Place} Place */
/** @typedef {import("./watch.js").Listener} Listener */
/** @typedef {"connected" | "reconnecting" | "signedOut"} Connection */

/** After "replaced" the page polls until it is used again: nothing to tell.
 * @type {Record<import("./socket.js").Down, Connection>} */
const DOWN = { lost: "reconnecting", signedOut: "signedOut", replaced: "connected" };
const START = { attempt: 0, seq: 0 };
/** Request missed events after this long without one: while the socket is open, and while it is not. */
const SILENCE_MS = 10_000;
const SILENCE_WITHOUT_SOCKET_MS = 2_500;
const SILENCE_CHECK_INTERVAL_MS = 1_000;
/** Wait before requesting the same gap again, and before reading the row after a cancel. */
const REQUEST_AGAIN_MS = 2_000;

export class JobsClient {
  /** @type {Map<string, JobWatch>} */ #watches = new Map();
  /** @type {Set<string>} */ #polling = new Set();
  #noPollBefore = 0;

  /**
   * @param {object} [options]
   * @param {(state: Connection) => void} [options.onConnection] called when the state of the connection changes
   * @param {(event: JobEvent) => void} [options.onUnwatched] called for events of this person's jobs that have no watch
   */
  constructor({ onConnection = () => {}, onUnwatched = () => {} } = {}) {
    this.onConnection = onConnection;
    this.onUnwatched = onUnwatched;
    this.socket = new LiveSocket(`${location.origin.replace(/^http/, "ws")}/ws/jobs/`, {
      onOpen: () => this.#onSocketOpen(),
      onFrame: (frame) => this.#onFrame(frame),
      onDown: (why) => this.onConnection(DOWN[why]),
    });
    this.timer = setInterval(() => this.#recoverSilentWatches(), SILENCE_CHECK_INTERVAL_MS);
    document.addEventListener("visibilitychange", this.#check);
    addEventListener("online", this.#check);
    addEventListener("offline", this.#check);
    addEventListener("pageshow", this.#check);
    addEventListener("pagehide", this.#disconnect);
  }

  /**
   * Follows a job until it ends. A later attempt (a retry, also one requested elsewhere) resets the text.
   * @param {string} jobId
   * @param {{after?: Place, onEvent: Listener}} options after: the last event already shown; `text` then starts there
   * @returns {() => void} call it to stop watching
   */
  watch(jobId, { after = START, onEvent }) {
    const watch = new JobWatch(jobId, after, onEvent);
    this.#watches.set(jobId, watch);
    this.#resume(watch);
    return () => this.#watches.get(jobId) === watch && this.#watches.delete(jobId);
  }

  /** Creates a job and returns the 202 body. Idempotent: repeating it after a network failure creates no second job.
   * @param {string} url @param {object} body @returns {Promise<any>} */
  submit(url, body) {
    this.socket.use();
    return submitOnce(url, body);
  }

  /** Requests cancellation. The watch then ends with job.cancelled, or with the job's own end if that came first.
   * @param {string} jobId */
  async cancel(jobId) {
    this.socket.use();
    await request("POST", `/api/jobs/${jobId}/cancel`);
    setTimeout(() => this.#pollById(jobId), REQUEST_AGAIN_MS);
  }

  /** Retries a failed or cancelled job and follows it. @param {string} jobId @param {Listener} onEvent */
  async retry(jobId, onEvent) {
    this.socket.use();
    const { attempt } = await request("GET", `/api/jobs/${jobId}`);
    await request("POST", `/api/jobs/${jobId}/retry`);
    // Events up to the failed attempt are known: follow the next attempt only.
    return this.watch(jobId, { after: { attempt: attempt + 1, seq: 0 }, onEvent });
  }

  close() {
    clearInterval(this.timer);
    document.removeEventListener("visibilitychange", this.#check);
    removeEventListener("online", this.#check);
    removeEventListener("offline", this.#check);
    removeEventListener("pageshow", this.#check);
    removeEventListener("pagehide", this.#disconnect);
    this.socket.close();
    this.#watches.clear();
  }

  #onSocketOpen() {
    this.onConnection("connected");
    for (const watch of this.#active()) this.#resume(watch);
  }

  /** @param {any} frame */
  #onFrame(frame) {
    // The server refused the request: the job's row says why, or is gone (404).
    if (frame.type === "error" && frame.jobId) return this.#pollById(frame.jobId);
    if (!frame.type?.startsWith("job.")) return;
    const watch = this.#watches.get(frame.jobId);
    if (!watch) this.onUnwatched(frame);
    else if (watch.take(frame) === "gap") this.#fillGap(watch);
  }

  /** @param {JobWatch} watch */
  #fillGap(watch) {
    if (Date.now() - watch.gapRequestedAt < REQUEST_AGAIN_MS) return;
    watch.gapRequestedAt = Date.now();
    this.#resume(watch);
  }

  /** @param {JobWatch} watch */
  #resume(watch) {
    this.socket.send({ type: "resume", jobId: watch.jobId, after: watch.place });
  }

  #check = () => {
    if (document.hidden) return;
    this.#noPollBefore = 0;
    this.socket.check();
    for (const watch of this.#active()) this.#poll(watch);
  };

  /** Disconnects on pagehide: browsers keep a page in the back/forward cache only if it has no open socket. */
  #disconnect = () => this.socket.disconnect();

  #recoverSilentWatches() {
    if (document.hidden || Date.now() < this.#noPollBefore) return;
    const { isOpen } = this.socket;
    const silent = this.#active().filter((watch) => watch.isSilent(isOpen ? SILENCE_MS : SILENCE_WITHOUT_SOCKET_MS));
    if (silent.length > 0) this.socket.verify();
    for (const watch of silent) {
      if (!isOpen) this.#poll(watch);
      else {
        watch.noteRequest();
        this.#resume(watch); // cheaper for the server than reading the row
      }
    }
  }

  /** @param {string} jobId */
  #pollById(jobId) {
    const watch = this.#watches.get(jobId);
    if (watch && !watch.isOver) this.#poll(watch);
  }

  /** @param {JobWatch} watch */
  async #poll(watch) {
    if (this.#polling.has(watch.jobId)) return;
    this.#polling.add(watch.jobId);
    watch.noteRequest();
    try {
      const row = await request("GET", `/api/jobs/${watch.jobId}`);
      if (this.#watches.get(watch.jobId) === watch) watch.applyRow(row);
    } catch (error) {
      this.#pollFailed(watch, /** @type {ApiError} */ (error));
    } finally {
      this.#polling.delete(watch.jobId);
    }
  }

  /** @param {JobWatch} watch @param {ApiError} error */
  #pollFailed(watch, error) {
    if (error.retryAfter) this.#noPollBefore = Date.now() + error.retryAfter * 1000;
    if (error.status === 401) {
      // Polling resumes in #check, when the person returns to the tab after signing in.
      this.#noPollBefore = Infinity;
      this.onConnection("signedOut");
    }
    // The job is deleted or belongs to somebody else: polling again cannot help.
    if (error.status === 404) watch.applyRow({ status: "failed", attempt: 0, error, retryable: false });
  }

  #active() {
    return [...this.#watches.values()].filter((watch) => !watch.isOver);
  }
}
