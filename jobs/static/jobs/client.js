// @ts-check
/**
 * The browser's client of the jobs API. Submit work, then watch it: events come by WebSocket, and by polling where
 * that fails, so that every watched job ends with job.completed, job.failed or job.cancelled.
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

const START = { attempt: 0, seq: 0 };
const SILENCE = 10_000;
const WITHOUT_SOCKET = 2_500;
const LOOK_EVERY = 1_000;
const ASK_AGAIN_AFTER = 2_000;

export class JobsClient {
  /** @type {Map<string, JobWatch>} */ #watches = new Map();
  /** @type {Set<string>} */ #polling = new Set();
  #noPollBefore = 0;

  /**
   * @param {object} [options]
   * @param {(state: Connection) => void} [options.onConnection] told at every change of the connection
   * @param {(event: JobEvent) => void} [options.onUnwatched] an event of a job of this person that nobody here watches
   */
  constructor({ onConnection = () => {}, onUnwatched = () => {} } = {}) {
    this.onConnection = onConnection;
    this.onUnwatched = onUnwatched;
    this.socket = new LiveSocket(`${location.origin.replace(/^http/, "ws")}/ws/jobs/`, {
      onOpen: () => this.#opened(),
      onFrame: (frame) => this.#heard(frame),
      onDown: () => this.onConnection("reconnecting"),
    });
    this.timer = setInterval(() => this.#askAboutSilent(), LOOK_EVERY);
    document.addEventListener("visibilitychange", this.#check);
    addEventListener("online", this.#check);
    addEventListener("offline", this.#check);
    addEventListener("pageshow", this.#check);
    addEventListener("pagehide", this.#rest);
  }

  /**
   * Follows a job to its end. A later attempt (a retry, even one asked for elsewhere) starts the text anew.
   * @param {string} jobId
   * @param {{after?: Place, onEvent: Listener}} options after: the last place already shown; then `text` starts there
   * @returns {() => void} stops watching
   */
  watch(jobId, { after = START, onEvent }) {
    const watch = new JobWatch(jobId, after, onEvent);
    this.#watches.set(jobId, watch);
    this.#resume(watch);
    return () => this.#watches.get(jobId) === watch && this.#watches.delete(jobId);
  }

  /** Creates a job; the 202 body. Repeating it after a network failure does not create a second one.
   * @param {string} url @param {object} body @returns {Promise<any>} */
  submit(url, body) {
    return submitOnce(url, body);
  }

  /** Asks for a job to be stopped. The watch then ends with job.cancelled, or as the job ended before.
   * @param {string} jobId */
  async cancel(jobId) {
    await request("POST", `/api/jobs/${jobId}/cancel`);
    setTimeout(() => this.#pollById(jobId), ASK_AGAIN_AFTER);
  }

  /** Runs a failed or cancelled job again and follows it. @param {string} jobId @param {Listener} onEvent */
  async retry(jobId, onEvent) {
    const { attempt } = await request("GET", `/api/jobs/${jobId}`);
    await request("POST", `/api/jobs/${jobId}/retry`);
    // Everything up to the failed attempt is known; what comes is the attempt after it.
    return this.watch(jobId, { after: { attempt: attempt + 1, seq: 0 }, onEvent });
  }

  close() {
    clearInterval(this.timer);
    document.removeEventListener("visibilitychange", this.#check);
    removeEventListener("online", this.#check);
    removeEventListener("offline", this.#check);
    removeEventListener("pageshow", this.#check);
    removeEventListener("pagehide", this.#rest);
    this.socket.close();
    this.#watches.clear();
  }

  #opened() {
    this.onConnection("connected");
    for (const watch of this.#active()) this.#resume(watch);
  }

  /** @param {any} frame */
  #heard(frame) {
    // Refused: the row says why, or that there is none any more.
    if (frame.type === "error" && frame.jobId) return this.#pollById(frame.jobId);
    if (!frame.type?.startsWith("job.")) return;
    const watch = this.#watches.get(frame.jobId);
    if (!watch) this.onUnwatched(frame);
    else if (watch.take(frame) === "gap") this.#fillGap(watch);
  }

  /** @param {JobWatch} watch */
  #fillGap(watch) {
    if (Date.now() - watch.gapAskedAt < ASK_AGAIN_AFTER) return;
    watch.gapAskedAt = Date.now();
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

  /** A page without an open socket can be kept whole by the browser, so that Back shows it as it was. */
  #rest = () => this.socket.rest();

  #askAboutSilent() {
    if (document.hidden || Date.now() < this.#noPollBefore) return;
    const { isOpen } = this.socket;
    const silent = this.#active().filter((watch) => watch.isSilent(isOpen ? SILENCE : WITHOUT_SOCKET));
    if (silent.length > 0) this.socket.prove();
    for (const watch of silent) {
      if (!isOpen) this.#poll(watch);
      else {
        watch.ask();
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
    watch.ask();
    try {
      const row = await request("GET", `/api/jobs/${watch.jobId}`);
      if (this.#watches.get(watch.jobId) === watch) watch.adopt(row);
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
      // Coming back to the tab after signing in again asks at once.
      this.#noPollBefore = Infinity;
      this.onConnection("signedOut");
    }
    // Gone, or never this person's: no later poll will say anything else.
    if (error.status === 404) watch.adopt({ status: "failed", attempt: 0, error, retryable: false });
  }

  #active() {
    return [...this.#watches.values()].filter((watch) => !watch.isOver);
  }
}
